/**
 * Unpacking a layer: a tar with whiteouts (OCI image specification 1.1, layer, section Whiteouts) into a directory.
 *
 * The tar is hostile until proven otherwise. Every name is made clean, its parent directory is resolved inside the root
 * component by component, and the last component is never followed; so nothing outside of the root is ever opened,
 * linked, or changed. All paths are byte strings (see oci/tar-reader.ts).
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeSync,
  type BigIntStats,
} from "node:fs";
import { EngineError, invalidArgument } from "../base/errors.ts";
import { followLinks } from "../base/follow-links.ts";
import { MemoryBudget } from "../base/memory-budget.ts";
import { entriesInSlices } from "../oci/tar-entries.ts";
import { byteStringOf, type TarEntry, TarReader, textOf } from "../oci/tar-reader.ts";
import { copyMetadata } from "../linux/copy-tree.ts";
import { fileSystemError, isErrno } from "../linux/fs-error.ts";
import { makeNode, pathBytes, setOpenTimes, setTimes, setXattr } from "../linux/inode.ts";
import { bytes, findInLayers, isWhiteout, lookup, opaqueXattr } from "./merged-view.ts";

const whiteoutPrefix = ".wh.";
const whiteoutMetaPrefix = ".wh..wh.";
const opaqueMarker = ".wh..wh..opq";
/** What a path in a set or map costs besides its letters. */
const pathBytesKept = 128;
/** So many resolved directories are remembered: archives go through theirs one after another. */
const mostDirectories = 1_024;

export interface UnpackTarget {
  /** An existing directory. */
  readonly root: string;
  /**
   * `overlay`: the directory holds this layer alone; whiteouts become overlayfs's marks.
   * `merged`: the directory holds the layers below too; whiteouts remove.
   */
  readonly form: "overlay" | "merged";
  /** With `overlay`: the directories of the layers below, from top to bottom. */
  readonly lowers?: readonly string[];
  /** What may be kept in memory of the layer's names; a share of the heap unless it is given. */
  readonly namesLimitBytes?: number;
}

export interface UnpackResult {
  readonly sizeBytes: number;
  readonly inodes: number;
}

/** Unpacks a tar stream. Throws `invalidArgument` for what is malformed or would leave the root. */
export async function unpackLayer(
  tar: AsyncIterable<Uint8Array>,
  target: UnpackTarget,
): Promise<UnpackResult> {
  using unpacker = new LayerUnpacker(target);
  const reader = new TarReader(tar);
  for await (const entry of entriesInSlices(reader)) await unpacker.unpack(entry, reader);
  return unpacker.finish();
}

/** The components of an entry's name. Throws when it climbs above the root. */
function cleanParts(name: string): string[] {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      if (parts.pop() === undefined)
        throw invalidArgument(`layer entry ${JSON.stringify(textOf(name))} is outside of the layer`);
    } else parts.push(part);
  }
  return parts;
}

class LayerUnpacker implements Disposable {
  readonly #root: string;
  readonly #form: UnpackTarget["form"];
  readonly #lowers: readonly string[];
  /** Directory as named -> directory as resolved. Emptied whenever something is removed: then it may no longer be true. */
  readonly #directories = new Map<string, string>();
  /** Times of directories, set at the end: unpacking into them changes them. */
  readonly #directoryTimes = new Map<string, bigint>();
  /** What this layer made, by resolved path: its own whiteouts do not touch that. Kept for `merged` alone, which asks. */
  readonly #made = new Set<string>();
  /** For the times and what was made, which grow with the layer; the resolved directories do not. */
  readonly #budget: MemoryBudget;
  #sizeBytes = 0;
  #inodes = 0;

