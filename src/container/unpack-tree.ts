/**
 * Unpacking an archive into a tree that may change meanwhile: what `cp` sends into a container. Every directory on an
 * entry's way is resolved by the kernel inside the container's root, and the entry itself is made beside whatever link
 * has its name (see linux/tree-fd.ts), so that nothing outside of the root is ever touched.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeSync,
  type BigIntStats,
} from "node:fs";
import { EngineError, invalidArgument } from "../base/errors.ts";
import { fileSystemError, isErrno } from "../linux/fs-error.ts";
import { makeNode, pathBytes, setTimes, setXattr } from "../linux/inode.ts";
import { openInRoot } from "../linux/resolve-in-root.ts";
import { descriptorPath, entryPath, O_PATH, removeEntry } from "../linux/tree-fd.ts";
import { entriesInSlices } from "../oci/tar-entries.ts";
import { byteStringOf, type TarEntry, TarReader, textOf } from "../oci/tar-reader.ts";
import type { IdMap } from "../linux/user-namespace.ts";

export interface UnpackTreeOptions {
  /** Descriptor of the container's root. */
  readonly rootFd: number;
  /** Directory in the container that the names of the archive begin at. It exists. */
  readonly directory: string;
  /** A directory never takes the place of something else, nor the other way round. */
  readonly keepKinds: boolean;
  /** Owner of everything; the archive's own ids when undefined. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** Where ids of the archive are other ones on the host. */
  readonly idMap?: IdMap | undefined;
}

/** Unpacks an uncompressed tar. Throws `invalidArgument` for what is malformed or would leave the directory. */
export async function unpackTree(tar: AsyncIterable<Uint8Array>, options: UnpackTreeOptions): Promise<void> {
  const reader = new TarReader(tar);
  const unpacker = new TreeUnpacker(options);
  for await (const entry of entriesInSlices(reader)) await unpacker.unpack(entry, reader);
  unpacker.finish();
}

/** Components below the directory. Throws when the name climbs out of it. */
function partsOf(name: string): string[] {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined)
      throw invalidArgument(
        `${JSON.stringify(textOf(name))} is outside of the directory that is unpacked into`,
      );
  }
  return parts;
}

class TreeUnpacker {
  readonly #options: UnpackTreeOptions;
  readonly #base: string;
  /** Times of directories, set at the end: unpacking into them changes them. */
  readonly #directoryTimes = new Map<string, bigint>();

  constructor(options: UnpackTreeOptions) {
    this.#options = options;
    this.#base = byteStringOf(options.directory).replace(/\/+$/, "");
  }

  async unpack(entry: TarEntry, reader: TarReader): Promise<void> {
    try {
      const parts = partsOf(entry.name);
      const name = parts.pop();
      // The directory itself is there and stays as it is.
      if (name === undefined) return;
      const parent = this.#openParent(parts);
      try {
        await this.#create({ parent, name, path: [...parts, name].join("/") }, entry, reader);
      } finally {
        closeSync(parent);
      }
    } catch (error) {
      const what = `unpack ${textOf(entry.name)}`;
      if (!(error instanceof EngineError)) throw fileSystemError(what, error);
      throw error;
    }
  }

  finish(): void {
    for (const [path, timeNs] of this.#directoryTimes) {
      try {
        const fd = this.#open(path);
        setTimes(pathBytes(`${descriptorPath(fd)}/.`), timeNs);
        closeSync(fd);
      } catch (error) {
        if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error;
      }
    }
  }

  #open(path: string): number {
    const inContainer = Buffer.from(`${this.#base}/${path}`, "latin1");
    return openInRoot(this.#options.rootFd, inContainer, O_PATH | constants.O_DIRECTORY);
  }

