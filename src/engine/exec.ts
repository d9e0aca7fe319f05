import { setTimeout as sleep } from "node:timers/promises";
import { conflict, EngineError, errorText, invalidArgument, isKind, textWithHint } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { log } from "../base/log.ts";
import type { ContainerRecord } from "../container/container.ts";
import { parseDetachKeys } from "../base/detach-keys.ts";
import { buildExecProcess } from "../container/exec-process.ts";
import type { ExecLaunchRequest, ExecTask } from "../container/monitor.ts";
import type { ExecCreateRequest, ExecInspect, ExecStartRequest } from "../wire/exec.ts";
import { bridgeStdio } from "./bridge-stdio.ts";
import { emitContainer, type EngineContext, taskRuntime } from "./context.ts";
import type { StdioSession, StdioSink } from "./engine.ts";
import type { ExecRecord } from "./exec-registry.ts";
import { containerPaths } from "./paths.ts";

/** Prepares one more process in a running container. Throws `conflict` when it does not run or is paused. */
export async function execCreate(
  context: EngineContext,
  containerNameOrId: string,
  request: ExecCreateRequest,
): Promise<{ Id: string }> {
  if ((request.Cmd ?? []).length === 0) throw invalidArgument("No exec command specified");
  const container = context.containers.resolve(containerNameOrId);
  requireRunning(container, containerNameOrId);
  if (parseDetachKeys(request.DetachKeys || "ctrl-p,ctrl-q") === undefined)
    throw invalidArgument(`Invalid escape keys (${request.DetachKeys}) provided`);
  const exec: ExecRecord = {
    id: newId(),
    containerId: container.id,
    request,
    status: "created",
    pid: 0,
    exitCode: null,
    task: undefined,
  };
  context.execs.add(exec);
  if (request.Detach !== true) context.monitor.prepareExec(launchRequest(context, exec, container, false));
  emitContainer(context, container, `exec_create: ${commandText(request)}`, { execID: exec.id });
  return { Id: exec.id };
}

function requireRunning(container: ContainerRecord, nameOrId = container.id): void {
  const { status } = container.state;
  if (status === "paused")
    throw conflict(`Container ${nameOrId} is paused, unpause the container before exec`);
  if (status === "restarting")
    throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  if (status !== "running") throw conflict(`container ${container.id} is not running`);
}

/** As events show it: the program, a blank, and its arguments, of which there may be none. */
export function commandText(request: ExecCreateRequest): string {
  const [program = "", ...args] = request.Cmd ?? [];
  return `${program} ${args.join(" ")}`;
}

/**
 * Starts a prepared exec: see {@link import("./engine.ts").Engine.execStart}. Detached, a program that cannot be
 * started is an error; attached, its message goes into the stream and the code 126 or 127 into the record.
 * Throws `conflict` when it was started before.
 */
export async function execStart(
  context: EngineContext,
  execId: string,
  request: ExecStartRequest,
): Promise<StdioSession | undefined> {
  const exec = context.execs.get(execId);
  if (exec.status !== "created") throw conflict(`Error: Exec command ${execId} has already run`);
  const container = context.containers.resolve(exec.containerId);
  requireRunning(container);
  exec.status = "starting";
  const consoleSize = request.ConsoleSize ?? exec.request.ConsoleSize ?? undefined;
  if (request.Detach === true) {
    await startProcess(context, exec, { detached: true, consoleSize });
    return undefined;
  }
  return {
    tty: exec.request.Tty === true,
    run: (sink) => runAttached(context, exec, sink, consoleSize),
  };
}

interface StartOptions {
  readonly detached: boolean;
  readonly consoleSize: [number, number] | undefined;
}

function launchRequest(
  context: EngineContext,
  exec: ExecRecord,
  container: ContainerRecord,
  detached: boolean,
): ExecLaunchRequest {
  return {
    bundle: containerPaths(context.config, container.id).bundle,
    // What an exec writes is its client's, not part of the container's log.
    logPath: "",
    containerId: container.id,
    execId: exec.id,
    runtime: taskRuntime(context, container),
    terminal: exec.request.Tty === true,
    openStdin: exec.request.AttachStdin === true && !detached,
    detached,
    ...(exec.isProbe === true ? { endsWithDaemon: true } : {}),
  };
}

