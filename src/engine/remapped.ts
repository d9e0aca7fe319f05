/**
 * Containers of a daemon with `--userns-remap`: their root is one of the subordinate ids on the host. Layers and volumes stay on
 * disk as images have them, with root as 0, and are mounted through the map of the container's user namespace.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { EngineError, invalidArgument } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import { markRoot, prepareRoot } from "../container/root-files.ts";
import { bindIdmapped } from "../linux/detached-mount.ts";
import { mount, type Mount, unmount } from "../linux/mount.ts";
import { holdNamespaces, type IdMap, type NamespaceHolder } from "../linux/user-namespace.ts";
import type { HostConfig } from "../wire/container.ts";
import type { EngineContext } from "./context.ts";
import type { ContainerPaths } from "./paths.ts";

/** The user namespace of a container that is starting. */
export interface UserNamespace extends AsyncDisposable {
  readonly map: IdMap;
  /** File that the namespace is bound to. */
  readonly path: string;
  /** Descriptor of the namespace that mounts map owners by; it stays open. */
  readonly ownersFd: number;
  /** Process in a network namespace that belongs to it; undefined when the user namespace is another container's. */
  readonly pid: number | undefined;
}

const ownerNamespaces = new Map<string, Promise<number>>();

/** One for each map, made at its first use. */
function ownersNamespace(map: IdMap): Promise<number> {
  const key = JSON.stringify(map);
  let fd = ownerNamespaces.get(key);
  if (fd === undefined) {
    fd = makeOwnersNamespace(map);
    ownerNamespaces.set(key, fd);
    fd.catch(() => ownerNamespaces.delete(key));
  }
  return fd;
}

async function makeOwnersNamespace(map: IdMap): Promise<number> {
  await using holder = await holdNamespaces(map, true);
  return openSync(`/proc/${holder.pid}/ns/user`, "r");
}

/** The map that a container's ids go through; undefined for the host's own ids. */
export function idMapOf(context: EngineContext, hostConfig: HostConfig): IdMap | undefined {
  return hostConfig.UsernsMode === "host" ? undefined : context.config.idMap;
}

/** What does not go together with ids of their own, in Docker's words. Throws `invalidArgument`. */
export function checkRemapped(map: IdMap | undefined, hostConfig: HostConfig): void {
  if (map === undefined) return;
  if (hostConfig.Privileged === true)
    throw invalidArgument(
      "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
    );
  if (hostConfig.NetworkMode === "host")
    throw invalidArgument("cannot share the host's network namespace when user namespaces are enabled");
  if (hostConfig.PidMode === "host")
    throw invalidArgument("cannot share the host PID namespace when user namespaces are enabled");
}

/**
 * The user namespace for a container: one of its own, or that of the container whose other namespaces it joins, which belong to
 * it. Undefined when the container has the host's ids. The file in the bundle stays: {@link dropUserNamespace} is the undo.
 */
export async function openUserNamespace(
  context: EngineContext,
  { hostConfig }: ContainerRecord,
  paths: ContainerPaths,
): Promise<UserNamespace | undefined> {
  const map = idMapOf(context, hostConfig);
  if (map === undefined) return undefined;
  const modes = [hostConfig.NetworkMode, hostConfig.PidMode, hostConfig.IpcMode];
  const mode = modes.find((text) => text?.startsWith("container:") === true);
  const ownersFd = await ownersNamespace(map);
  let holder: NamespaceHolder | undefined;
  let owner: number;
  if (mode === undefined) {
    holder = await holdNamespaces(map);
    owner = holder.pid;
  } else owner = context.containers.resolve(mode.slice("container:".length)).state.pid;
  try {
    writeFileSync(paths.userNamespace, "", { mode: 0o444 });
    mount({ type: "", source: `/proc/${owner}/ns/user`, options: ["bind"] }, paths.userNamespace);
  } catch (error) {
    await holder?.[Symbol.asyncDispose]();
    throw error;
  }
  return {
    map,
    path: paths.userNamespace,
    ownersFd,
    pid: holder?.pid,
    [Symbol.asyncDispose]: async () => holder?.[Symbol.asyncDispose](),
  };
}

