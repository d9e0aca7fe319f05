import { existsSync, mkdirSync, statSync } from "node:fs";
import { invalidArgument } from "../base/errors.ts";
import { parseBind, propagationOf } from "../container/binds.ts";
import type { ContainerConfig, HostConfig, MountPoint, MountRequest } from "../wire/container.ts";
import type { EngineContext } from "./context.ts";

export interface ResolvedMounts {
  readonly mounts: MountPoint[];
  /** Names of volumes that want the image's content when they are empty. */
  readonly copyUp: ReadonlySet<string>;
}

/**
 * Turns `-v`, `--mount` and the image's VOLUMEs into mount points; makes volumes and missing bind sources of `-v`.
 * `undo` takes back what was made. A user's mount on the target of an image's VOLUME replaces it.
 * Throws `invalidArgument` with Docker's words.
 */
export function resolveMounts(
  context: EngineContext,
  config: ContainerConfig,
  hostConfig: HostConfig,
  undo: DisposableStack,
): ResolvedMounts {
  const mounts: MountPoint[] = [];
  const copyUp = new Set<string>();
  const add = (mount: MountPoint): void => {
    if (mounts.some((other) => other.Destination === mount.Destination))
      throw invalidArgument(`Duplicate mount point: ${mount.Destination}`);
    mounts.push(mount);
  };
  for (const text of hostConfig.Binds ?? []) {
    const bind = parseBind(text);
    if (bind.type === "bind") {
      if (!existsSync(bind.source)) makeDirectory(bind.source);
      add(
        bindMount(bind.source, bind.target, {
          readOnly: bind.readOnly,
          mode: bind.mode,
          propagation: bind.propagation,
        }),
      );
    } else {
      const name = makeVolume(context, { name: bind.source, driver: hostConfig.VolumeDriver }, undo);
      add(volumeMount(context, name, bind.target, { readOnly: bind.readOnly, mode: bind.mode || "z" }));
      if (!bind.noCopy) copyUp.add(name);
    }
  }
  for (const request of hostConfig.Mounts ?? []) {
    const mount = fromRequest(context, request, copyUp, undo);
    if (mount !== undefined) add(mount);
  }
  for (const target of Object.keys(config.Volumes ?? {})) {
    const isTmpfs =
      Object.hasOwn(hostConfig.Tmpfs ?? {}, target) ||
      (hostConfig.Mounts ?? []).some((m) => m.Target === target);
    if (isTmpfs || mounts.some((other) => other.Destination === target)) continue;
    const name = makeVolume(context, {}, undo);
    add(volumeMount(context, name, target, { readOnly: false, mode: "" }));
    copyUp.add(name);
  }
  return { mounts, copyUp };
}

/** tmpfs mounts have no mount point of their own in the record: the OCI spec takes them from the host config. */
function fromRequest(
  context: EngineContext,
  request: MountRequest,
  copyUp: Set<string>,
  undo: DisposableStack,
): MountPoint | undefined {
  const { Type: type = "", Source: source = "", Target: target = "", ReadOnly: readOnly = false } = request;
  if (type === "tmpfs") return undefined;
  if (type === "bind") {
    if (!existsSync(source)) {
      if (request.BindOptions?.CreateMountpoint !== true)
        throw invalidArgument(
          `invalid mount config for type "bind": bind source path does not exist: ${source}`,
        );
      makeDirectory(source);
    }
    return bindMount(source, target, {
      readOnly,
      mode: "",
      propagation: request.BindOptions?.Propagation || "rprivate",
    });
  }
  const options = request.VolumeOptions ?? {};
  const name = makeVolume(
    context,
    {
      name: source,
      driver: options.DriverConfig?.Name,
      driverOptions: options.DriverConfig?.Options ?? undefined,
      labels: options.Labels ?? undefined,
    },
    undo,
  );
  if (options.NoCopy !== true) copyUp.add(name);
  return volumeMount(context, name, target, { readOnly, mode: "z" });
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw invalidArgument(`error while creating mount source path '${path}': ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function bindMount(
  source: string,
  target: string,
  options: { readonly readOnly: boolean; readonly mode: string; readonly propagation: string },
): MountPoint {
  return {
    Type: "bind",
    Source: source,
    Destination: target,
    Mode: options.mode,
    RW: !options.readOnly,
    Propagation: propagationOf(options.propagation),
  };
}

interface VolumeRequest {
  readonly name?: string | undefined;
  readonly driver?: string | undefined;
  readonly driverOptions?: Record<string, string> | undefined;
  readonly labels?: Record<string, string> | undefined;
}

function makeVolume(context: EngineContext, request: VolumeRequest, undo: DisposableStack): string {
  const known = request.name ? context.volumes.list().some((volume) => volume.Name === request.name) : false;
  const volume = context.volumes.create({
    ...(request.name ? { name: request.name } : {}),
    ...(request.driver ? { driver: request.driver } : {}),
    ...(request.driverOptions ? { driverOptions: request.driverOptions } : {}),
    ...(request.labels ? { labels: request.labels } : {}),
  });
  if (!known) {
    undo.defer(() => context.volumes.remove(volume.Name));
    context.events.emit("volume", "create", volume.Name, { driver: volume.Driver });
  }
  return volume.Name;
}

function volumeMount(
  context: EngineContext,
  name: string,
  target: string,
  options: { readonly readOnly: boolean; readonly mode: string },
): MountPoint {
  return {
    Type: "volume",
    Name: name,
    Source: context.volumes.inspect(name).Mountpoint,
    Destination: target,
    Driver: "local",
    Mode: options.mode,
    RW: !options.readOnly,
    Propagation: "",
  };
}

/** A bind source that vanished between create and start is an error that names it. */
export function checkBindSources(mounts: readonly MountPoint[]): void {
  for (const mount of mounts)
    if (statSync(mount.Source, { throwIfNoEntry: false }) === undefined)
      throw invalidArgument(
        `error while mounting ${mount.Type} '${mount.Source}' to rootfs at '${mount.Destination}': ${mount.Source}: no such file or directory`,
      );
}