/** Starts a prepared exec: events and the record follow its life. Throws when it cannot be started. */
export async function startProcess(
  context: EngineContext,
  exec: ExecRecord,
  options: StartOptions,
): Promise<ExecTask> {
  const container = context.containers.resolve(exec.containerId);
  const { rootfs } = containerPaths(context.config, container.id);
  // As with Docker it is told before it is tried; `exec_die` comes only for what ran.
  emitContainer(context, container, `exec_start: ${commandText(exec.request)}`, { execID: exec.id });
  let task: ExecTask;
  try {
    task = await context.monitor.exec({
      ...launchRequest(context, exec, container, options.detached),
      process: buildExecProcess(container, exec.request, {
        rootfs,
        defaults: context.config.containerDefaults,
      }),
    });
  } catch (error) {
    context.execs.ended(exec, startFailureCode(errorText(error)));
    if (isKind(error, "internal")) await refuseIfEnded(context, container.id);
    throw error;
  }
  exec.task = task;
  exec.pid = task.pid;
  exec.status = "running";
  void noteEnd(context, exec, task);
  if (options.consoleSize !== undefined && exec.request.Tty === true)
    await sizeTerminal(task, options.consoleSize);
  return task;
}

/** A program that has ended already needs no size, and one that runs is not given up for it. */
async function sizeTerminal(task: ExecTask, [height, width]: [number, number]): Promise<void> {
  try {
    await task.resize(height, width);
  } catch (error) {
    if (isKind(error, "invalidArgument")) throw error;
    if (!isKind(error, "notFound"))
      log.warn("a terminal has not got its size", { pid: task.pid, error: errorText(error) });
  }
}

/**
 * A runtime says many things of a container that ends while it starts a process there. Throws `conflict` when that was the
 * reason: the end may be noted a moment later than the runtime has failed.
 */
async function refuseIfEnded(context: EngineContext, containerId: string): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const container = context.containers.byId(containerId);
    if (container === undefined) throw conflict(`container ${containerId} is not running`);
    requireRunning(container);
    await sleep(50);
  }
}

async function noteEnd(context: EngineContext, exec: ExecRecord, task: ExecTask): Promise<void> {
  const { exitCode } = await task.exited;
  context.execs.ended(exec, exitCode);
  const container = context.containers.byId(exec.containerId);
  if (container !== undefined)
    emitContainer(context, container, "exec_die", { execID: exec.id, exitCode: String(exitCode) });
}

/** Docker's codes for a program that could not be started: 127 not found, 126 otherwise. */
export function startFailureCode(message: string): number {
  if (/executable file not found|no such file or directory/i.test(message)) return 127;
  if (/permission denied|is a directory/i.test(message)) return 126;
  return 126;
}

async function runAttached(
  context: EngineContext,
  exec: ExecRecord,
  sink: StdioSink,
  consoleSize: [number, number] | undefined,
): Promise<void> {
  let task: ExecTask;
  try {
    task = await startProcess(context, exec, { detached: false, consoleSize });
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    sink.write("stdout", Buffer.from(`${textWithHint(error)}\r\n`));
    return;
  }
  if (task.stdio === undefined) return;
  const { request } = exec;
  const how = await bridgeStdio(task.stdio, sink, {
    stdin: request.AttachStdin === true,
    stdout: request.AttachStdout === true,
    stderr: request.AttachStderr === true,
    detachSequence: request.Tty === true ? parseDetachKeys(request.DetachKeys || "ctrl-p,ctrl-q") : undefined,
    stdinOnce: true,
  });
  if (how === "detached") {
    const container = context.containers.byId(exec.containerId);
    if (container !== undefined) emitContainer(context, container, "exec_detach", { execID: exec.id });
  }
  // The exit code must be there when the client has seen the end of the stream and asks for it.
  if (how === "ended") await task.exited;
}

export async function execInspect(context: EngineContext, execId: string): Promise<ExecInspect> {
  const exec = context.execs.get(execId);
  const { request } = exec;
  const [entrypoint = "", ...rest] = request.Cmd ?? [];
  return {
    ID: exec.id,
    Running: exec.status === "running" || exec.status === "starting",
    ExitCode: exec.exitCode,
    ProcessConfig: {
      tty: request.Tty === true,
      entrypoint,
      arguments: rest,
      privileged: request.Privileged === true,
      ...(request.User ? { user: request.User } : {}),
    },
    OpenStdin: request.AttachStdin === true,
    OpenStderr: request.AttachStderr === true,
    OpenStdout: request.AttachStdout === true,
    CanRemove: exec.status === "exited",
    ContainerID: exec.containerId,
    DetachKeys: request.DetachKeys ?? "",
    Pid: exec.pid,
  };
}

/** Sets the size of an exec's terminal in characters. Throws `conflict` when it does not run. */
export async function execResize(
  context: EngineContext,
  execId: string,
  height: number,
  width: number,
): Promise<void> {
  const exec = context.execs.get(execId);
  if (exec.task === undefined) throw conflict(`exec ${execId} is not running`);
  await exec.task.resize(height, width);
}
