import { EngineError, invalidArgument } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import { parseSignal } from "../base/signals.ts";
import { cancelRestart } from "./cancel-restart.ts";
import { sendSignal } from "./container-kill.ts";
import { within } from "./within.ts";
import { removeAutomatically } from "./container-remove.ts";
import { startLocked } from "./container-start.ts";
import { emitContainer, type EngineContext } from "./context.ts";

export interface StopOptions {
  /** False: for the daemon's own end, which restart policies do not take for the user's will. */
  readonly byUser?: boolean;
  readonly signal?: string;
  /** Undefined for the container's own, else 10; negative to wait for ever. */
  readonly timeoutSeconds?: number;
}

const sigkill = 9;
const defaultTimeoutSeconds = 10;

/**
 * Stops a container: its stop signal, then KILL after the time-out. The stop goes on when the client goes away.
 * Throws `notModified` when it does not run.
 */
export async function containerStop(
  context: EngineContext,
  nameOrId: string,
  options: StopOptions,
): Promise<void> {
  const container = context.containers.resolve(nameOrId);
  if (!isRunning(container)) throw new EngineError("notModified", `container ${nameOrId} is not running`);
  try {
    using _ = context.live.of(container.id).beginStop();
    const stopped = await stopRunning(context, container.id, options);
    if (stopped !== undefined) emitContainer(context, stopped, "stop");
  } finally {
    await removeIfAsked(context, container.id);
  }
}

/** Stops a container because the daemon ends: its restart policy will start it with the next one. */
export async function stopForDaemon(
  context: EngineContext,
  id: string,
): Promise<ContainerRecord | undefined> {
  using _ = context.live.of(id).beginStop();
  const stopped = await stopRunning(context, id, { byUser: false });
  if (stopped !== undefined) emitContainer(context, stopped, "stop");
  return stopped;
}

/** Stops (when it runs) and starts again. The container is not removed in between, even with `--rm`. */
export async function containerRestart(
  context: EngineContext,
  nameOrId: string,
  options: StopOptions,
): Promise<void> {
  const container = context.containers.resolve(nameOrId);
  try {
    using _stopping = context.live.of(container.id).beginStop();
    if (isRunning(container)) {
      const stopped = await stopRunning(context, container.id, options);
      if (stopped !== undefined) emitContainer(context, stopped, "stop");
    }
    using _lock = await context.locks.acquire(container.id);
    const current = context.containers.resolve(container.id);
    if (!isRunning(current))
      await startLocked(context, context.containers.update(container.id, { restartCount: 0 }));
    emitContainer(context, current, "restart");
  } finally {
    await removeIfAsked(context, container.id);
  }
}

function isRunning(container: ContainerRecord): boolean {
  return ["running", "paused", "restarting"].includes(container.state.status);
}

/** Resolves when the exit is recorded; undefined when the container was gone by then. */
async function stopRunning(
  context: EngineContext,
  id: string,
  options: StopOptions,
): Promise<ContainerRecord | undefined> {
  for (;;) {
    const container = context.containers.byId(id);
    if (container === undefined || !isRunning(container)) return container;
    if (container.state.status !== "restarting") return stopTask(context, container, options);
    if (options.byUser !== false) context.containers.updateState(id, { stoppedByUser: true });
    using _ = await context.locks.acquire(id);
    const current = context.containers.byId(id);
    if (current?.state.status === "restarting") return cancelRestart(context, current);
    // Its policy was faster: it runs again, or ended for good.
  }
}

async function stopTask(
  context: EngineContext,
  container: ContainerRecord,
  options: StopOptions,
): Promise<ContainerRecord | undefined> {
  const name = options.signal || container.config.StopSignal || "TERM";
  const signal = parseSignal(name);
  if (signal === undefined)
    throw invalidArgument(`cannot stop container: ${container.name}: invalid signal: ${name}`);
  const timeoutSeconds = options.timeoutSeconds ?? container.config.StopTimeout ?? defaultTimeoutSeconds;
  const live = context.live.of(container.id);
  if (options.byUser !== false) context.containers.updateState(container.id, { stoppedByUser: true });
  const exited = live.exited?.promise ?? Promise.resolve();
  await sendSignal(context, container, signal).catch(ignoreMissing);
  if (!(await within(exited, timeoutSeconds * 1000))) {
    await sendSignal(context, container, sigkill).catch(ignoreMissing);
    await exited;
  }
  return context.containers.byId(container.id);
}

/** The process may end by itself between the look and the signal. */
function ignoreMissing(error: unknown): void {
  if (!(error instanceof EngineError) || (error.kind !== "notFound" && error.kind !== "conflict"))
    throw error;
}

/** The exit handler leaves a `--rm` container to whoever stops it, so that a restart can keep it. */
async function removeIfAsked(context: EngineContext, id: string): Promise<void> {
  using _ = await context.locks.acquire(id);
  const container = context.containers.byId(id);
  if (container?.hostConfig.AutoRemove === true && container.state.status === "exited")
    await removeAutomatically(context, container);
}
