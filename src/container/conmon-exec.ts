/** One more process in a running container, under a conmon of its own. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { cgroupOfPid, detectCgroups } from "../linux/cgroup.ts";
import { isErrno } from "../linux/fs-error.ts";
import { killSession } from "../linux/session.ts";
import { attachToBundle } from "./attached-stdio.ts";
import { cleanUpExec, discardExec, launchExec, type LaunchedExec } from "./exec-launch.ts";
import { ExecsAhead } from "./execs-ahead.ts";
import { resizeTerminal, type Conmon, type MonitorContext } from "./conmon-process.ts";
import type { AttachedStdio, ExecLaunchRequest, ExecRequest, ExecTask } from "./monitor.ts";
import { runtimeError } from "./runtime-error.ts";

/** When conmon ended without telling an exit code, it was killed, and the process's streams with it. */
const unknownExitCode = 137;

/** In the directory of an exec that a later daemon ends. */
const leftMark = "ends-with-daemon";

/** The execs of all containers. */
export class Execs {
  readonly #context: MonitorContext;
  readonly #ahead: ExecsAhead;

  constructor(context: MonitorContext) {
    this.#context = context;
    this.#ahead = new ExecsAhead((request, source) => launchExec(context, request, source));
  }

  /** See {@link import("./monitor.ts").Monitor.prepareExec}. */
  prepare(request: ExecLaunchRequest): void {
    this.#ahead.prepare(request);
  }

  /** Ends the monitors that wait for execs in a container that has ended. */
  giveUpContainer(containerId: string): void {
    this.#ahead.giveUpContainer(containerId);
  }

  /** See {@link import("./monitor.ts").Monitor.endLeftExecs}. */
  endLeft(containerId: string, bundle: string): void {
    for (const name of readdirSync(bundle)) {
      const directory = `${bundle}/${name}`;
      if (!name.startsWith("exec-")) continue;
      // Without a pid it waited for its process, and read the end of the file when the earlier daemon ended.
      if (existsSync(`${directory}/pidfile`) && !existsSync(`${directory}/${leftMark}`)) continue;
      try {
        const pid = Number(readFileSync(`${directory}/pidfile`, "utf8"));
        // The number may have gone to another process since.
        const cgroups = [...(cgroupOfPid(pid, detectCgroups())?.values() ?? [])];
        if (cgroups.some((path) => path.includes(containerId))) killSession(pid);
      } catch (error) {
        log.debug("an exec of an earlier daemon had not started", { directory, error: errorText(error) });
      }
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /**
   * Starts the process and returns when it runs. With a client its streams are connected before the program's first
   * instruction. Throws the runtime's words, kind `invalidArgument` when the program cannot be run.
   */
  async start(request: ExecRequest): Promise<ExecTask> {
    const processText = JSON.stringify(request.process);
    const ahead = this.#ahead.take(request, processText);
    let launched: LaunchedExec | undefined = ahead;
    let stdio: AttachedStdio | undefined;
    try {
      launched ??= launchExec(this.#context, request, { text: processText });
      const { conmon, directory } = launched;
      if (request.endsWithDaemon === true) writeFileSync(`${directory}/${leftMark}`, "");
      if (!request.detached) {
        // Without a word it has ended, and its report says why.
        if ((await conmon.attachable()) === undefined) await startedPid(conmon, request);
        stdio = await attachOrReport(launched, request);
        if (ahead === undefined) conmon.proceed();
        else ahead.process.send(processText);
      }
      const pid = await startedPid(conmon, request);
      ahead?.process[Symbol.dispose]();
      return {
        pid,
        exited: this.#finish(launched, request),
        stdio,
        resize: (height, width) => resizeTerminal(directory, height, width),
        kill: () => killSession(pid),
      };
    } catch (error) {
      stdio?.detach();
      ahead?.process[Symbol.dispose]();
      if (launched !== undefined) await discardExec(launched);
      throw error;
    }
  }

  /** The exit code comes as the second message, after the last output; who waits for it need not wait for our tidying. */
  async #finish(launched: LaunchedExec, request: ExecRequest): Promise<{ exitCode: number }> {
    const message = await launched.conmon.sync.next();
    void cleanUpExec(launched);
    // What the daemon itself executes, nobody waits for.
    if (request.endsWithDaemon !== true) this.#ahead.keepSpare(request);
    return { exitCode: message === undefined || message.data < 0 ? unknownExitCode : message.data };
  }
}

/** Connects to an exec's streams. Throws what its monitor reports when that has ended meanwhile. */
async function attachOrReport(
  { conmon, directory }: LaunchedExec,
  request: ExecRequest,
): Promise<AttachedStdio> {
  try {
    return attachToBundle(directory);
  } catch (error) {
    if (isErrno(error, "ECONNREFUSED", "ENOENT")) await startedPid(conmon, request);
    throw error;
  }
}

async function startedPid(conmon: Conmon, request: ExecRequest): Promise<number> {
  const message = await conmon.report();
  if (message !== undefined && message.data > 0) return message.data;
  await conmon.child.exited;
  throw runtimeError({
    verb: "exec",
    runtimeName: request.runtime.name,
    output: message?.message || conmon.earlyOutput(),
    program: (request.process as { args?: string[] }).args?.[0] ?? "",
  });
}
