import { errorText } from "../base/errors.ts";
import { crashpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import type { ContainerRecord } from "../container/container.ts";
import { removeMountDirectory, unmount } from "../linux/mount.ts";
import { emitContainer, type EngineContext, taskRuntime } from "./context.ts";
import { emitNetwork } from "./networks.ts";
import { containerPaths } from "./paths.ts";
import { unmountVolumes } from "./volume-mounts.ts";

/**
 * Releases what a task held: its network, the runtime's state, the mounted root, the bundle. It may run again after a
 * crash in its middle. The network goes first and at once, so that addresses and ports are free when the exit is known.
 */
export function releaseTask(context: EngineContext, container: ContainerRecord): Promise<void> {
  releaseNetwork(context, container.id);
  const live = context.live.of(container.id);
  live.cleanup = deleteTask(context, container, live.cleanup);
  context.background.add(live.cleanup);
  return live.cleanup;
}

async function deleteTask(
  context: EngineContext,
  container: ContainerRecord,
  before: Promise<void>,
): Promise<void> {
  await before;
  await dropTask(context, container);
  await unmountVolumes(context, container, container.id);
}

/** What {@link dropTask} could not do is left under this name. */
export const taskLeftovers = (id: string): string => `task of ${id}`;

/**
 * Deletes what the runtime and the monitor keep of a task, and then its bundle, which says where the rest is. What fails
 * is tried again until it works. Never rejects.
 */
export async function dropTask(context: EngineContext, container: ContainerRecord): Promise<void> {
  const { id } = container;
  await context.leftovers.run(taskLeftovers(id), `delete what container ${id} ran with`, async () => {
    await context.monitor.delete(id, taskRuntime(context, container));
    crashpoint("container-exit.runtime-deleted");
    clearBundle(context, id);
    crashpoint("container-exit.bundle-removed");
  });
}

/** Unmounts what is mounted in a container's bundle and removes it. */
function clearBundle(context: EngineContext, id: string): void {
  const paths = containerPaths(context.config, id);
  unmount(paths.rootfs);
  unmount(paths.shm);
  crashpoint("container-exit.unmounted");
  removeMountDirectory(paths.bundle);
}

/** Like {@link clearBundle}; a failure is logged. */
export function removeBundle(context: EngineContext, id: string): void {
  try {
    clearBundle(context, id);
  } catch (error) {
    log.warn(`could not remove the bundle of ${id}`, { error: errorText(error) });
  }
}

/** Gives a container's addresses and ports back, and tells so; a failure is logged. */
export function releaseNetwork(context: EngineContext, id: string): void {
  const sandbox = context.network.get(id);
  if (sandbox === undefined) return;
  try {
    context.network.close(id);
  } catch (error) {
    log.error(`could not release the network of ${id}`, { error: errorText(error) });
  }
  for (const endpoint of sandbox.endpoints) emitNetwork(context, "disconnect", id, endpoint);
}

/** Emits the unmount events of a container's volumes. */
export function emitVolumeUnmounts(context: EngineContext, container: ContainerRecord): void {
  for (const mount of container.mounts)
    if (mount.Type === "volume" && mount.Name !== undefined)
      context.events.emit("volume", "unmount", mount.Name, {
        container: container.id,
        driver: mount.Driver ?? "local",
      });
}

/** Emits `die` with Docker's attributes; `execDuration` is whole seconds. */
export function emitDie(context: EngineContext, container: ContainerRecord): void {
  const ran = Date.parse(container.state.finishedAt) - Date.parse(container.state.startedAt);
  emitContainer(context, container, "die", {
    exitCode: String(container.state.exitCode),
    execDuration: String(Math.max(0, Math.floor(ran / 1000))),
  });
}
