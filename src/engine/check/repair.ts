/**
 * What is done about the faults that a check finds. Leftovers are removed. What is damaged is set aside, never deleted,
 * so that the next pull fetches it again. Data that somebody acknowledged stays.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { conflict, EngineError } from "../../base/errors.ts";
import type { ContainerRecord } from "../../container/container.ts";
import { readStoredImage, registerImage } from "../../image/register.ts";
import { detectCgroups, isCgroupEmpty, removeCgroup } from "../../linux/cgroup.ts";
import { unmount } from "../../linux/mount.ts";
import { deleteNetns } from "../../linux/netns.ts";
import { RouteSocket } from "../../linux/rtnetlink.ts";
import { chainIds } from "../../oci/chain-id.ts";
import { parseDigest } from "../../oci/digest.ts";
import { isRemovalLeftover, removeEmptyVolume } from "../../volume/local-driver.ts";
import type { EngineContext } from "../context.ts";
import { ownIds } from "./containers.ts";
import { type CheckedStore, type FaultKind, type Found, isRunning } from "./store.ts";

/** Puts one fault right; throws when it cannot. */
export type Repairs = (found: Found) => Promise<void>;

/** What repairs work with: the drivers, and what only a running daemon or only a data root at rest does in its own way. */
export interface RepairParts extends Pick<EngineContext, "content" | "snapshotter" | "images" | "volumes"> {
  /** Removes those of the blobs and layers that nothing refers to. */
  collect(candidates: ReadonlySet<string>): void;
  /** Puts images on record again whose records were lost. Throws for one that cannot be read. */
  restoreImages(): Promise<void>;
  /** Puts containers on record again whose records were lost. */
  restoreContainers(): void;
  /** Ends and removes what is left of a task. */
  endTask(containerId: string): Promise<void>;
  /** Gives back what a container's network sandbox has. */
  closeSandbox(containerId: string): void;
  /** Writes the firewall's table anew. */
  repairFirewall(): void;
}

/** Where what is damaged is put. */
export const asideDirectory = (dataRoot: string): string => join(dataRoot, "damaged");

export function createRepairs(store: CheckedStore, parts: RepairParts): Repairs {
  const actions = repairActions(store, parts);
  return async (found) => {
    const action = actions[found.kind];
    if (action === undefined) throw new EngineError("notImplemented", "nothing can be done about it here");
    await action(found.object);
  };
}

type Action = (object: string) => unknown;

function repairActions(store: CheckedStore, parts: RepairParts): Partial<Record<FaultKind, Action>> {
  const remove: Action = (path) => rm(path, { recursive: true, force: true });
  const collect: Action = (key) => parts.collect(new Set([key]));
  const endTask: Action = (id) => parts.endTask(basename(id));
  return {
    "blob-damaged": (digest) => setBlobAside(store, digest),
    "blob-orphan": collect,
    "blob-misnamed": (path) => setAside(store, path),
    "ingest-leftover": remove,
    "layer-damaged": (chainId) => unpackAgain(store, parts, chainId),
    "layer-missing": (chainId) => unpack(parts, chainId),
    // Only what was never finished or is being deleted is nobody's for certain.
    "layer-unreadable": (path) =>
      ["tmp", "trash"].includes(basename(dirname(path))) ? remove(path) : setAside(store, path),
    "layer-orphan": async (chainId) => {
      parts.collect(new Set([chainId]));
      // One that came without the driver's knowledge.
      if (!parts.snapshotter.has(chainId))
        await removeSnapshot(store, join("layers", parseDigest(chainId).hex));
    },
    "layer-link-missing": (chainId) => parts.snapshotter.relink?.(chainId),
    "layer-link-orphan": remove,
    "snapshot-orphan": async (key) => {
      if (isUsed(parts, key)) parts.snapshotter.setAside(key, placeAside(store, `writable-${key}`));
      else parts.snapshotter.remove(key);
      await removeSnapshot(store, join("active", key));
    },
    "container-directory-missing": (name) => {
      const { id } = store.containers.list().find((container) => container.name === name)!;
      mkdirSync(join(store.dataRoot, "containers", id), { recursive: true, mode: 0o710 });
    },
    "container-directory-orphan": remove,
    "image-unrecorded": () => parts.restoreImages(),
    "container-unrecorded": () => parts.restoreContainers(),
    "task-leftover": endTask,
    "mount-leftover": (target) => void unmount(target),
    "cgroup-leftover": (path) => endCgroup(store, parts, path),
    "volume-missing": (name) => parts.volumes.remove(name, { force: true }),
    "volume-unrecorded": (name) => parts.volumes.create({ name, driver: "local" }),
    "volume-leftover": async (path) => {
      if (isRemovalLeftover(basename(path))) await remove(path);
      else if (!removeEmptyVolume(path)) throw conflict("somebody has put files into it");
    },
    "network-incomplete": (name) => {
      if (store.live !== undefined) throw conflict("the daemon puts it right with its next start");
      const record = store.networks.networks().find((network) => network.name === name);
      if (record !== undefined) store.networks.removeNetwork(record.id);
    },
    "sandbox-orphan": (id) => parts.closeSandbox(id),
    "namespace-orphan": (path) => deleteNetns(path),
    "device-orphan": async (name) => {
      using host = RouteSocket.open();
      await host.deleteLinkAsync(name);
    },
    "port-rule-missing": () => parts.repairFirewall(),
    "port-rule-orphan": () => parts.repairFirewall(),
  };
}

