/** What a writable layer changed. Names are bytes as latin1; the tree may change meanwhile (see linux/tree-fd.ts). */
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  type BigIntStats,
} from "node:fs";
import { isErrno } from "../linux/fs-error.ts";
import { getXattr, pathBytes } from "../linux/inode.ts";
import { entryPath, namesIn, openSubdirectory } from "../linux/tree-fd.ts";
import { bytes, findInLayers, isOpaque, isWhiteout, lookup, opaqueXattr } from "./merged-view.ts";

export type ChangeKind = "modified" | "added" | "deleted";

export interface LayerChange {
  /** Relative to the root, without a slash in front. */
  readonly path: string;
  readonly kind: ChangeKind;
}

/** Two trees, or a tree and the layers below it. */
interface Comparison {
  /** What was at a path before; undefined when nothing was. */
  before(path: string): BigIntStats | undefined;
  /** Names that were in a directory before. */
  namesBefore(path: string): string[];
  /** The layer holds only what changed; else it is the whole tree. */
  readonly isOverlay: boolean;
  /** Places that are made for what is mounted there: no changes of the container's. */
  readonly hidden: ReadonlySet<string>;
}

/** Compares overlayfs's upper directory with the layers below it, given from top to bottom. */
export function overlayChanges(
  upper: string,
  lowers: readonly string[],
  hidden: ReadonlySet<string>,
): LayerChange[] {
  return changesIn(upper, {
    before: (path) => findInLayers(lowers, path)?.stat,
    namesBefore: (path) => namesInLayers(lowers, path),
    isOverlay: true,
    hidden,
  });
}

/** Compares a whole tree with the one that it was copied from. */
export function treeChanges(
  tree: string,
  below: string | undefined,
  hidden: ReadonlySet<string>,
): LayerChange[] {
  return changesIn(tree, {
    before: (path) => (below === undefined ? undefined : lookup(`${below}/${path}`)),
    namesBefore: (path) => (below === undefined ? [] : namesOrNone(`${below}/${path}`)),
    isOverlay: false,
    hidden,
  });
}

function changesIn(root: string, comparison: Comparison): LayerChange[] {
  const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  const changes: LayerChange[] = [];
  try {
    const isNew = comparison.isOverlay && getXattr(pathBytes(root), opaqueXattr) !== undefined;
    compareDirectory({ fd, path: "", isNew }, comparison, changes);
  } finally {
    closeSync(fd);
  }
  return changes;
}

interface Place {
  readonly fd: number;
  readonly path: string;
  /** Nothing of the layers below shows through. */
  readonly isNew: boolean;
}

/** Adds the changes below a directory; returns whether names were added or removed in it. */
function compareDirectory(place: Place, comparison: Comparison, changes: LayerChange[]): boolean {
  let hasNewNames = false;
  const names = new Set(namesIn(place.fd));
  // fuse-overlayfs says that a directory is opaque by this file too.
  if (comparison.isOverlay) names.delete(".wh..wh..opq");
  const below = place.isNew || !comparison.isOverlay ? comparison.namesBefore(place.path) : [];
  for (const name of [...new Set([...names, ...below])].sort()) {
    const path = place.path === "" ? name : `${place.path}/${name}`;
    const now = names.has(name) ? statEntry(place.fd, name) : undefined;
    const before = comparison.before(path);
    if (now === undefined || (comparison.isOverlay && isWhiteout(now))) {
      if (before === undefined) continue;
      changes.push({ path, kind: "deleted" });
      hasNewNames = true;
    } else hasNewNames = add({ place, name, path, now, before }, comparison, changes) || hasNewNames;
  }
  return hasNewNames;
}

interface Entry {
  readonly place: Place;
  readonly name: string;
  readonly path: string;
  readonly now: BigIntStats;
  readonly before: BigIntStats | undefined;
}

/** Returns true when the name is new. */
function add(
  { place, name, path, now, before }: Entry,
  comparison: Comparison,
  changes: LayerChange[],
): boolean {
  const isNew = before === undefined;
  // Only what is empty was made for a mount.
  const isHidden = isNew && comparison.hidden.has(path);
  if (!now.isDirectory()) {
    if (isHidden && (now.size === 0n || isLinkOfRuntime(place.fd, name, now))) return false;
    if (isNew || !isSame(now, before) || comparison.isOverlay)
      changes.push({ path, kind: isNew ? "added" : "modified" });
    return isNew;
  }
  const inner: LayerChange[] = [];
  const fd = openIfThere(place.fd, name);
  if (fd === undefined) return false;
  let hasNewNames: boolean;
  try {
    const opaque = getXattr(pathBytes(entryPath(place.fd, name)), opaqueXattr)?.toString("latin1") === "y";
    const isNewHere = comparison.isOverlay && (opaque || place.isNew);
    hasNewNames = compareDirectory({ fd, path, isNew: isNewHere }, comparison, inner);
  } finally {
    closeSync(fd);
  }
  if (isHidden && inner.length === 0) return false;
  // The time of a directory that holds mount points says nothing: making those has changed it.
  const ignoresTime = [...comparison.hidden].some((hidden) => hidden.startsWith(`${path}/`));
  const isModified =
    !isNew &&
    (hasNewNames || !isSameDirectory(now, before) || (!ignoresTime && now.mtimeNs !== before.mtimeNs));
  if (isNew) changes.push({ path, kind: "added" });
  else if (isModified) changes.push({ path, kind: "modified" });
  for (const change of inner) changes.push(change);
  return isNew;
}

/** `/etc/mtab`, which runtimes make; any other link at such a place is of the container's making. */
function isLinkOfRuntime(directoryFd: number, name: string, stat: BigIntStats): boolean {
  return (
    stat.isSymbolicLink() &&
    /^\/proc\/(self\/)?mounts$/.test(readlinkSync(entryPath(directoryFd, name), "utf8"))
  );
}

function isSame(now: BigIntStats, before: BigIntStats): boolean {
  return isSameDirectory(now, before) && now.size === before.size && now.mtimeNs === before.mtimeNs;
}

function isSameDirectory(now: BigIntStats, before: BigIntStats): boolean {
  return now.mode === before.mode && now.uid === before.uid && now.gid === before.gid;
}

function statEntry(directoryFd: number, name: string): BigIntStats | undefined {
  return lstatSync(entryPath(directoryFd, name), { bigint: true, throwIfNoEntry: false });
}

function openIfThere(directoryFd: number, name: string): number | undefined {
  try {
    return openSubdirectory(directoryFd, name);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw error;
  }
}

/** What the layers, from top to bottom, show in a directory. */
function namesInLayers(layers: readonly string[], path: string): string[] {
  const names = new Set<string>();
  for (const layer of layers) {
    const directory = path === "" ? layer : `${layer}/${path}`;
    const stat = lookup(directory);
    if (stat === undefined) continue;
    if (!stat.isDirectory()) break;
    for (const name of namesOrNone(directory)) names.add(name);
    if (isOpaque(directory)) break;
  }
  return [...names].filter(
    (name) => findInLayers(layers, path === "" ? name : `${path}/${name}`) !== undefined,
  );
}

function namesOrNone(directory: string): string[] {
  try {
    return readdirSync(bytes(directory), { encoding: "latin1" });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}
