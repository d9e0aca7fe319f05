/** Starting and clearing away the conmon of one more process in a container. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { startConmon, type Conmon, type MonitorContext } from "./conmon-process.ts";
import type { ExecLaunchRequest } from "./monitor.ts";

function conmonOptions(request: ExecLaunchRequest, directory: string, processPath: string): string[] {
  const options = [
    "--exec",
    "--exec-process-spec",
    processPath,
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

export interface LaunchedExec {
  readonly conmon: Conmon;
  readonly directory: string;
}

/** Waits for conmon's own end and removes what the exec had in the bundle. */
export async function cleanUpExec({ conmon, directory }: LaunchedExec): Promise<void> {
  conmon[Symbol.dispose]();
  await conmon.child.exited;
  try {
    // Not at once: its client is about to ask for the exit code.
    await rm(directory, { recursive: true, force: true });
  } catch (error) {
    log.warn("an exec left its files", { directory, error: errorText(error) });
  }
}

/** Ends a monitor that is not needed, and what it had in the bundle. */
export async function discardExec(launched: LaunchedExec): Promise<void> {
  launched.conmon.child.kill(9);
  await cleanUpExec(launched);
}

/** Where the runtime finds the OCI `process`: a path that is known already, or what to write to one. */
export type ProcessSource = { readonly path: string } | { readonly text: string };

/** Starts conmon for an exec, in a directory of its own in the bundle. Throws what the system says. */
export function launchExec(
  context: MonitorContext,
  request: ExecLaunchRequest,
  source: ProcessSource,
): LaunchedExec {
  const directory = `${request.bundle}/exec-${request.execId}`;
  // Not with its parents: a bundle that is gone must not come back.
  mkdirSync(directory, { mode: 0o700 });
  try {
    const processPath = "path" in source ? source.path : `${directory}/process.json`;
    if ("text" in source) writeFileSync(processPath, source.text);
    return { conmon: startExecMonitor(context, request, { directory, processPath }), directory };
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

function startExecMonitor(
  context: MonitorContext,
  request: ExecLaunchRequest,
  { directory, processPath }: { readonly directory: string; readonly processPath: string },
): Conmon {
  return startConmon(context, {
    options: conmonOptions(request, directory, processPath),
    containerId: request.containerId,
    ownId: request.execId,
    runtime: request.runtime,
    logPath: request.logPath,
    directory,
    attachFirst: !request.detached,
  });
}
