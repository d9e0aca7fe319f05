/**
 * Files that steps copy from, wherever they are: a context that was received, or the root of a stage. Paths are bytes as
 * latin1, from the tree's root, without a slash in front; the root itself is the empty path.
 */
import { followLinks } from "../../base/follow-links.ts";

export type FileType = "file" | "directory" | "symlink" | "character" | "block" | "fifo";

/** What stat(2) says of each type in `st_mode` (inode(7)). */
export const fileTypeBits: Readonly<Record<FileType, number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  character: 0o020000,
  block: 0o060000,
  fifo: 0o010000,
};

export interface FileEntry {
  /** Where it really is: no part of it but the last may be a link. */
  readonly path: string;
  readonly type: FileType;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly timeNs: bigint;
  readonly linkTarget: string;
  readonly device: { readonly major: number; readonly minor: number };
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  /** The same for names of one file; undefined when it has only one. */
  readonly identity: string | undefined;
}

export interface FileTree {
  /** The entry at a path whose parts are no links; undefined when there is none. */
  stat(path: string): FileEntry | undefined;
  /** Names in a directory, sorted by their bytes. */
  list(path: string): readonly string[];
  /** The bytes of a regular file, in pieces that the next call may overwrite. */
  read(entry: FileEntry): Iterable<Buffer>;
  /** Hex SHA-256 of a regular file's bytes. */
  digest(entry: FileEntry): string;
}

/** Joins two paths of a tree. */
export const joinPath = (directory: string, name: string): string =>
  directory === "" ? name : `${directory}/${name}`;

/** The parts of a path, without empty ones and `.`; `..` takes one away and stops at the root. */
export function cleanParts(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return parts;
}

/**
 * Where a path leads: links in it are followed inside the tree and never out of it, the last part only with
 * `followLast`. What is not there is named as it is asked for. Undefined when links go in a circle.
 */
export function resolvePath(tree: FileTree, path: string, followLast: boolean): string | undefined {
  const readLink = (at: string): string | undefined => {
    const entry = tree.stat(at);
    return entry?.type === "symlink" ? entry.linkTarget : undefined;
  };
  return followLinks(path.split("/"), readLink, followLast)?.join("/");
}

/** The entry that a path leads to; undefined when nothing is there. */
export function findEntry(tree: FileTree, path: string, followLast = true): FileEntry | undefined {
  const resolved = resolvePath(tree, path, followLast);
  return resolved === undefined ? undefined : tree.stat(resolved);
}

/** A tree without anything in it. */
export const emptyTree: FileTree = {
  stat: (path) => (path === "" ? rootEntry : undefined),
  list: () => [],
  read: () => [],
  digest: () => "",
};

export const rootEntry: FileEntry = {
  path: "",
  type: "directory",
  mode: 0o755,
  uid: 0,
  gid: 0,
  sizeBytes: 0,
  timeNs: 0n,
  linkTarget: "",
  device: { major: 0, minor: 0 },
  xattrs: new Map(),
  identity: undefined,
};
