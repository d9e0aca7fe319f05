import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { conflict } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import { mount, unmount } from "../linux/mount.ts";
import { openInRoot } from "../linux/resolve-in-root.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { cloneMounts, descriptorPath, entryPath, isDirectoryFd, O_PATH } from "../linux/tree-fd.ts";
import { isErrno } from "../linux/fs-error.ts";
import type { EngineContext } from "./context.ts";
import { knownNameFilePaths } from "./network-files.ts";
import type { IdMap } from "../linux/user-namespace.ts";
import { containerPaths } from "./paths.ts";
import { idMapOf } from "./remapped.ts";
import { mountVolumes, unmountVolumes, volumeNames } from "./volume-mounts.ts";

/** A container's files as it sees them itself, with its volumes and bind mounts. */
export interface ContainerRoot extends Disposable {
  /** Descriptor of the root directory, for `openInRoot`. */
  readonly fd: number;
  readonly container: ContainerRecord;
  /** What its ids are on the host, where they are seen as such: in a container that runs. */
  readonly idMap: IdMap | undefined;
}

/**
 * Opens the root of a container. One that runs is seen through its own process; of one that does not, root and volumes
 * are put together for as long as the root is open, and it cannot be started or removed meanwhile. `withoutMounts`
 * leaves out everything that is mounted over the root.
 */
export async function openContainerRoot(
  context: EngineContext,
  nameOrId: string,
  options: { readonly withoutMounts?: boolean } = {},
): Promise<ContainerRoot> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await openRootNow(context, nameOrId, options);
    } catch (error) {
      if (!(error instanceof TaskEndedError)) throw error;
      if (tries === maxTries)
        throw conflict(
          `container ${error.id} ends again and again: its files cannot be reached at this moment`,
        );
      await context.live.of(error.id).exited?.promise;
    }
  }
}

/** How often a container that has just ended is looked at again, each time after its exit is on record. */
const maxTries = 5;

/** The process of a container that is recorded as running has ended. */
class TaskEndedError extends Error {
  readonly id: string;
  constructor(id: string) {
    super(`the process of container ${id} has ended`);
    this.id = id;
  }
}

async function openRootNow(
  context: EngineContext,
  nameOrId: string,
  options: { readonly withoutMounts?: boolean },
): Promise<ContainerRoot> {
  const bare = options.withoutMounts === true;
  const found = context.containers.resolve(nameOrId);
  const { id } = found;
  // Before the lock: nobody is to wait with us for a server that is away.
  if (!bare) await Promise.all(volumeNames(found).map((name) => context.volumes.requireAnswer(name)));
  const lock = await context.locks.acquire(id);
  try {
    const container = context.containers.resolve(id);
    const { status, pid } = container.state;
    if (status === "removing" || status === "dead")
      throw conflict(`container ${id} is marked for removal: its files cannot be reached`);
    const isRunning = (status === "running" || status === "paused") && pid !== 0;
    const fd = !isRunning
      ? await openStopped(context, container, bare)
      : bare
        ? openSync(containerPaths(context.config, id).rootfs, O_PATH | constants.O_DIRECTORY)
        : openRunning(container, pid);
    // What runs may end, and be removed, while somebody copies: its files stay there until they are closed.
    if (isRunning) lock[Symbol.dispose]();
    let isOpen = true;
    return {
      fd,
      container,
      idMap: isRunning ? idMapOf(context, container.hostConfig) : undefined,
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        closeSync(fd);
        if (!isRunning) giveBack(context, container, lock);
      },
    };
  } catch (error) {
    const container = context.containers.byId(id);
    if (container === undefined) lock[Symbol.dispose]();
    else giveBack(context, container, lock);
    throw error;
  }
}

/** Not the container itself: its own use of its volumes goes from a start to an end. */
const volumeUser = (id: string): string => `files-of-${id}`;

function giveBack(context: EngineContext, container: ContainerRecord, lock: Disposable): void {
  const released = unmountVolumes(context, container, volumeUser(container.id));
  context.background.add(released.finally(() => lock[Symbol.dispose]()));
}

function openRunning(container: ContainerRecord, pid: number): number {
  try {
    const fd = openSync(`/proc/${pid}/root`, O_PATH | constants.O_DIRECTORY);
    let isOurs = false;
    try {
      // The process may have ended a moment ago, and its number may be another's.
      isOurs = isOwnProcess(container, pid);
    } finally {
      if (!isOurs) closeSync(fd);
    }
    if (isOurs) return fd;
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ESRCH", "EACCES")) throw error;
  }
  throw new TaskEndedError(container.id);
}