  /** Opens the directory that an entry is in; one that is missing is made. */
  #openParent(parts: readonly string[]): number {
    try {
      return this.#open(parts.join("/"));
    } catch (error) {
      if (!isErrno(error, "ENOENT") || parts.length === 0) throw error;
    }
    const grandparent = this.#openParent(parts.slice(0, -1));
    try {
      const path = entryPath(grandparent, parts.at(-1)!);
      mkdirSync(path, { mode: 0o755 });
      const { owner, idMap } = this.#options;
      if (owner !== undefined || idMap !== undefined) {
        const { uid, gid } = this.#ownerOf({ uid: 0, gid: 0 });
        lchownSync(path, uid, gid);
      }
    } finally {
      closeSync(grandparent);
    }
    return this.#open(parts.join("/"));
  }

  async #create(
    place: { readonly parent: number; readonly name: string; readonly path: string },
    entry: TarEntry,
    reader: TarReader,
  ): Promise<void> {
    const { parent, name } = place;
    const path = entryPath(parent, name);
    const existing = lookup(path);
    const isDirectory = entry.type === "directory";
    if (existing !== undefined) this.#makeRoom(place, existing, isDirectory);
    if (entry.type === "link") {
      this.#hardLink(path, entry);
      return;
    }
    if (entry.type === "file") await this.#writeFile(path, entry, reader);
    else if (isDirectory) {
      if (existing?.isDirectory() !== true) mkdirSync(path, { mode: 0o700 });
    } else makeSpecial(path, entry);
    if (entry.type !== "file") this.#setMetadata(path, entry);
    setXattrs(path, entry);
    if (isDirectory) this.#directoryTimes.set(place.path, entry.timeNs);
    else setTimes(pathBytes(path), entry.timeNs);
  }

  /** Takes away what has the entry's name, unless both are directories. */
  #makeRoom(
    { parent, name, path }: { readonly parent: number; readonly name: string; readonly path: string },
    existing: BigIntStats,
    isDirectory: boolean,
  ): void {
    const shown = JSON.stringify(textOf(`${this.#base}/${path}`));
    const source = JSON.stringify(textOf(name));
    if (this.#options.keepKinds && existing.isDirectory() && !isDirectory)
      throw invalidArgument(`cannot overwrite directory ${shown} with non-directory ${source}`);
    if (this.#options.keepKinds && !existing.isDirectory() && isDirectory)
      throw invalidArgument(`cannot overwrite non-directory ${shown} with directory ${source}`);
    if (!(existing.isDirectory() && isDirectory)) removeEntry(parent, name);
  }

  #hardLink(path: Buffer, entry: TarEntry): void {
    const parts = partsOf(entry.linkName);
    const name = parts.pop();
    if (name === undefined) throw invalidArgument(`${textOf(entry.name)} is a hard link to a directory`);
    const parent = this.#open(parts.join("/"));
    try {
      linkSync(entryPath(parent, name), path);
    } finally {
      closeSync(parent);
    }
  }

  #ownerOf(entry: { readonly uid: number; readonly gid: number }): { uid: number; gid: number } {
    const { owner, idMap } = this.#options;
    const { uid, gid } = owner ?? entry;
    return { uid: uid + (idMap?.uids.first ?? 0), gid: gid + (idMap?.gids.first ?? 0) };
  }

  async #writeFile(path: Buffer, entry: TarEntry, reader: TarReader): Promise<void> {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      await writeData(fd, entry, reader);
      const { uid, gid } = this.#ownerOf(entry);
      // Owner first: changing it clears setuid and capabilities.
      fchownSync(fd, uid, gid);
      fchmodSync(fd, entry.mode);
    } finally {
      closeSync(fd);
    }
  }

  #setMetadata(path: Buffer, entry: TarEntry): void {
    const { uid, gid } = this.#ownerOf(entry);
    lchownSync(path, uid, gid);
    if (entry.type === "symlink") return;
    const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
    try {
      chmodSync(descriptorPath(fd), entry.mode);
    } finally {
      closeSync(fd);
    }
  }
}

function lookup(path: Buffer): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true });
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function makeSpecial(path: Buffer, entry: TarEntry): void {
  if (entry.type === "symlink") {
    if (entry.linkName === "") throw invalidArgument(`the symbolic link ${textOf(entry.name)} has no target`);
    symlinkSync(Buffer.from(entry.linkName, "latin1"), path);
    return;
  }
  const { S_IFCHR, S_IFBLK, S_IFIFO } = constants;
  const kind = entry.type === "character" ? S_IFCHR : entry.type === "block" ? S_IFBLK : S_IFIFO;
  makeNode(pathBytes(path), kind | 0o600, entry.device);
}

function setXattrs(path: Buffer, entry: TarEntry): void {
  for (const [name, value] of entry.xattrs) {
    // overlayfs keeps its own state there, and the kernel takes user attributes on files and directories only.
    if (name.startsWith("trusted.") || name.startsWith("user.overlay.")) continue;
    if (name.startsWith("user.") && entry.type !== "file" && entry.type !== "directory") continue;
    setXattr(pathBytes(path), name, value);
  }
}

/** The pieces of a file where they belong; the holes between them stay holes. */
async function writeData(fd: number, entry: TarEntry, reader: TarReader): Promise<void> {
  const pieces = entry.sparse?.pieces ?? [{ offset: 0, sizeBytes: entry.sizeBytes }];
  let rest: Buffer = Buffer.alloc(0);
  for (const { offset, sizeBytes } of pieces) {
    for (let position = offset; position < offset + sizeBytes;) {
      if (rest.length === 0) rest = (await reader.read()) ?? Buffer.alloc(0);
      if (rest.length === 0) throw invalidArgument("a file in the archive is shorter than its header says");
      const chunk = rest.subarray(0, offset + sizeBytes - position);
      const written = writeSync(fd, chunk, 0, chunk.length, position);
      position += written;
      rest = rest.subarray(written);
    }
  }
  if (entry.sparse !== undefined) ftruncateSync(fd, entry.sizeBytes);
}
