import type { ContainerRecord } from "../container/container.ts";
import type { EngineContext } from "./context.ts";

/** Takes back a policy restart that is due: the container stays as it ended. */
export function cancelRestart(context: EngineContext, container: ContainerRecord): ContainerRecord {
  const live = context.live.of(container.id);
  if (container.state.status !== "restarting") return container;
  clearTimeout(live.restartTimer);
  live.restartTimer = undefined;
  live.restartDelayMs = 0;
  return context.containers.updateState(container.id, { status: "exited" });
}