/** Unmounts the file of a container's user namespace, if there is one. */
export function dropUserNamespace(paths: ContainerPaths): void {
  if (existsSync(paths.userNamespace)) unmount(paths.userNamespace);
}

/** Mounts a container's root, or an image, with its owners mapped: each layer by itself, then all of them as one. */
export function mountRemapped(
  layers: readonly Mount[],
  target: string,
  { ownersFd: fd, isContainer }: { readonly ownersFd: number; readonly isContainer: boolean },
): void {
  const scratch = `${target}-layers`;
  mkdirSync(scratch, { recursive: true, mode: 0o711 });
  const bound: string[] = [];
  const bindMapped = (source: string): string => {
    const place = join(scratch, String(bound.length));
    mkdirSync(place, { recursive: true });
    bindIdmapped(source, place, fd);
    bound.push(place);
    return place;
  };
  try {
    for (const layer of layers) {
      if (layer.type !== "overlay" && !layer.options.includes("bind"))
        throw new EngineError(
          "unavailable",
          `--userns-remap does not work with a storage driver that mounts ${layer.type}`,
          { hint: "Use overlay2, btrfs or vfs." },
        );
      if (layer.type !== "overlay") {
        if (isContainer) prepareRoot(layer.source);
        bindIdmapped(layer.source, target, fd);
        continue;
      }
      mount({ ...layer, options: mappedOptions(layer.options, bindMapped) }, target);
    }
  } finally {
    // The overlay has mounts of its own of them.
    for (const place of bound) unmount(place);
  }
}

/**
 * The link `/etc/mtab` in an overlay's upper directory, where its /etc is a directory without one. (It is not mounted for
 * that as it is on disk: the end of each overlay writes the whole file system to the disk.)
 */
function linkMountTable(upper: string, lowers: readonly string[]): void {
  const found = [upper, ...lowers]
    .map((layer) => ({ layer, stat: lstatSync(join(layer, "etc"), { throwIfNoEntry: false }) }))
    .filter(({ stat }) => stat !== undefined);
  const top = found[0];
  if (top?.stat?.isDirectory() !== true) return;
  const has = ({ layer, stat }: (typeof found)[number]): boolean =>
    stat?.isDirectory() === true &&
    lstatSync(join(layer, "etc/mtab"), { throwIfNoEntry: false }) !== undefined;
  if (found.some(has)) return;
  const directory = join(upper, "etc");
  if (top.layer !== upper) {
    // What overlayfs itself makes of it when something is written there.
    mkdirSync(directory);
    chownSync(directory, top.stat.uid, top.stat.gid);
    chmodSync(directory, top.stat.mode & 0o7777);
  }
  symlinkSync("/proc/mounts", join(directory, "mtab"));
}

/** The options of an overlay with its directories replaced by their mapped binds. */
function mappedOptions(options: readonly string[], bindMapped: (source: string) => string): string[] {
  // Upper and work directory must be on one mount: that of the directory they are both in.
  let writable = "";
  let lowers: string[] = [];
  let upper = "";
  const mapped = options.map((option) => {
    const [key = "", value = ""] = option.split(/=(.*)/s);
    if (key === "lowerdir") {
      lowers = value.split(/(?<!\\):/).map(unescape);
      return `lowerdir=${lowers.map(bindMapped).join(":")}`;
    }
    if (key !== "upperdir" && key !== "workdir") return option;
    const path = unescape(value);
    if (key === "upperdir") upper = path;
    writable ||= bindMapped(dirname(path));
    return `${key}=${join(writable, basename(path))}`;
  });
  if (upper !== "") {
    markRoot(upper);
    linkMountTable(upper, lowers);
  }
  return mapped;
}

const unescape = (path: string): string => path.replace(/\\(.)/g, "$1");

/** Gives files that the daemon has made for a container to the container's root. */
export function giveToRoot(map: IdMap, files: readonly string[]): void {
  for (const file of files) if (existsSync(file)) chownSync(file, map.uids.first, map.gids.first);
}
