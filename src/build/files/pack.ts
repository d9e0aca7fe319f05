/**
 * A received context: the bytes of all files one after another in one file, and an index of what is where. Thousands of
 * small files are received at the speed of one large one; no name of the context ever becomes a name on this machine, so
 * nothing in it can lead anywhere.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { MemoryBudget } from "../../base/memory-budget.ts";
import { withFileErrors } from "../../linux/fs-error.ts";
import type { FileEntry, FileTree } from "./file-tree.ts";
import { joinPath, rootEntry } from "./file-tree.ts";

const bufferBytes = 1024 * 1024;
const pieceBytes = 256 * 1024;

export interface PackEntry extends FileEntry {
  /** Where a file's bytes begin in the pack. */
  readonly offset: number;
  /** Hex SHA-256 of them. */
  readonly sha256: string;
}

export class Pack implements FileTree, Disposable {
  readonly #path: string;
  readonly #fd: number;
  readonly #entries = new Map<string, PackEntry>();
  readonly #children = new Map<string, string[]>();
  readonly #budget = new MemoryBudget("the build context has too many files");
  readonly #buffer = Buffer.allocUnsafe(bufferBytes);
  #buffered = 0;
  readonly #impliedNs: bigint;
  #written: number;
  #isSorted = true;

  /**
   * Opens a pack file, made when missing; `sizeBytes` of it are valid. Directories that are only in the paths of others
   * are of the time `impliedNs`.
   */
  constructor(path: string, sizeBytes = 0, impliedNs = 0n) {
    this.#path = path;
    this.#impliedNs = impliedNs;
    this.#fd = withFileErrors("keep the build context", () =>
      openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600),
    );
    this.#written = sizeBytes;
    this.#put({ ...rootEntry, offset: 0, sha256: "" });
  }

  /** Bytes in the pack so far. */
  get sizeBytes(): number {
    return this.#written + this.#buffered;
  }

  get entries(): ReadonlyMap<string, PackEntry> {
    return this.#entries;
  }

  /** Puts an entry into the index; directories above it that are missing are made. A later one of the same path wins. */
  #put(entry: PackEntry): void {
    const { path } = entry;
    const isNew = !this.#entries.has(path);
    const before = this.#entries.get(path);
    this.#budget.take(weightOf(entry));
    if (before !== undefined) this.#budget.give(weightOf(before));
    this.#entries.set(path, entry);
    if (before?.type === "directory" && entry.type !== "directory") this.#dropBelow(path);
    if (!isNew || path === "") return;
    const slash = path.lastIndexOf("/");
    const parent = slash < 0 ? "" : path.slice(0, slash);
    const above = this.#entries.get(parent);
    if (above?.type !== "directory")
      this.#put({ ...rootEntry, path: parent, timeNs: this.#impliedNs, offset: 0, sha256: "" });
    const siblings = this.#children.get(parent);
    const name = path.slice(slash + 1);
    if (siblings === undefined) this.#children.set(parent, [name]);
    else siblings.push(name);
    this.#isSorted = false;
  }

  #dropBelow(path: string): void {
    for (const name of this.#children.get(path) ?? []) {
      const inner = joinPath(path, name);
      this.#dropBelow(inner);
      this.#forget(inner);
    }
    this.#children.delete(path);
  }

  #forget(path: string): void {
    const entry = this.#entries.get(path);
    if (entry !== undefined) this.#budget.give(weightOf(entry));
    this.#entries.delete(path);
  }

  /** Takes away an entry with everything below it. */
  remove(path: string): void {
    if (!this.#entries.has(path) || path === "") return;
    this.#dropBelow(path);
    this.#forget(path);
    const slash = path.lastIndexOf("/");
    const siblings = this.#children.get(slash < 0 ? "" : path.slice(0, slash));
    const index = siblings?.indexOf(path.slice(slash + 1)) ?? -1;
    if (index >= 0) siblings!.splice(index, 1);
  }

  /** Adds what is no regular file, or an entry whose bytes are in the pack already. */
  add(entry: Omit<PackEntry, "offset" | "sha256"> & { offset?: number; sha256?: string }): void {
    this.#put({ ...entry, offset: entry.offset ?? 0, sha256: entry.sha256 ?? "" });
  }

  /** Adds a regular file whose bytes come in pieces; its size is what came. */
  async addFile(
    entry: Omit<FileEntry, "sizeBytes">,
    next: () => Promise<Uint8Array | undefined> | Uint8Array | undefined,
  ): Promise<void> {
    const hash = createHash("sha256");
    const offset = this.sizeBytes;
    for (let piece = await next(); piece !== undefined; piece = await next()) {
      hash.update(piece);
      this.#write(piece);
    }
    this.#put({ ...entry, sizeBytes: this.sizeBytes - offset, offset, sha256: hash.digest("hex") });
  }

  /** Bytes that several callers bring at the same time: each keeps its pieces until {@link commitFile}. */
  commitFile(entry: Omit<FileEntry, "sizeBytes">, pieces: Iterable<Uint8Array>): void {
    const hash = createHash("sha256");
    const offset = this.sizeBytes;
    for (const piece of pieces) {
      hash.update(piece);
      this.#write(piece);
    }
    this.#put({ ...entry, sizeBytes: this.sizeBytes - offset, offset, sha256: hash.digest("hex") });
  }

  #write(piece: Uint8Array): void {
    if (this.#buffered + piece.length > bufferBytes) this.flush();
    if (piece.length > bufferBytes) {
      this.#writeOut(piece);
      return;
    }
    this.#buffer.set(piece, this.#buffered);
    this.#buffered += piece.length;
  }

  /** Brings what is buffered into the file. */
  flush(): void {
    const buffered = this.#buffered;
    this.#buffered = 0;
    this.#writeOut(this.#buffer.subarray(0, buffered));
  }

  #writeOut(bytes: Uint8Array): void {
    withFileErrors("keep the build context", () => {
      for (let done = 0; done < bytes.length;) {
        const count = writeSync(this.#fd, bytes, done, bytes.length - done, this.#written);
        done += count;
        this.#written += count;
      }
    });
  }

  stat(path: string): PackEntry | undefined {
    return this.#entries.get(path);
  }

  list(path: string): readonly string[] {
    if (!this.#isSorted) {
      for (const names of this.#children.values()) names.sort();
      this.#isSorted = true;
    }
    return this.#children.get(path) ?? [];
  }

  *read(entry: FileEntry): Iterable<Buffer> {
    const { offset, sizeBytes, sha256 } = entry as PackEntry;
    if (sha256 === "") throw new Error(`${entry.path} is no file of the pack`);
    if (this.#buffered > 0) this.flush();
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, Math.max(1, sizeBytes)));
    for (let done = 0; done < sizeBytes;) {
      const count = readSync(this.#fd, piece, 0, Math.min(piece.length, sizeBytes - done), offset + done);
      if (count === 0) throw new Error(`the pack ${this.#path} is shorter than its index says`);
      done += count;
      yield piece.subarray(0, count);
    }
  }

  digest(entry: FileEntry): string {
    return (entry as PackEntry).sha256;
  }

  /** Closes the file; it stays where it is. */
  [Symbol.dispose](): void {
    this.#budget[Symbol.dispose]();
    closeSync(this.#fd);
  }

  /** Closes it as it was when it had so many bytes: what came since is given back to the disk. */
  revert(sizeBytes: number): void {
    try {
      if (fstatSync(this.#fd).size > sizeBytes) ftruncateSync(this.#fd, sizeBytes);
    } finally {
      this[Symbol.dispose]();
    }
  }

  /** Closes and removes the file. */
  discard(): void {
    this[Symbol.dispose]();
    rmSync(this.#path, { force: true });
  }
}

/** Bytes of an entry's texts; its name is in the list of its directory too. */
function weightOf({ path, linkTarget, xattrs }: FileEntry): number {
  let bytes = 2 * path.length + linkTarget.length;
  for (const [name, value] of xattrs) bytes += 64 + name.length + value.length;
  return bytes;
}