function isOwnProcess(container: ContainerRecord, pid: number): boolean {
  try {
    if (readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(container.id)) return true;
    // Somebody may have moved it to another group; its parent stays the same.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")")).split(" ")[2] === String(container.state.monitorPid);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return false;
    throw error;
  }
}

async function openStopped(
  context: EngineContext,
  container: ContainerRecord,
  bare: boolean,
): Promise<number> {
  await context.live.of(container.id).cleanup;
  const target = mkdtempSync(join(context.config.execRoot, "root-"));
  let mounted = false;
  try {
    for (const layer of context.snapshotter.mounts(container.id)) mount(layer, target);
    mounted = true;
    if (!bare) {
      const mounts = await mountVolumes(context, container, volumeUser(container.id));
      for (const bind of bindsOf(context, { ...container, mounts })) mountInside(target, bind);
    }
    if (container.hostConfig.ReadonlyRootfs === true)
      mount({ type: "", source: "none", options: ["remount", "bind", "ro"] }, target);
    return cloneMounts(target);
  } finally {
    // Nothing of it stays in sight: a crash later on leaves no mount.
    if (mounted) unmount(target);
    rmdirSync(target);
  }
}

interface Bind {
  readonly source: string;
  /** A directory inside of the source; empty for all of it. */
  readonly subpath: string;
  readonly destination: string;
  readonly readOnly: boolean;
}

/** What is mounted over the root, the outer ones first. */
function bindsOf(context: EngineContext, container: ContainerRecord): Bind[] {
  const { hosts, hostname, resolvConf } = knownNameFilePaths(context, container);
  const files = [
    [hosts, "/etc/hosts"],
    [hostname, "/etc/hostname"],
    [resolvConf, "/etc/resolv.conf"],
  ] as const;
  const own = files.map(([source, destination]) => ({ source, subpath: "", destination, readOnly: false }));
  const mounts = container.mounts.map((point) => ({
    source: point.Source,
    subpath: point.Subpath ?? "",
    destination: point.Destination,
    readOnly: !point.RW,
  }));
  return [...own.filter((file) => !mounts.some((m) => m.destination === file.destination)), ...mounts]
    .filter(({ source }) => source.startsWith("/") && existsSync(source))
    .sort((a, b) => depthOf(a.destination) - depthOf(b.destination));
}

const depthOf = (path: string): number => path.split("/").filter((part) => part !== "").length;

/** Binds it where the destination leads inside the root; a mount point that is missing is made, as a start does. */
function mountInside(root: string, { source, subpath, destination, readOnly }: Bind): void {
  if (subpath !== "") {
    const part = openMountPart(source, subpath);
    if (part === undefined) return;
    try {
      mountInside(root, { source: descriptorPath(part), subpath: "", destination, readOnly });
    } finally {
      closeSync(part);
    }
    return;
  }
  const isDirectory = statSync(source).isDirectory();
  const place = openMountPoint(root, destination, isDirectory);
  if (place === undefined) return;
  try {
    if (isDirectoryFd(place) !== isDirectory) return;
    mount({ type: "", source, options: ["rbind"] }, descriptorPath(place));
  } finally {
    closeSync(place);
  }
  if (!readOnly) return;
  // Opened anew, it is what has just been mounted.
  const mounted = openInRoot(root, destination, O_PATH);
  try {
    mount({ type: "", source: "none", options: ["remount", "bind", "ro"] }, descriptorPath(mounted));
  } finally {
    closeSync(mounted);
  }
}

/** Undefined when it is not there: then a start would fail, too. */
function openMountPart(source: string, subpath: string): number | undefined {
  try {
    return openInRoot(source, subpath, O_PATH);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw error;
  }
}

/** Undefined when there cannot be a mount point: then a start would fail, too. */
function openMountPoint(root: string, destination: string, isDirectory: boolean): number | undefined {
  try {
    return openInRoot(root, destination, O_PATH);
  } catch (error) {
    if (isErrno(error, "ENOTDIR", "ELOOP") || (isErrno(error, "ENOENT") && !isDirectory)) return undefined;
    if (!isErrno(error, "ENOENT")) throw error;
  }
  const name = destination.replace(/\/+$/, "").replace(/^.*\//, "");
  const parent = openMountPoint(root, dirname(destination.replace(/\/+$/, "")), true);
  if (parent === undefined) return undefined;
  try {
    mkdirSync(entryPath(parent, byteStringOf(name)), { mode: 0o755 });
  } catch (error) {
    // A link that leads nowhere.
    if (isErrno(error, "EEXIST", "ENOTDIR")) return undefined;
    throw error;
  } finally {
    closeSync(parent);
  }
  return openInRoot(root, destination, O_PATH);
}
