import { conflict, EngineError, isKind } from "../base/errors.ts";
import type { VolumeCreateRequest, VolumeInspect } from "../wire/volume.ts";
import type { EngineContext } from "./context.ts";

/** Makes a volume, or returns the one of that name. Throws as the store does; `unavailable` for a volume of a swarm's. */
export async function volumeCreate(
  context: EngineContext,
  request: VolumeCreateRequest,
): Promise<VolumeInspect> {
  if (request.ClusterVolumeSpec)
    throw new EngineError(
      "unavailable",
      'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    );
  const { volume, isNew } = await context.volumes.create({
    ...(request.Name ? { name: request.Name } : {}),
    ...(request.Driver ? { driver: request.Driver } : {}),
    ...(request.DriverOpts ? { driverOptions: request.DriverOpts } : {}),
    ...(request.Labels ? { labels: request.Labels } : {}),
  });
  if (isNew) context.events.emit("volume", "create", volume.Name, { driver: volume.Driver });
  return volume;
}

/** Removes a volume that no container has. Throws `notFound` (not when forced), `conflict` in Docker's words. */
export async function volumeRemove(
  context: EngineContext,
  name: string,
  { force }: { readonly force: boolean },
): Promise<void> {
  try {
    const volume = force ? await recorded(context, name) : await context.volumes.inspect(name);
    const users = context.containers
      .list()
      .filter((container) => container.mounts.some((mount) => mount.Name === volume.Name))
      .map(({ id }) => id);
    if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.join(", ")}]`);
    await context.volumes.remove(name, { force });
    context.events.emit("volume", "destroy", name, { driver: volume.Driver });
  } catch (error) {
    if (!(force && isKind(error, "notFound"))) throw error;
  }
}

/** A volume that is to go whether its plugin answers or not. */
async function recorded(context: EngineContext, name: string): Promise<VolumeInspect> {
  return context.volumes.records().find(({ Name }) => Name === name) ?? context.volumes.inspect(name);
}
