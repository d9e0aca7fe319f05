import { createHash } from "node:crypto";
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { isErrno } from "../../linux/fs-error.ts";
import { deviceNumbers, getXattr, listXattrs, pathBytes } from "../../linux/inode.ts";
import type { FileEntry, FileTree, FileType } from "./file-tree.ts";

const pieceBytes = 256 * 1024;

/**
 * A directory of this machine that nobody writes to meanwhile: a mounted layer, a checkout. Only paths whose parts are no
 * links may be asked for (`resolvePath` gives such), so nothing leads out of it.
 */
export class RootTree implements FileTree {
  readonly #root: Buffer;
  readonly #entries = new Map<string, FileEntry | undefined>();

  constructor(root: string) {
    this.#root = Buffer.from(root);
  }

  stat(path: string): FileEntry | undefined {
    const known = this.#entries.get(path);
    if (known !== undefined || this.#entries.has(path)) return known;
    const entry = this.#lookup(path);
    this.#entries.set(path, entry);
    return entry;
  }

  #lookup(path: string): FileEntry | undefined {
    const place = this.#place(path);
    let stat;
    try {
      stat = lstatSync(place, { bigint: true, throwIfNoEntry: false });
    } catch (error) {
      if (isErrno(error, "ENOTDIR", "ENAMETOOLONG")) return undefined;
      throw error;
    }
    if (stat === undefined) return undefined;
    const type = typeOf(Number(stat.mode));
    if (type === undefined) return undefined;
    return {
      path,
      type,
      mode: Number(stat.mode & 0o7777n),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      sizeBytes: type === "file" ? Number(stat.size) : 0,
      timeNs: stat.mtimeNs,
      linkTarget: type === "symlink" ? readlinkSync(place, { encoding: "latin1" }) : "",
      device: deviceNumbers(stat.rdev),
      xattrs: type === "symlink" ? new Map() : xattrsOf(pathBytes(place)),
      identity: stat.nlink > 1n && type === "file" ? `${stat.dev}:${stat.ino}` : undefined,
    };
  }

  list(path: string): readonly string[] {
    return readdirSync(this.#place(path), { encoding: "latin1" }).sort();
  }

  *read(entry: FileEntry): Iterable<Buffer> {
    const fd = openSync(this.#place(entry.path), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const piece = Buffer.allocUnsafe(Math.min(pieceBytes, Math.max(entry.sizeBytes, 1)));
      let left = entry.sizeBytes;
      while (left > 0) {
        const count = readSync(fd, piece, 0, Math.min(piece.length, left), null);
        if (count === 0) throw new Error(`${entry.path} became shorter while it was read`);
        left -= count;
        yield piece.subarray(0, count);
      }
    } finally {
      closeSync(fd);
    }
  }

  digest(entry: FileEntry): string {
    const hash = createHash("sha256");
    for (const piece of this.read(entry)) hash.update(piece);
    return hash.digest("hex");
  }

  #place(path: string): Buffer {
    return path === "" ? this.#root : Buffer.concat([this.#root, Buffer.from(`/${path}`, "latin1")]);
  }
}

/** Of st_mode; undefined for sockets. */
export function typeOf(mode: number): FileType | undefined {
  switch (mode & constants.S_IFMT) {
    case constants.S_IFREG:
      return "file";
    case constants.S_IFDIR:
      return "directory";
    case constants.S_IFLNK:
      return "symlink";
    case constants.S_IFCHR:
      return "character";
    case constants.S_IFBLK:
      return "block";
    case constants.S_IFIFO:
      return "fifo";
    default:
      return undefined;
  }
}

function xattrsOf(path: Buffer): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const name of listXattrs(path)) {
    if (name !== "security.capability" && !/^user\.(?!overlay\.)/.test(name)) continue;
    const value = getXattr(path, name);
    if (value !== undefined) found.set(name, value);
  }
  return found;
}
