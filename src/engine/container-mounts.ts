import { existsSync, mkdirSync, statSync } from "node:fs";
import { invalidArgument } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { cleanPath, parseBind, parseVolumesFrom, propagationOf } from "../container/binds.ts";
import type { ContainerConfig, HostConfig, MountPoint, MountRequest } from "../wire/container.ts";
import type { VolumeInspect } from "../wire/volume.ts";
import { dropAnonymousVolume } from "./anonymous-volumes.ts";
import type { EngineContext } from "./context.ts";
import { namedContainer } from "./named-container.ts";

/** What happens beside the making of a volume. */
export interface MakingVolumes {
  readonly undo: AsyncDisposableStack;
  /** Called before a volume without a name of the user's is made. */
  readonly noteAnonymous: (name: string) => void;
}

export interface ResolvedMounts {
  readonly mounts: MountPoint[];
  /** Names of volumes that want the image's content when they are empty. */
  readonly copyUp: ReadonlySet<string>;
}

/**
 * Turns `-v`, `--mount` and the image's VOLUMEs into mount points; makes volumes and missing bind sources of `-v`.
 * `making.undo` takes back what was made. A user's mount on the target of an image's VOLUME replaces it.
 * Throws `invalidArgument` with Docker's words.
 */
export async function resolveMounts(
  context: EngineContext,
  config: ContainerConfig,
  hostConfig: HostConfig,
  making: MakingVolumes,
): Promise<ResolvedMounts> {
  const mounts: MountPoint[] = [];
  const copyUp = new Set<string>();
  const inherited = volumesFrom(context, hostConfig.VolumesFrom ?? []);
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
      const volume = await makeVolume(
        context,
        { name: bind.source, driver: hostConfig.VolumeDriver },
        making,
      );
      add(
        volumeMount(volume, bind.target, { readOnly: bind.readOnly, mode: bind.mode || defaultMode(volume) }),
      );
      if (!bind.noCopy) copyUp.add(volume.Name);
    }
  }
  for (const request of hostConfig.Mounts ?? []) {
    add(await fromRequest(context, request, copyUp, making));
  }
  const isTaken = (target: string): boolean =>
    Object.hasOwn(hostConfig.Tmpfs ?? {}, target) || mounts.some((other) => other.Destination === target);
  mounts.push(...inherited.filter(({ Destination }) => !isTaken(Destination)));
  for (const target of Object.keys(config.Volumes ?? {})) {
    if (isTaken(target)) continue;
    const volume = await makeVolume(context, { driver: hostConfig.VolumeDriver }, making);
    add(volumeMount(volume, target, { readOnly: false, mode: "" }));
    copyUp.add(volume.Name);
  }
  return { mounts, copyUp };
}

/**
 * The mounts of other containers, by `NAME[:MODES]`. What several have on one target is that of the last. Throws
 * `invalidArgument` with Docker's words for a container that is not there and what cannot be read.
 */
function volumesFrom(context: EngineContext, texts: readonly string[]): MountPoint[] {
  const byTarget = new Map<string, MountPoint>();
  for (const text of texts) {
    const { name, mode } = parseVolumesFrom(text);
    const isReadOnly = mode.split(",").includes("ro");
    for (const mount of namedContainer(context, name).mounts)
      byTarget.set(mount.Destination, { ...mount, RW: mount.RW && !isReadOnly, Mode: mode });
  }
  return [...byTarget.values()];
}

async function fromRequest(
  context: EngineContext,
  request: MountRequest,
  copyUp: Set<string>,
  making: MakingVolumes,
): Promise<MountPoint> {
  const { Type: type = "", Source: source = "", Target: target = "", ReadOnly: readOnly = false } = request;
  if (type === "tmpfs")
    return {
      Type: type,
      Source: "",
      Destination: cleanPath(target),
      Mode: "",
      RW: !readOnly,
      Propagation: "",
    };
  if (type === "image") return imageMount(context, request);
  if (type === "bind") return requestedBind(request);
  const options = request.VolumeOptions ?? {};
  const volume = await makeVolume(
    context,
    {
      name: source,
      driver: options.DriverConfig?.Name,
      driverOptions: options.DriverConfig?.Options ?? undefined,
      labels: options.Labels ?? undefined,
    },
    making,
  );
  if (options.NoCopy !== true) copyUp.add(volume.Name);
  const point = volumeMount(volume, target, { readOnly, mode: defaultMode(volume) });
  return options.Subpath ? { ...point, Subpath: options.Subpath } : point;
}

function imageMount(
  context: EngineContext,
  { Source: source = "", Target: target = "", ImageOptions: options }: MountRequest,
): MountPoint {
  return {
    Type: "image",
    Name: source,
    Source: context.images.resolve(source).id,
    Destination: cleanPath(target),
    Mode: "",
    RW: false,
    Propagation: "",
    ...(options?.Subpath ? { Subpath: options.Subpath } : {}),
  };
}

/** Other than with `-v` a source that is missing is made only when that was asked for. */
function requestedBind(request: MountRequest): MountPoint {
  const {
    Source: source = "",
    Target: target = "",
    ReadOnly: readOnly = false,
    BindOptions: options,
  } = request;
  if (!existsSync(source)) {
    if (options?.CreateMountpoint !== true)
      throw invalidArgument(
        `invalid mount config for type "bind": bind source path does not exist: ${source}`,
      );
    makeDirectory(source);
  }
  return bindMount(source, target, {
    readOnly,
    mode: "",
    propagation: options?.Propagation || "rprivate",
  });
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

async function makeVolume(
  context: EngineContext,
  request: VolumeRequest,
  making: MakingVolumes,
): Promise<VolumeInspect> {
  const anonymousName = newId();
  if (!request.name) making.noteAnonymous(anonymousName);
  const { volume, isNew } = await context.volumes.create({
    ...(request.name ? { name: request.name } : { anonymousName }),
    ...(request.driver ? { driver: request.driver } : {}),
    ...(request.driverOptions ? { driverOptions: request.driverOptions } : {}),
    ...(request.labels ? { labels: request.labels } : {}),
  });
  if (isNew) {
    making.undo.defer(() => undoVolume(context, volume));
    context.events.emit("volume", "create", volume.Name, { driver: volume.Driver });
  }
  return volume;
}

/** One with a name may be somebody else's by the time that it can be removed. */
function undoVolume(context: EngineContext, { Name, Driver }: VolumeInspect): Promise<void> {
  return context.volumes.isAnonymous(Name)
    ? dropAnonymousVolume(context, Name, Driver)
    : context.volumes.remove(Name);
}

/** As Docker shows it: a plugin's files have labels of SELinux of their own. */
const defaultMode = ({ Driver }: VolumeInspect): string => (Driver === "local" ? "z" : "");

function volumeMount(
  volume: VolumeInspect,
  target: string,
  options: { readonly readOnly: boolean; readonly mode: string },
): MountPoint {
  return {
    Type: "volume",
    Name: volume.Name,
    Source: volume.Mountpoint,
    Destination: target,
    Driver: volume.Driver,
    Mode: options.mode,
    RW: !options.readOnly,
    Propagation: "",
  };
}

/** A bind source that vanished between create and start is an error that names it. */
export function checkBindSources(mounts: readonly MountPoint[]): void {
  for (const mount of mounts)
    if (mount.Type === "bind" && statSync(mount.Source, { throwIfNoEntry: false }) === undefined)
      throw invalidArgument(
        `error while mounting ${mount.Type} '${mount.Source}' to rootfs at '${mount.Destination}': ${mount.Source}: no such file or directory`,
      );
}
