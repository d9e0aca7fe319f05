import { conflict, invalidArgument } from "../base/errors.ts";
import { parseSignal } from "../container/signals.ts";
import type { ContainerRecord } from "../container/container.ts";
import { emitContainer, type EngineContext } from "./context.ts";

/** Sends a signal (`KILL`, `SIGTERM`, `9`; empty for KILL) to a container's first process. Throws `conflict` when it does not run. */
export async function containerKill(context: EngineContext, nameOrId: string, signal: string): Promise<void> {
  const number = parseSignal(signal === "" ? "KILL" : signal);
  if (number === undefined) throw invalidArgument(`Invalid signal: ${signal}`);
  const container = context.containers.resolve(nameOrId);
  const { status } = container.state;
  if (status !== "running" && status !== "paused")
    throw conflict(`cannot kill container: ${nameOrId}: container ${container.id} is not running`);
  await sendSignal(context, container, number);
}

const sigkill = 9;
const sigterm = 15;

/** Sends a signal and emits the event. A paused container is thawed for a signal that is meant to end it, as with Docker. */
export async function sendSignal(
  context: EngineContext,
  container: ContainerRecord,
  signal: number,
): Promise<void> {
  const runtime = context.runtimes.get(container.runtime);
  await context.monitor.kill(container.id, runtime, signal);
  emitContainer(context, container, "kill", { signal: String(signal) });
  const stopSignal = parseSignal(container.config.StopSignal ?? "") ?? sigterm;
  const isPaused = context.containers.byId(container.id)?.state.status === "paused";
  if (!isPaused || (signal !== sigkill && signal !== stopSignal)) return;
  await context.monitor.resume(container.id, runtime);
  emitContainer(context, context.containers.updateState(container.id, { status: "running" }), "unpause");
}
