/** The volumes of a container: mounted before its first process starts, unmounted after its last has ended. */
import type { ContainerRecord } from "../container/container.ts";
import type { MountPoint } from "../wire/container.ts";
import { attempt } from "./attempt.ts";
import type { EngineContext } from "./context.ts";

type WithMounts = Pick<ContainerRecord, "mounts">;

/** The volumes that a container has, each once. */
export function volumeNames({ mounts }: WithMounts): string[] {
  return [
    ...new Set(mounts.flatMap(({ Type, Name }) => (Type === "volume" && Name !== undefined ? [Name] : []))),
  ];
}

/**
 * Mounts a container's volumes for `user`. Returns its mount points with the places where they are now: a plugin may
 * choose another one each time. The caller undoes it with {@link unmountVolumes}, also when this throws half-way.
 */
export async function mountVolumes(
  context: EngineContext,
  container: WithMounts,
  user: string,
): Promise<MountPoint[]> {
  const places = new Map<string, string>();
  for (const name of volumeNames(container)) places.set(name, await context.volumes.mount(name, user));
  return container.mounts.map((mount) => {
    const Source = mount.Type === "volume" ? places.get(mount.Name ?? "") : undefined;
    return Source === undefined || Source === mount.Source ? mount : { ...mount, Source };
  });
}

/** Unmounts what {@link mountVolumes} mounted for `user`; failures are logged. */
export async function unmountVolumes(
  context: EngineContext,
  container: WithMounts,
  user: string,
): Promise<void> {
  for (const name of volumeNames(container))
    await attempt(`unmount volume ${name}`, () => context.volumes.unmount(name, user));
}

/** Holds a volume mounted for `user` until it is disposed; a failure of that is logged. */
export async function useVolume(
  context: EngineContext,
  name: string,
  user: string,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await context.volumes.mount(name, user);
  const unmount = (): Promise<void> => context.volumes.unmount(name, user);
  return { path, [Symbol.asyncDispose]: () => attempt(`unmount volume ${name}`, unmount) };
}
