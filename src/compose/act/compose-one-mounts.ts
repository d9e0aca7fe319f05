/** What a container of Docker Compose 1 has mounted. */
import type { ContainerConfig, ContainerInspect, MountPoint, MountRequest } from "../../wire/container.ts";
import { cleanPath } from "../file/normalize.ts";
import type { VolumeMount } from "../model/project.ts";
import type { ContainerPlan } from "../request/create-request.ts";
import { same } from "./compose-one-host.ts";

/** True when what is mounted is what the service wants and the image has, and nothing besides. In doubt false. */
export function sameMounts(
  { project, service }: ContainerPlan,
  image: ContainerConfig,
  found: ContainerInspect,
): boolean {
  const wanted = service.volumes ?? [];
  const requests = found.HostConfig.Mounts ?? [];
  if (!wanted.every(isComparable) || !requests.every(isComparableRequest)) return false;
  const byPlace = new Map(found.Mounts.map((mount) => [mount.Destination, mount]));
  for (const volume of wanted) {
    const { type, source = "", target, read_only: readOnly } = volume;
    const mount = byPlace.get(cleanPath(target));
    const name = type === "volume" ? (project.volumes[source]?.name ?? "") : source;
    if (mount === undefined || mount.Type !== type || mount.RW !== (readOnly !== true)) return false;
    const request = requests.find((each) => cleanPath(each.Target ?? "") === mount.Destination);
    if (!sameOptions(volume, mount, request)) return false;
    if (name !== "" && name !== (type === "volume" ? mount.Name : mount.Source)) return false;
    if (name === "" && type === "volume" && !hasNoName(mount)) return false;
    byPlace.delete(mount.Destination);
  }
  const own = ownPlaces(found, image);
  return byPlace
    .values()
    .every(
      (mount) =>
        (image.Volumes?.[mount.Destination] !== undefined && isOfImage(mount)) ||
        (service.volumes_from !== undefined && !own.has(mount.Destination)),
    );
}

/** Options of a mount are not all shown; how consistent it is means nothing on Linux. */
function isComparable({
  type,
  source: _source,
  target: _target,
  read_only: _readOnly,
  ...more
}: VolumeMount): boolean {
  const { consistency: _consistency, bind = {}, tmpfs = {}, ...options } = more;
  const { create_host_path: _made, ...bindOptions } = bind;
  const { selinux: _selinux, propagation: _propagation, ...rest } = bindOptions;
  const { size: _size, mode: _mode, ...tmpfsRest } = tmpfs;
  return [options, type === "bind" ? rest : bindOptions, type === "tmpfs" ? tmpfsRest : tmpfs].every(isEmpty);
}

/** How a bind is propagated is shown of the mount; how large a tmpfs may be of what was asked for alone. */
function isComparableRequest({
  Type: type,
  BindOptions: bind,
  TmpfsOptions: tmpfs,
  VolumeOptions: volume,
  ImageOptions: image,
}: MountRequest): boolean {
  const { Propagation: _propagation, ...bindOptions } = bind ?? {};
  return [bindOptions, type === "tmpfs" ? undefined : tmpfs, volume, image].every(isEmpty);
}

function sameOptions(
  { type, bind, tmpfs }: VolumeMount,
  mount: MountPoint,
  request: MountRequest | undefined,
): boolean {
  if (type === "tmpfs") {
    const { SizeBytes: sizeBytes, Mode: mode } = request?.TmpfsOptions ?? {};
    return same([tmpfs?.size, tmpfs?.mode], [sizeBytes, mode]) && isPlainMount(mount);
  }
  if (type !== "bind") return isPlainMount(mount);
  const propagation = bind?.propagation || "rprivate";
  const words = wordsOf(mount).filter((word) => word !== mount.Propagation);
  return (
    same(words, bind?.selinux ? [bind.selinux] : []) && (mount.Propagation || "rprivate") === propagation
  );
}

const isEmpty = (options: object | null | undefined): boolean =>
  Object.values(options ?? {}).every((value) => same(value, undefined));

/** Without options. Docker writes `z` of volumes of its own, given or not. */
function isPlainMount(mount: MountPoint): boolean {
  const { Type: type, Propagation: propagation } = mount;
  return (
    wordsOf(mount).every((word) => type === "volume" && word === "z") &&
    ["", "rprivate"].includes(propagation)
  );
}

const wordsOf = ({ Mode: mode }: MountPoint): string[] =>
  mode.split(",").filter((word) => word !== "" && !meaningless.has(word));

const meaningless = new Set(["rw", "ro", "cached", "delegated", "consistent", "default"]);

const hasNoName = ({ Name: name }: MountPoint): boolean => /^[0-9a-f]{64}$/.test(name ?? "");

const isOfImage = (mount: MountPoint): boolean =>
  mount.Type === "volume" && mount.RW && hasNoName(mount) && isPlainMount(mount);

/** Where a container has mounts that were asked for itself: others are its image's, or of `volumes_from`. */
function ownPlaces(
  { HostConfig: host, Config: config }: ContainerInspect,
  image: ContainerConfig,
): Set<string> {
  return new Set([
    ...(host.Binds ?? []).map((bind) => bind.split(":")[1] ?? bind),
    ...(host.Mounts ?? []).map(({ Target: target = "" }) => target),
    ...Object.keys(config.Volumes ?? {}).filter((target) => image.Volumes?.[target] === undefined),
  ]);
}
