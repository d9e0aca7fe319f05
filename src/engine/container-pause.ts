import { conflict } from "../base/errors.ts";
import { startHealthChecks, stopHealthChecks } from "./health-checks.ts";
import { stoppedHealth } from "../container/health.ts";
import { emitContainer, type EngineContext, taskRuntime } from "./context.ts";

/** Freezes all processes of a running container. Throws `conflict` when it does not run or is frozen already. */
export async function containerPause(context: EngineContext, nameOrId: string): Promise<void> {
  const { id } = context.containers.resolve(nameOrId);
  using _ = await context.locks.acquire(id);
  const container = context.containers.resolve(id);
  if (container.state.status === "paused") throw conflict(`Container ${id} is already paused`);
  if (container.state.status !== "running") throw conflict(`container ${id} is not running`);
  await context.monitor.pause(id, taskRuntime(context, container));
  stopHealthChecks(context, id);
  const { health } = container.state;
  const paused = context.containers.updateState(id, {
    status: "paused",
    ...(health === undefined ? {} : { health: stoppedHealth(health) }),
  });
  emitContainer(context, paused, "pause");
}

/** Lets a frozen container go on. Throws `conflict` when it is not frozen. */
export async function containerUnpause(context: EngineContext, nameOrId: string): Promise<void> {
  const { id } = context.containers.resolve(nameOrId);
  using _ = await context.locks.acquire(id);
  const container = context.containers.resolve(id);
  if (container.state.status !== "paused") throw conflict(`Container ${id} is not paused`);
  await context.monitor.resume(id, taskRuntime(context, container));
  const running = context.containers.updateState(id, { status: "running" });
  startHealthChecks(context, running);
  emitContainer(context, running, "unpause");
}
