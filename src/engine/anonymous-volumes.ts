/** Volumes that only one container has, and that go with it. */
import { errorText, isKind } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { EngineContext } from "./context.ts";

/**
 * Removes an anonymous volume that no container has any more. What fails is tried again: nobody else would think of it.
 * Never rejects.
 */
export async function dropAnonymousVolume(
  context: EngineContext,
  name: string,
  driver: string,
): Promise<void> {
  await context.leftovers.run(`volume ${name}`, `remove volume ${name}`, async () => {
    if (!context.volumes.isAnonymous(name)) return;
    if (context.containers.list().some(({ mounts }) => mounts.some((mount) => mount.Name === name))) return;
    try {
      await context.volumes.remove(name);
    } catch (error) {
      // Somebody uses it all the same.
      if (!isKind(error, "conflict")) throw error;
      log.warn(`could not remove volume ${name}`, { error: errorText(error) });
      return;
    }
    context.events.emit("volume", "destroy", name, { driver });
  });
}
