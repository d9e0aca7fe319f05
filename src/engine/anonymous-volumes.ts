/** Volumes that only one container has, and that go with it. */
import type { EngineContext } from "./context.ts";

/**
 * Removes an anonymous volume that no container has any more. What fails is tried again, also because somebody still uses
 * it: nobody else would think of it. Never rejects.
 */
export async function dropAnonymousVolume(
  context: EngineContext,
  name: string,
  driver: string,
): Promise<void> {
  await context.leftovers.run(`volume ${name}`, `remove volume ${name}`, async () => {
    if (!context.volumes.isAnonymous(name)) return;
    if (context.containers.list().some(({ mounts }) => mounts.some((mount) => mount.Name === name))) return;
    await context.volumes.remove(name);
    context.events.emit("volume", "destroy", name, { driver });
  });
}
