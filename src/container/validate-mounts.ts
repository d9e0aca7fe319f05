/** `-v`, `--mount`, `--tmpfs` and `--device` of a request. */
import { errorText, invalidArgument, notImplemented } from "../base/errors.ts";
import type { HostConfig, MountRequest } from "../wire/container.ts";
import { checkVolumeName, cleanPath, parseBind, propagationOf } from "./binds.ts";
import { parseDeviceRule } from "./devices.ts";

/** Throws `invalidArgument` with Docker's words, `notImplemented` for mounts that are not served. */
export function validateMounts(host: HostConfig): void {
  const seen = new Set<string>();
  const add = (target: string): void => {
    const clean = cleanPath(target);
    if (seen.has(clean)) throw invalidArgument(`Duplicate mount point: ${clean}`);
    seen.add(clean);
  };
  for (const text of host.Binds ?? []) add(parseBind(text).target);
  for (const mount of host.Mounts ?? []) {
    validateMount(mount);
    add(mount.Target ?? "");
  }
  for (const [target, options] of Object.entries(host.Tmpfs ?? {})) {
    if (!target.startsWith("/"))
      throw invalidArgument(`invalid mount path: '${target}' mount path must be absolute`);
    checkTarget("tmpfs", target);
    for (const option of options.split(",").filter((word) => word !== "")) checkTmpfsOption(option);
    add(target);
  }
  for (const { PathOnHost = "", CgroupPermissions = "" } of host.Devices ?? []) {
    if (PathOnHost === "") throw invalidArgument("invalid device specification: PathOnHost is empty");
    if (!/^[rwm]*$/.test(CgroupPermissions))
      throw invalidArgument(`invalid device specification: bad mode specified: ${CgroupPermissions}`);
  }
  for (const rule of host.DeviceCgroupRules ?? []) parseDeviceRule(rule);
}

function refuse(type: string, reason: string): never {
  throw invalidArgument(`invalid mount config for type "${type}": ${reason}`);
}

function checkTarget(type: string, target: string): void {
  if (target === "") refuse(type, "field Target must not be empty");
  if (!target.startsWith("/")) refuse(type, `invalid mount path: '${target}' mount path must be absolute`);
  if (target.includes("\0")) refuse(type, "field Target must not contain a NUL byte");
  if (cleanPath(target) === "/") refuse(type, "invalid specification: destination can't be '/'");
}

function validateMount(mount: MountRequest): void {
  const { Type: type = "", Source: source = "", ReadOnly: readOnly } = mount;
  if (type === "cluster")
    throw notImplemented(`--mount type=${type} is not served by this engine; it is for swarm mode`);
  if (type !== "bind" && type !== "volume" && type !== "tmpfs" && type !== "image")
    refuse(type, "mount type unknown");
  checkTarget(type, mount.Target ?? "");
  const own = {
    bind: "BindOptions",
    volume: "VolumeOptions",
    tmpfs: "TmpfsOptions",
    image: "ImageOptions",
  } as const;
  for (const field of ["BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions"] as const)
    if (mount[field] && field !== own[type]) refuse(type, `field ${field} must not be specified`);
  if (type === "bind") validateBindMount(mount);
  if (type === "volume") {
    if (source === "" && readOnly === true)
      refuse(type, "must not set ReadOnly mode when using anonymous volumes");
    if (source !== "") checkVolumeName(source);
    const { Subpath: subpath = "" } = mount.VolumeOptions ?? {};
    if (subpath !== "" && source === "") refuse(type, "must not set Subpath when using anonymous volumes");
    checkSubpath(type, subpath);
  }
  if (type === "image") {
    if (source === "") refuse(type, "field Source must not be empty");
    checkSubpath(type, mount.ImageOptions?.Subpath ?? "");
  }
  if (type === "tmpfs") {
    if (source !== "") refuse(type, "field Source must not be specified");
    const { SizeBytes: size = 0, Mode: mode = 0, Options: options } = mount.TmpfsOptions ?? {};
    if (size < 0) refuse(type, `invalid tmpfs size: ${size}`);
    if (mode < 0 || mode > 0o7777) refuse(type, `invalid tmpfs mode: ${mode}`);
    for (const pair of options ?? []) checkTmpfsOption(pair.join("="));
  }
}

function validateBindMount({ Source: source = "", BindOptions: options }: MountRequest): void {
  if (source === "") refuse("bind", "field Source must not be empty");
  if (!source.startsWith("/")) refuse("bind", `invalid mount path: '${source}' mount path must be absolute`);
  if (source.includes("\0")) refuse("bind", "field Source must not contain a NUL byte");
  try {
    propagationOf(options?.Propagation ?? "");
  } catch (error) {
    refuse("bind", errorText(error));
  }
}

/** It must not lead out of where it starts by its text; links are held inside when it is opened. */
function checkSubpath(type: string, subpath: string): void {
  if (subpath.startsWith("/") || leadsOut(subpath))
    refuse(type, "subpath must be a relative path within the volume");
  if (subpath.includes("\0")) refuse(type, "field Subpath must not contain a NUL byte");
}

/** Whether a relative path has more `..` than names before them (Go's filepath.IsLocal). */
function leadsOut(path: string): boolean {
  let depth = 0;
  for (const segment of path.split("/")) {
    if (segment === "..") depth -= 1;
    else if (segment !== "" && segment !== ".") depth += 1;
    if (depth < 0) return true;
  }
  return false;
}

const tmpfsWords: readonly string[] = (
  "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync atime noatime diratime nodiratime " +
  "relatime norelatime strictatime nostrictatime"
).split(" ");

function checkTmpfsOption(option: string): void {
  const [name = "", value] = option.split(/=(.*)/s);
  const isFine =
    value === undefined
      ? tmpfsWords.includes(name)
      : ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"].includes(name) &&
        value !== "";
  if (!isFine) throw invalidArgument(`invalid tmpfs option ["${option}"]`);
}
