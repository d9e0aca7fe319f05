import { conflict, EngineError, invalidArgument } from "../base/errors.ts";
import { within } from "./within.ts";
import { parseSignal } from "../base/signals.ts";
import { cancelRestart } from "./cancel-restart.ts";
import type { ContainerRecord } from "../container/container.ts";
import { startHealthChecks } from "./health-checks.ts";
import { emitContainer, type EngineContext, taskRuntime } from "./context.ts";

/** How long the answer to a KILL waits for the end, in milliseconds: as long as Docker's. */
const killedWithinMs = 10_000;

/**
 * Sends a signal (`KILL`, `SIGTERM`, `9`; empty for KILL) to a container's first process. KILL is answered when the exit
 * is on record, so that the next command finds the container stopped. Throws `conflict` when it does not run.
 */
export async function containerKill(context: EngineContext, nameOrId: string, signal: string): Promise<void> {
  const cannotKill = (why: string): string => `cannot kill container: ${nameOrId}: ${why}`;
  const number = parseSignal(signal === "" ? "KILL" : signal);
  if (number === undefined) throw invalidArgument(cannotKill(wrongSignal(signal)));
  const container = findContainer(context, nameOrId, cannotKill);
  const { status } = container.state;
  if (endsIt(container, number) && status !== "exited" && status !== "created")
    context.containers.updateState(container.id, { stoppedByUser: true });
  if (status === "restarting") return endRestarting(context, container, number);
  if (status !== "running" && status !== "paused")
    throw conflict(cannotKill(`container ${container.id} is not running`));
  const exited = context.live.of(container.id).exited?.promise;
  await sendSignal(context, container, number);
  if (number === sigkill && exited !== undefined) await within(exited, killedWithinMs);
}

function findContainer(
  { containers }: EngineContext,
  nameOrId: string,
  explain: (why: string) => string,
): ContainerRecord {
  try {
    return containers.resolve(nameOrId);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(error.kind, explain(error.message), { cause: error });
  }
}

/** What is wrong with what {@link parseSignal} does not know, as Docker says it. */
function wrongSignal(signal: string): string {
  const isNumber = /^[+-]?\d+$/.test(signal) && Number(signal) !== 0;
  return isNumber
    ? `the linux daemon does not support signal ${Number(signal)}`
    : `invalid signal: ${signal}`;
}

const sigkill = 9;
const sigterm = 15;

/** A signal that is meant to end the container: its restart policy does not act on the exit that follows. */
function endsIt(container: ContainerRecord, signal: number): boolean {
  return signal === sigkill || signal === (parseSignal(container.config.StopSignal ?? "") ?? sigterm);
}

/** There is no process to take a signal; one that would end it means that it shall not come back. */
async function endRestarting(context: EngineContext, { id }: ContainerRecord, signal: number): Promise<void> {
  using _ = await context.locks.acquire(id);
  const container = context.containers.resolve(id);
  if (container.state.status !== "restarting") return sendSignal(context, container, signal);
  if (endsIt(container, signal)) cancelRestart(context, container);
}

/** Sends a signal and emits the event. A paused container is thawed for a signal that is meant to end it, as with Docker. */
export async function sendSignal(
  context: EngineContext,
  container: ContainerRecord,
  signal: number,
): Promise<void> {
  const runtime = taskRuntime(context, container);
  const live = context.live.of(container.id);
  const told = Promise.withResolvers<void>();
  live.signalsTold = live.signalsTold.then(() => told.promise);
  try {
    await context.monitor.kill(container.id, runtime, signal);
    emitContainer(context, container, "kill", { signal: String(signal) });
  } finally {
    told.resolve();
  }
  const isPaused = (): boolean => context.containers.byId(container.id)?.state.status === "paused";
  if (!isPaused() || !endsIt(container, signal)) return;
  await context.monitor.resume(container.id, runtime);
  // Thawed, it may have ended already, and its exit be on record.
  if (!isPaused()) return;
  const running = context.containers.updateState(container.id, { status: "running" });
  startHealthChecks(context, running);
  emitContainer(context, running, "unpause");
}
