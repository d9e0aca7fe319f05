import { conflict, isKind } from "../base/errors.ts";
import type { VolumeCreateRequest, VolumeInspect } from "../wire/volume.ts";
import type { EngineContext } from "./context.ts";

/** Makes a volume, or returns the one of that name. Throws `invalidArgument`, `notImplemented` for another driver. */
export async function volumeCreate(
  context: EngineContext,
  request: VolumeCreateRequest,
): Promise<VolumeInspect> {
  const known = context.volumes.list().some(({ Name }) => Name === request.Name);
  const volume = context.volumes.create({
    ...(request.Name ? { name: request.Name } : {}),
    ...(request.Driver ? { driver: request.Driver } : {}),
    ...(request.DriverOpts ? { driverOptions: request.DriverOpts } : {}),
    ...(request.Labels ? { labels: request.Labels } : {}),
  });
  if (!known) context.events.emit("volume", "create", volume.Name, { driver: volume.Driver });
  return volume;
}

/** Removes a volume that no container has. Throws `notFound` (not when forced), `conflict` in Docker's words. */
export async function volumeRemove(
  context: EngineContext,
  name: string,
  { force }: { readonly force: boolean },
): Promise<void> {
  try {
    const volume = context.volumes.inspect(name);
    const users = context.containers
      .list()
      .filter((container) => container.mounts.some((mount) => mount.Name === volume.Name))
      .map(({ id }) => id);
    if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.join(", ")}]`);
    context.volumes.remove(name);
    context.events.emit("volume", "destroy", name, { driver: volume.Driver });
  } catch (error) {
    if (!(force && isKind(error, "notFound"))) throw error;
  }
}
