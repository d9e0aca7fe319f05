/** What a service mounts, in the API's words. */
import type { ImageInspect } from "../../wire/image.ts";
import type { MountPoint, MountRequest } from "../../wire/container.ts";
import { ComposeError } from "../errors.ts";
import { cleanPath } from "../file/normalize.ts";
import type { FileReference, Project, Service, VolumeMount } from "../model/project.ts";

export interface Mounts {
  readonly binds: string[];
  readonly mounts: MountRequest[];
}

export interface MountsOptions {
  readonly project: Project;
  readonly service: Service;
  /** What the container that is replaced has mounted: its volumes without a name are carried over. */
  readonly inherited?: readonly MountPoint[] | undefined;
  readonly image: ImageInspect | undefined;
}

/** Throws {@link ComposeError} for what only a swarm has. */
export function mountsOf({ project, service, inherited, image }: MountsOptions): Mounts {
  const byTarget = new Map<string, MountRequest | string>();
  const volumes = new Map((service.volumes ?? []).map((volume) => [cleanPath(volume.target), volume]));
  for (const mount of inherited ?? []) {
    if (mount.Type === "tmpfs") continue;
    const target = cleanPath(mount.Destination);
    const own = volumes.get(target);
    const isAnonymous = own !== undefined && (own.source ?? "") === "" && own.type === "volume";
    if (!isAnonymous && image?.Config?.Volumes?.[target] === undefined) continue;
    byTarget.set(target, carriedOver(mount, target));
    if (isAnonymous) volumes.delete(target);
  }
  for (const [target, volume] of volumes) byTarget.set(target, mountOf(project, volume));
  for (const [target, mount] of fileMounts(project, service)) {
    if (!byTarget.has(target)) byTarget.set(target, mount);
  }
  const all = [...byTarget.values()];
  return {
    binds: all.filter((mount) => typeof mount === "string"),
    mounts: all.filter((mount) => typeof mount !== "string"),
  };
}

function carriedOver(mount: MountPoint, target: string): MountRequest {
  const source = mount.Type === "volume" ? (mount.Name ?? "") : mount.Source;
  return { Type: mount.Type, Source: source, Target: target, ReadOnly: !mount.RW };
}

function mountOf(project: Project, volume: VolumeMount): MountRequest | string {
  const { type, target, bind } = volume;
  if (type === "bind" && bind?.create_host_path === true) return bindText(volume);
  const named = type === "volume" ? project.volumes[volume.source ?? ""] : undefined;
  return {
    Type: type,
    Source: named?.name ?? volume.source ?? "",
    Target: cleanPath(target),
    ReadOnly: volume.read_only === true,
    ...(volume.consistency === undefined ? {} : { Consistency: volume.consistency }),
    ...optionsOf(volume),
  };
}

/** `source:target:rw,z`: the older form, with which the daemon makes the directory. */
function bindText({ source = "", target, read_only: readOnly, bind, volume }: VolumeMount): string {
  const options = [readOnly === true ? "ro" : "rw"];
  if (bind?.selinux !== undefined) options.push(bind.selinux);
  if (bind?.propagation !== undefined) options.push(bind.propagation);
  if (volume?.nocopy === true) options.push("nocopy");
  return `${source}:${cleanPath(target)}:${options.join(",")}`;
}

function optionsOf({ type, bind, volume, tmpfs, image }: VolumeMount): Partial<MountRequest> {
  if (type === "bind" && bind !== undefined) {
    const recursive = bind.recursive;
    return {
      BindOptions: {
        ...(bind.propagation === undefined ? {} : { Propagation: bind.propagation }),
        ...(recursive === "disabled" ? { NonRecursive: true } : {}),
        ...(recursive === "writable" ? { ReadOnlyNonRecursive: true } : {}),
        ...(recursive === "readonly" ? { ReadOnlyForceRecursive: true } : {}),
      },
    };
  }
  if (type === "volume" && volume !== undefined) {
    return {
      VolumeOptions: {
        NoCopy: volume.nocopy === true,
        ...(volume.labels === undefined ? {} : { Labels: volume.labels }),
        ...(volume.subpath === undefined ? {} : { Subpath: volume.subpath }),
      },
    };
  }
  if (type === "tmpfs" && tmpfs !== undefined) {
    return { TmpfsOptions: { SizeBytes: tmpfs.size ?? 0, Mode: tmpfs.mode ?? 0 } };
  }
  return type === "image" && image?.subpath !== undefined ? { ImageOptions: { Subpath: image.subpath } } : {};
}

/** Configurations and secrets that are files; those with a content are copied in after creation. */
function fileMounts(project: Project, service: Service): Map<string, MountRequest> {
  const mounts = new Map<string, MountRequest>();
  for (const [kind, references, directory] of [
    ["secret", service.secrets, "/run/secrets/"],
    ["config", service.configs, "/"],
  ] as const) {
    for (const reference of references ?? []) {
      const object = (kind === "secret" ? project.secrets : project.configs)[reference.source];
      if (object === undefined) continue;
      if (object.external === true) throw new ComposeError(`unsupported external ${kind} ${object.name}`);
      const unsupported =
        object.driver !== undefined ? "driver" : object.template_driver && "template_driver";
      if (unsupported) {
        throw new ComposeError(
          `${kind}s.${reference.source}.${unsupported} needs a swarm, which gantry has not`,
        );
      }
      if (object.file === undefined) continue;
      const target = targetOf(reference, directory);
      mounts.set(target, {
        Type: "bind",
        Source: object.file,
        Target: target,
        ReadOnly: true,
      });
    }
  }
  return mounts;
}

/** Where a configuration or a secret is to be in the container. */
export function targetOf({ source, target }: FileReference, directory: string): string {
  if ((target ?? "") === "") return directory + source;
  return target!.startsWith("/") ? target! : directory + target!;
}