/** Only what is this store's is killed: others may use a group that was empty when it was looked at. */
async function endCgroup(store: CheckedStore, parts: RepairParts, path: string): Promise<void> {
  const id = basename(path);
  if (ownIds(store)(id)) {
    await parts.endTask(id);
    return;
  }
  const layout = detectCgroups();
  if (!isCgroupEmpty(layout, path)) throw conflict("somebody uses it meanwhile");
  await removeCgroup(layout, path, 0);
}

/** Removes a directory of the storage driver's, whichever it is. */
async function removeSnapshot({ dataRoot }: CheckedStore, path: string): Promise<void> {
  const root = join(dataRoot, "snapshots");
  for (const driver of existsSync(root) ? readdirSync(root) : [])
    await rm(join(root, driver, path), { recursive: true, force: true });
}

/** True for a writable layer with files of somebody's in it. */
function isUsed({ snapshotter }: RepairParts, key: string): boolean {
  if (!snapshotter.has(key)) return false;
  try {
    return snapshotter.changes(key, new Set()).changes.length > 0;
  } catch {
    return true;
  }
}

/** A new path for what is set aside. */
function placeAside(store: CheckedStore, name: string): string {
  const directory = asideDirectory(store.dataRoot);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return join(directory, `${name}-${Date.now()}`);
}

async function setAside(store: CheckedStore, path: string): Promise<void> {
  await rename(path, placeAside(store, basename(path)));
}

async function setBlobAside(store: CheckedStore, digest: string): Promise<void> {
  const { algorithm, hex } = parseDigest(digest);
  await setAside(store, join(store.dataRoot, "content/blobs", algorithm, hex));
}

/** Containers that run on a layer. */
function runningOn(store: CheckedStore, parts: RepairParts, chainId: string): ContainerRecord[] {
  const parents = new Map(parts.snapshotter.list().map(({ key, parent }) => [key, parent]));
  return store.containers.list().filter((container) => {
    if (!isRunning(container)) return false;
    for (let key = parents.get(container.id); key !== undefined; key = parents.get(key))
      if (key === chainId) return true;
    return false;
  });
}

/** A layer's files are replaced by those of its blob. What stands on it is kept apart meanwhile by nobody: it must not run. */
async function unpackAgain(store: CheckedStore, parts: RepairParts, chainId: string): Promise<void> {
  const users = runningOn(store, parts, chainId);
  if (users.length > 0)
    throw conflict(
      `running containers are on this layer: stop ${users.map(({ name }) => name).join(", ")} first`,
    );
  parts.snapshotter.setAside(chainId, placeAside(store, `layer-${parseDigest(chainId).hex}`));
  await unpack(parts, chainId);
}

/** Unpacks what is missing of the first image that has this layer. */
async function unpack(parts: RepairParts, chainId: string): Promise<void> {
  if (parts.snapshotter.has(chainId)) return;
  const image = parts.images.list().find(({ config }) => chainIds(config.rootfs.diff_ids).includes(chainId));
  if (image === undefined) throw new EngineError("notFound", "no image has this layer any more");
  const { manifestDigest: digest, manifestMediaType: mediaType } = image;
  const stored = readStoredImage(parts.content, { digest, mediaType });
  const register = registerImage(parts, stored, { add: () => {} });
  for (let step = await register.next(); step.done !== true;) step = await register.next();
}
