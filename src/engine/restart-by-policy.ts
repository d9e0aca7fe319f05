import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { scheduleRestart } from "./container-exit.ts";
import { startLocked } from "./container-start.ts";
import type { EngineContext } from "./context.ts";
import { wantsRestart } from "./restart-policy.ts";

/** Starts a container again for its policy; when that fails it is tried again after the next delay. */
export async function restartByPolicy(context: EngineContext, id: string): Promise<void> {
  using _ = await context.locks.acquire(id);
  const container = context.containers.byId(id);
  if (container === undefined || container.state.status !== "restarting") return;
  try {
    const counted = context.containers.update(id, { restartCount: container.restartCount + 1 });
    await startLocked(context, counted);
  } catch (error) {
    log.warn(`restart of container ${container.name} failed`, { container: id, error: errorText(error) });
    const failed = context.containers.byId(id);
    if (failed !== undefined && wantsRestart(failed)) scheduleRestart(context, failed, 0);
  }
}