  constructor(target: UnpackTarget) {
    this.#root = byteStringOf(target.root);
    this.#form = target.form;
    this.#lowers = (target.lowers ?? []).map(byteStringOf);
    this.#budget = new MemoryBudget("the layer has too many files", {
      limitBytes: target.namesLimitBytes,
      recordBytes: pathBytesKept,
    });
  }

  async unpack(entry: TarEntry, reader: TarReader): Promise<void> {
    try {
      const parts = cleanParts(entry.name);
      const base = parts.pop();
      if (base === undefined) {
        if (entry.type !== "directory")
          throw invalidArgument("a layer entry for the root directory is no directory");
        this.#setMetadata(this.#root, entry);
        this.#noteTime(this.#root, entry.timeNs);
      } else if (base.startsWith(whiteoutMetaPrefix) || base.startsWith(whiteoutPrefix))
        this.#whiteout(parts, base);
      else await this.#create(`${this.#directory(parts)}/${base}`, entry, reader);
    } catch (error) {
      throw describe(error, entry);
    }
  }

  [Symbol.dispose](): void {
    this.#budget[Symbol.dispose]();
  }

  finish(): UnpackResult {
    for (const [path, timeNs] of this.#directoryTimes) setTimes(pathBytes(bytes(path)), timeNs);
    return { sizeBytes: this.#sizeBytes, inodes: this.#inodes };
  }

  #noteTime(path: string, timeNs: bigint): void {
    if (!this.#directoryTimes.has(path)) this.#budget.take(path.length);
    this.#directoryTimes.set(path, timeNs);
  }

  #noteMade(path: string): void {
    if (this.#form !== "merged" || this.#made.has(path)) return;
    this.#budget.take(path.length);
    this.#made.add(path);
  }

  async #create(path: string, entry: TarEntry, reader: TarReader): Promise<void> {
    if (entry.type === "file") {
      await this.#writeFile(path, entry, reader);
      return;
    }
    const existing = lookup(path);
    const isDirectory = entry.type === "directory";
    const coversWhiteout = existing !== undefined && this.#form === "overlay" && isWhiteout(existing);
    if (existing !== undefined && !(isDirectory && existing.isDirectory())) this.#remove(path, existing);
    if (isDirectory) {
      if (existing?.isDirectory() !== true) this.#makeDirectory(path);
      if (coversWhiteout) setXattr(pathBytes(bytes(path)), opaqueXattr, Buffer.from("y"));
      this.#noteTime(path, entry.timeNs);
    } else if (entry.type === "link") {
      this.#hardLink(path, entry);
      return;
    } else this.#makeSpecial(path, entry);
    this.#noteMade(path);
    this.#inodes += 1;
    this.#setMetadata(path, entry);
    if (!isDirectory) setTimes(pathBytes(bytes(path)), entry.timeNs);
  }

  #makeSpecial(path: string, entry: TarEntry): void {
    if (entry.type === "symlink") {
      if (entry.linkName === "") throw invalidArgument("the symbolic link has no target");
      symlinkSync(bytes(entry.linkName), bytes(path));
      return;
    }
    const { S_IFCHR, S_IFBLK, S_IFIFO } = constants;
    const kind = entry.type === "character" ? S_IFCHR : entry.type === "block" ? S_IFBLK : S_IFIFO;
    makeNode(pathBytes(bytes(path)), kind | 0o600, entry.device);
  }

  #hardLink(path: string, entry: TarEntry): void {
    const parts = cleanParts(entry.linkName);
    const base = parts.pop();
    const target = base === undefined ? undefined : `${this.#directory(parts)}/${base}`;
    const stat = target === undefined ? undefined : lookup(target);
    if (target === undefined || stat === undefined || stat.isDirectory())
      throw invalidArgument(`it is a hard link to ${textOf(entry.linkName)}, which is no file of this layer`);
    linkSync(bytes(target), bytes(path));
    this.#noteMade(path);
  }

  async #writeFile(path: string, entry: TarEntry, reader: TarReader): Promise<void> {
    const fd = this.#openNew(path, entry.mode & 0o777);
    try {
      this.#noteMade(path);
      this.#inodes += 1;
      if (entry.sparse === undefined) await writeAll(fd, reader);
      else await writeSparse(fd, entry, reader);
      // A look is cheap, and each change costs the file system an entry in its journal.
      const made = fstatSync(fd);
      // Owner first: changing it clears setuid and capabilities.
      if (made.uid !== entry.uid || made.gid !== entry.gid) fchownSync(fd, entry.uid, entry.gid);
      if ((made.mode & 0o7777) !== entry.mode) fchmodSync(fd, entry.mode);
      this.#setXattrs(path, entry);
      setOpenTimes(fd, entry.timeNs);
    } finally {
      closeSync(fd);
    }
    this.#sizeBytes += entry.sizeBytes;
  }

  /** A new file for writing; what was there before goes. Mostly there is nothing, so that is looked for last. */
  #openNew(path: string, mode: number): number {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const openIt = (): number => openSync(bytes(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    try {
      return openIt();
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
    }
    const existing = lookup(path);
    if (existing !== undefined) this.#remove(path, existing);
    return openIt();
  }

  #setMetadata(path: string, entry: TarEntry): void {
    lchownSync(bytes(path), entry.uid, entry.gid);
    if (entry.type !== "symlink") chmodSync(bytes(path), entry.mode);
    this.#setXattrs(path, entry);
  }

  #setXattrs(path: string, entry: TarEntry): void {
    for (const [name, value] of entry.xattrs) {
      // overlayfs keeps its own state there; a layer has no business in it.
      if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.")) continue;
      // The kernel takes user attributes on files and directories only.
      if (name.startsWith("user.") && entry.type !== "file" && entry.type !== "directory") continue;
      setXattr(pathBytes(bytes(path)), name, value);
    }
  }

  #whiteout(parents: readonly string[], base: string): void {
    if (base === opaqueMarker) {
      const directory = this.#directory(parents);
      if (this.#form === "overlay") setXattr(pathBytes(bytes(directory)), opaqueXattr, Buffer.from("y"));
      else this.#removeFromBelow(directory);
      return;
    }
    // Other names of this form are bookkeeping of aufs, of no use anywhere else.
    if (base.startsWith(whiteoutMetaPrefix)) return;
    const name = base.slice(whiteoutPrefix.length);
    if (name === "" || name === "." || name === "..") throw invalidArgument("it deletes no name");
    const path = `${this.#directory(parents)}/${name}`;
    const existing = lookup(path);
    if (this.#form === "merged") {
      if (existing === undefined) return;
      if (existing.isDirectory()) {
        this.#removeFromBelow(path);
        if (!this.#made.has(path)) removeIfEmpty(path);
      } else if (!this.#made.has(path)) unlinkSync(bytes(path));
    } else if (existing === undefined)
      makeNode(pathBytes(bytes(path)), constants.S_IFCHR, { major: 0, minor: 0 });
    else if (existing.isDirectory()) setXattr(pathBytes(bytes(path)), opaqueXattr, Buffer.from("y"));
  }

  /** In a merged directory: removes everything that came from the layers below. */
  #removeFromBelow(directory: string): void {
    for (const name of readdirSync(bytes(directory), { encoding: "latin1" })) {
      const path = `${directory}/${name}`;
      const stat = lookup(path);
      if (stat === undefined) continue;
      if (stat.isDirectory()) {
        this.#removeFromBelow(path);
        if (!this.#made.has(path)) removeIfEmpty(path);
      } else if (!this.#made.has(path)) unlinkSync(bytes(path));
    }
    this.#directories.clear();
  }

  #remove(path: string, stat: BigIntStats): void {
    this.#directories.clear();
    if (!stat.isDirectory()) {
      unlinkSync(bytes(path));
      return;
    }
    rmSync(bytes(path), { recursive: true });
    const forget = (from: { delete(key: string): unknown }, key: string): void => {
      from.delete(key);
      this.#budget.give(key.length);
    };
    for (const key of this.#directoryTimes.keys())
      if (key === path || key.startsWith(`${path}/`)) forget(this.#directoryTimes, key);
    for (const key of this.#made) if (key.startsWith(`${path}/`)) forget(this.#made, key);
  }

  #makeDirectory(path: string): void {
    mkdirSync(bytes(path), { mode: 0o755 });
    chmodSync(bytes(path), 0o755);
  }

  /** The directory that `parts` name, resolved inside the root; made when it is missing. */
  #directory(parts: readonly string[]): string {
    if (parts.length === 0) return this.#root;
    const key = parts.join("/");
    const cached = this.#directories.get(key);
    if (cached !== undefined) return cached;
    const resolved = followLinks(parts, (at) => this.#enter(at));
    if (resolved === undefined) throw invalidArgument("there are too many symbolic links in its path");
    const path = [this.#root, ...resolved].join("/");
    // Links give one directory names without end.
    if (this.#directories.size >= mostDirectories) this.#directories.clear();
    this.#directories.set(key, path);
    return path;
  }

  /** Makes sure that a directory is at `relative`, or returns the target of the symbolic link that is there. */
  #enter(relative: string): string | undefined {
    const path = `${this.#root}/${relative}`;
    const stat = lookup(path);
    if (stat?.isDirectory() === true) return undefined;
    if (stat?.isSymbolicLink() === true) return readlinkSync(bytes(path), { encoding: "latin1" });
    if (stat !== undefined && !(this.#form === "overlay" && isWhiteout(stat)))
      throw invalidArgument(`${textOf(relative)} in its path is no directory`);
    // Not in this layer: it may be in one below, which then decides what it is.
    const below = stat === undefined ? findInLayers([this.#root, ...this.#lowers], relative) : undefined;
    if (below?.stat.isSymbolicLink() === true) return readlinkSync(bytes(below.path), { encoding: "latin1" });
    if (stat !== undefined) this.#remove(path, stat);
    this.#makeDirectory(path);
    this.#noteMade(path);
    this.#inodes += 1;
    if (stat !== undefined) setXattr(pathBytes(bytes(path)), opaqueXattr, Buffer.from("y"));
    if (below?.stat.isDirectory() === true) {
      copyMetadata(bytes(below.path), bytes(path), below.stat);
      this.#noteTime(path, below.stat.mtimeNs);
    }
    return undefined;
  }
}

function removeIfEmpty(path: string): void {
  try {
    rmdirSync(bytes(path));
  } catch (error) {
    if (!isErrno(error, "ENOTEMPTY", "EEXIST")) throw error;
  }
}

async function writeAll(fd: number, reader: TarReader): Promise<void> {
  for (let chunk = await reader.read(); chunk !== undefined; chunk = await reader.read())
    writeChunk(fd, chunk, null);
}

function writeChunk(fd: number, chunk: Buffer, position: number | null): void {
  let done = 0;
  while (done < chunk.length)
    done += writeSync(fd, chunk, done, chunk.length - done, position === null ? null : position + done);
}

async function writeSparse(fd: number, entry: TarEntry, reader: TarReader): Promise<void> {
  let rest = Buffer.alloc(0);
  for (const piece of entry.sparse!.pieces) {
    let position = piece.offset;
    const end = piece.offset + piece.sizeBytes;
    while (position < end) {
      if (rest.length === 0) rest = Buffer.from((await reader.read()) ?? []);
      if (rest.length === 0) throw invalidArgument("the sparse file is shorter than its map says");
      const chunk = rest.subarray(0, end - position);
      writeChunk(fd, chunk, position);
      position += chunk.length;
      rest = rest.subarray(chunk.length);
    }
  }
  ftruncateSync(fd, entry.sizeBytes);
}

/** Adds the entry's name, and makes the archive's own faults (names that no file system takes) `invalidArgument`. */
function describe(error: unknown, entry: TarEntry): unknown {
  const what = `unpack layer entry ${JSON.stringify(textOf(entry.name).slice(0, 300))}`;
  if (isErrno(error, "ENAMETOOLONG", "EFBIG"))
    return invalidArgument(
      `${what}: ${error.code === "EFBIG" ? "the file is too large" : "the name is too long"}`,
    );
  if (error instanceof EngineError)
    return new EngineError(error.kind, `${what}: ${error.message}`, { cause: error });
  return fileSystemError(what, error);
}
