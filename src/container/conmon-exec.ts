/** One more process in a running container, under a conmon of its own. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { attachToBundle } from "./attached-stdio.ts";
import { resizeTerminal, startConmon, type Conmon, type MonitorContext } from "./conmon-process.ts";
import type { AttachedStdio, ExecRequest, ExecTask } from "./monitor.ts";
import { runtimeError } from "./runtime-error.ts";

/** When conmon ended without telling an exit code, it was killed, and the process's streams with it. */
const unknownExitCode = 137;

function conmonOptions(request: ExecRequest, directory: string): string[] {
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

/**
 * Starts the process and returns when it runs. With a client its streams are connected before the program's first
 * instruction. Throws the runtime's words, kind `invalidArgument` when the program cannot be run.
 */
export async function startExec(context: MonitorContext, request: ExecRequest): Promise<ExecTask> {
  const directory = `${request.bundle}/exec-${request.execId}`;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  let conmon: Conmon | undefined;
  let stdio: AttachedStdio | undefined;
  try {
    writeFileSync(`${directory}/process.json`, JSON.stringify(request.process));
    conmon = startConmon(context, {
      options: conmonOptions(request, directory),
      containerId: request.containerId,
      ownId: request.execId,
      runtime: request.runtime,
      logPath: request.logPath,
      directory,
      attachFirst: !request.detached,
    });
    if (!request.detached) {
      await conmon.attachable();
      stdio = attachToBundle(directory);
      conmon.proceed();
    }
    const message = await conmon.sync.next();
    if (message === undefined || message.data <= 0) {
      await conmon.child.exited;
      throw runtimeError({
        verb: "exec",
        runtimeName: request.runtime.name,
        output: message?.message || conmon.earlyOutput(),
        program: (request.process as { args?: string[] }).args?.[0] ?? "",
      });
    }
    return {
      pid: message.data,
      exited: finish(conmon, directory),
      stdio,
      resize: (height, width) => resizeTerminal(directory, height, width),
    };
  } catch (error) {
    stdio?.detach();
    conmon?.child.kill(9);
    conmon?.[Symbol.dispose]();
    await conmon?.child.exited;
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}
