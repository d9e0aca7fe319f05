/** `--live-restore=false`, Docker's default: containers stop with the daemon, and policies start them with the next one. */
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { removeAutomatically } from "./container-remove.ts";
import { stopForDaemon } from "./container-stop.ts";
import type { EngineContext } from "./context.ts";

/**
 * Stops every container, each with its own signal and time-out, all at once. What restart policies want is noted as if
 * they had ended by themselves. Gives up, with a warning, `timeoutSeconds` (negative: never) after the longest time-out.
 */
export async function stopAll(context: EngineContext, timeoutSeconds: number): Promise<void> {
  const running = context.containers
    .list()
    .filter(({ state }) => ["running", "paused", "restarting"].includes(state.status));
  if (running.length === 0) return;
  log.info("stopping containers", { count: running.length });
  const stops = Promise.all(running.map(({ id }) => stopOne(context, id)));
  const longest = Math.max(...running.map(({ config }) => config.StopTimeout ?? 10));
  if (timeoutSeconds < 0 || running.some(({ config }) => (config.StopTimeout ?? 0) < 0)) {
    await stops;
    return;
  }
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(
    () => {
      log.warn("containers still run when the daemon ends");
      late.resolve();
    },
    (Math.max(timeoutSeconds, longest) + graceSeconds) * 1000,
  );
  await Promise.race([stops, late.promise]);
  clearTimeout(timer);
}

/** For what has to be done after a container's last second. */
const graceSeconds = 5;

async function stopOne(context: EngineContext, id: string): Promise<void> {
  try {
    const stopped = await stopForDaemon(context, id);
    if (stopped?.hostConfig.AutoRemove !== true) return;
    using _ = await context.locks.acquire(id);
    const current = context.containers.byId(id);
    if (current !== undefined) await removeAutomatically(context, current);
  } catch (error) {
    log.warn("a container could not be stopped with the daemon", { container: id, error: errorText(error) });
  }
}
