/** One more process in a running container, under a conmon of its own. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { cgroupOfPid } from "../linux/cgroup.ts";
import { killSession } from "../linux/session.ts";
import { attachToBundle } from "./attached-stdio.ts";
import { resizeTerminal, startConmon, type Conmon, type MonitorContext } from "./conmon-process.ts";
import type { AttachedStdio, ExecLaunchRequest, ExecRequest, ExecTask } from "./monitor.ts";
import { runtimeError } from "./runtime-error.ts";

/** When conmon ended without telling an exit code, it was killed, and the process's streams with it. */
const unknownExitCode = 137;

function conmonOptions(request: ExecLaunchRequest, directory: string): string[] {
  const options = [
    "--exec",
    "--exec-process-spec",
    `${directory}/process.json`,
    "--container-pidfile",
    `${directory}/pidfile`,
  ];
  // Without a bundle there is no attach socket and no fifo; a terminal needs them even when nobody looks at it.
  if (!request.detached || request.terminal) options.push("--bundle", directory);
  if (!request.detached) options.push("--exec-attach");
  if (request.terminal) options.push("--terminal", "--leave-stdin-open");
  if (request.openStdin) options.push("--stdin");
  return options;
}

/** Waits for conmon's own end and removes what the exec had in the bundle. */
async function cleanUp(conmon: Conmon, directory: string): Promise<void> {
  conmon[Symbol.dispose]();
  await conmon.child.exited;
  try {
    rmSync(directory, { recursive: true, force: true });
  } catch (error) {
    log.warn("an exec left its files", { directory, error: errorText(error) });
  }
}

/** The exit code comes as the second message, after the last output; who waits for it need not wait for our tidying. */
async function finish(conmon: Conmon, directory: string): Promise<{ exitCode: number }> {
  const message = await conmon.sync.next();
  void cleanUp(conmon, directory);
  return { exitCode: message === undefined || message.data < 0 ? unknownExitCode : message.data };
}

interface Launched {
  readonly conmon: Conmon;
  readonly directory: string;
}

function launch(context: MonitorContext, request: ExecLaunchRequest): Launched {
  const directory = execDirectory(request);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const conmon = startConmon(context, {
    options: conmonOptions(request, directory),
    containerId: request.containerId,
    ownId: request.execId,
    runtime: request.runtime,
    logPath: request.logPath,
    directory,
    attachFirst: !request.detached,
  });
  return { conmon, directory };
}

function execDirectory(request: ExecLaunchRequest): string {
  return `${request.bundle}/exec-${request.execId}`;
}

/** Ends a monitor that is not needed, and what it had in the bundle. */
async function discard({ conmon, directory }: Launched): Promise<void> {
  conmon.child.kill(9);
  await cleanUp(conmon, directory);
}

interface Ahead extends Launched {
  readonly request: ExecLaunchRequest;
  readonly timer: NodeJS.Timeout;
}

/** In the directory of an exec that a later daemon ends. */
const leftMark = "ends-with-daemon";

/** How long a monitor waits for the start of its exec; clients start what they made within a millisecond or two. */
const aheadMs = 2_000;
const mostAhead = 8;

/**
 * The execs of all containers. A monitor may be started ahead of its exec's start, so that its own start-up is over by
 * then. It waits without a process to run: what to run is written only with the start, so that nothing runs if this
 * daemon ends in between.
 */
export class Execs {
  readonly #context: MonitorContext;
  readonly #ahead = new Map<string, Ahead>();

  constructor(context: MonitorContext) {
    this.#context = context;
  }

  /** See {@link import("./monitor.ts").Monitor.prepareExec}. */
  prepare(request: ExecLaunchRequest): void {
    if (request.detached || this.#ahead.size >= mostAhead) return;
    try {
      const launched = launch(this.#context, request);
      const timer = setTimeout(() => void this.#giveUp(request.execId), aheadMs).unref();
      this.#ahead.set(request.execId, { ...launched, request, timer });
    } catch (error) {
      // The start will fail in the same way, and say so to somebody.
      log.debug("no monitor ahead of an exec's start", { error: errorText(error) });
    }
  }

  async #giveUp(execId: string): Promise<void> {
    const ahead = this.#ahead.get(execId);
    if (ahead === undefined) return;
    clearTimeout(ahead.timer);
    this.#ahead.delete(execId);
    await discard(ahead);
  }

  /** Ends the monitors that wait for execs in a container that has ended. */
  giveUpContainer(containerId: string): void {
    for (const [execId, { request }] of this.#ahead)
      if (request.containerId === containerId) void this.#giveUp(execId);
  }

  /** See {@link import("./monitor.ts").Monitor.endLeftExecs}. */
  endLeft(containerId: string, bundle: string): void {
    for (const name of readdirSync(bundle)) {
      const directory = `${bundle}/${name}`;
      if (!name.startsWith("exec-") || !existsSync(`${directory}/${leftMark}`)) continue;
      try {
        const pid = Number(readFileSync(`${directory}/pidfile`, "utf8"));
        // The number may have gone to another process since.
        const cgroups = [...(cgroupOfPid(pid)?.values() ?? [])];
        if (cgroups.some((path) => path.includes(containerId))) killSession(pid);
      } catch (error) {
        log.debug("an exec of an earlier daemon had not started", { directory, error: errorText(error) });
      }
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /** The waiting monitor for an exec, when it was started in the way that is wanted now. */
  async #take(request: ExecRequest): Promise<Launched | undefined> {
    const ahead = this.#ahead.get(request.execId);
    if (ahead === undefined) return undefined;
    const { detached, terminal, openStdin } = ahead.request;
    if (detached !== request.detached || terminal !== request.terminal || openStdin !== request.openStdin) {
      // Its directory has the name that the new one will have.
      await this.#giveUp(request.execId);
      return undefined;
    }
    clearTimeout(ahead.timer);
    this.#ahead.delete(request.execId);
    return ahead;
  }

  /**
   * Starts the process and returns when it runs. With a client its streams are connected before the program's first
   * instruction. Throws the runtime's words, kind `invalidArgument` when the program cannot be run.
   */
  async start(request: ExecRequest): Promise<ExecTask> {
    let launched = await this.#take(request);
    const directory = execDirectory(request);
    let stdio: AttachedStdio | undefined;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      writeFileSync(`${directory}/process.json`, JSON.stringify(request.process));
      if (request.endsWithDaemon === true) writeFileSync(`${directory}/${leftMark}`, "");
      launched ??= launch(this.#context, request);
      const { conmon } = launched;
      if (!request.detached) {
        await conmon.attachable();
        stdio = attachToBundle(directory);
        conmon.proceed();
      }
      const pid = await startedPid(conmon, request);
      return {
        pid,
        exited: finish(conmon, directory),
        stdio,
        resize: (height, width) => resizeTerminal(directory, height, width),
        kill: () => killSession(pid),
      };
    } catch (error) {
      stdio?.detach();
      if (launched !== undefined) await discard(launched);
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }
}

async function startedPid(conmon: Conmon, request: ExecRequest): Promise<number> {
  const message = await conmon.sync.next();
  if (message !== undefined && message.data > 0) return message.data;
  await conmon.child.exited;
  throw runtimeError({
    verb: "exec",
    runtimeName: request.runtime.name,
    output: message?.message || conmon.earlyOutput(),
    program: (request.process as { args?: string[] }).args?.[0] ?? "",
  });
}
