/** Packing and unpacking files of this machine, for `cp`. Names are bytes as latin1, as in oci/tar-reader.ts. */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
  symlinkSync,
  writeSync,
  type BigIntStats,
} from "node:fs";
import { byteStringOf, type TarEntry, TarReader, textOf } from "../../oci/tar-reader.ts";
import { tarEnd, tarHeader, tarPadding } from "../../oci/tar-writer.ts";
import { CliError } from "../errors.ts";
import { rebased, type Rebase } from "./paths.ts";

const bytes = (name: string): Buffer => Buffer.from(name, "latin1");
const pieceBytes = 256 * 1024;

/** Says of what is in a packed directory, by its path there, whether it is packed too. */
export type PackFilter = (inner: string, isDirectory: boolean) => boolean;

/**
 * A tar of `path` whose entries begin with `name`. Symbolic links are packed as they are, sockets are left out, and of a
 * directory what the filter does not want.
 */
export async function* packLocal(
  path: string,
  name: string,
  filter: PackFilter = () => true,
): AsyncGenerator<Buffer, void> {
  const top = byteStringOf(path);
  const isWanted = (inner: string, isDirectory: boolean): boolean =>
    inner === top || filter(textOf(inner.slice(top.length + 1)), isDirectory);
  yield* pack(top, byteStringOf(name), { links: new Map(), isWanted });
  yield tarEnd();
}

interface Packing {
  readonly links: Map<string, string>;
  readonly isWanted: (path: string, isDirectory: boolean) => boolean;
}

async function* pack(path: string, name: string, packing: Packing): AsyncGenerator<Buffer, void> {
  const { links, isWanted } = packing;
  const stat = lstatSync(bytes(path), { bigint: true });
  if (!isWanted(path, stat.isDirectory())) return;
  const header = {
    name,
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    timeNs: (stat.mtimeNs / 1_000_000_000n) * 1_000_000_000n,
  };
  if (stat.isDirectory()) {
    yield tarHeader({ ...header, name: name.endsWith("/") ? name : `${name}/`, type: "directory" });
    for (const inner of readdirSync(bytes(path), { encoding: "latin1" }).sort())
      yield* pack(`${path}/${inner}`, `${name}/${inner}`, packing);
    return;
  }
  const inode = `${stat.dev}:${stat.ino}`;
  const first = stat.nlink > 1n ? links.get(inode) : undefined;
  if (stat.nlink > 1n) links.set(inode, name);
  if (stat.isSymbolicLink())
    yield tarHeader({
      ...header,
      type: "symlink",
      linkName: readlinkSync(bytes(path), { encoding: "latin1" }),
    });
  else if (first !== undefined) yield tarHeader({ ...header, type: "link", linkName: first });
  else if (stat.isFile()) yield* packFile(path, header);
  else if (!stat.isSocket()) yield tarHeader({ ...header, ...specialOf(stat) });
}

function specialOf(stat: BigIntStats): Pick<Parameters<typeof tarHeader>[0], "type" | "device"> {
  if (stat.isFIFO()) return { type: "fifo" };
  const { rdev } = stat;
  const major = Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn));
  const minor = Number((rdev & 0xffn) | ((rdev >> 12n) & ~0xffn));
  return { type: stat.isBlockDevice() ? "block" : "character", device: { major, minor } };
}

async function* packFile(
  path: string,
  header: Omit<Parameters<typeof tarHeader>[0], "type">,
): AsyncGenerator<Buffer, void> {
  const fd = openSync(bytes(path), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const sizeBytes = fstatSync(fd).size;
    yield tarHeader({ ...header, type: "file", sizeBytes });
    for (let offset = 0; offset < sizeBytes;) {
      const piece = Buffer.alloc(Math.min(pieceBytes, sizeBytes - offset));
      // A file that has become shorter is filled up with zeros: its size is already told.
      const length = readSync(fd, piece, 0, piece.length, offset) || piece.length;
      yield piece.subarray(0, length);
      offset += length;
    }
    yield tarPadding(sizeBytes);
  } finally {
    closeSync(fd);
  }
}

export interface UnpackLocalOptions {
  /** An existing directory. */
  readonly directory: string;
  readonly rebase: Rebase | undefined;
  /** Give everything the archive's owners; else it belongs to who runs the program. */
  readonly keepOwners: boolean;
}

/**
 * Unpacks a tar of a container here. What is in it is not trusted: no entry leaves the directory, also not by way of a
 * symbolic link that came before it. Throws `CliError`.
 */
export async function unpackLocal(
  tar: AsyncIterable<Uint8Array>,
  options: UnpackLocalOptions,
): Promise<void> {
  const reader = new TarReader(tar);
  const unpacker = new LocalUnpacker(options);
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next())
    await unpacker.unpack(entry, reader);
  unpacker.finish();
}

class LocalUnpacker {
  readonly #root: string;
  readonly #options: UnpackLocalOptions;
  readonly #directories: TarEntryPlace[] = [];

  constructor(options: UnpackLocalOptions) {
    this.#options = options;
    this.#root = byteStringOf(options.directory).replace(/\/+$/, "");
  }

  async unpack(entry: TarEntry, reader: TarReader): Promise<void> {
    const path = this.#placeOf(entry.name);
    // The target directory itself is there and stays as it is.
    if (path === this.#root) return;
    const existing = lookup(path);
    const isDirectory = entry.type === "directory";
    if (existing !== undefined) this.#makeRoom(path, existing.isDirectory(), isDirectory);
    if (isDirectory) {
      if (existing === undefined) mkdirSync(bytes(path), { mode: 0o700 });
      this.#directories.push({ path, entry });
    } else if (entry.type === "file") await this.#writeFile(path, entry, reader);
    else if (entry.type === "symlink") symlinkSync(bytes(entry.linkName), bytes(path));
    else if (entry.type === "link") linkSync(bytes(this.#placeOf(entry.linkName)), bytes(path));
    else throw new CliError(`cannot copy ${textOf(entry.name)}: it is a device or a fifo`);
    if (isDirectory || entry.type === "link") return;
    if (entry.type === "symlink" && this.#options.keepOwners) lchownSync(bytes(path), entry.uid, entry.gid);
    setTimes(path, entry);
  }

  /** Modes and times of directories come last: a read-only one must take its files first. */
  finish(): void {
    for (const { path, entry } of this.#directories.toReversed()) {
      if (this.#options.keepOwners) lchownSync(bytes(path), entry.uid, entry.gid);
      chmodSync(bytes(path), entry.mode & 0o7777);
      setTimes(path, entry);
    }
  }

  /** Where an entry belongs. Throws when that is outside of the directory, or a symbolic link is on the way there. */
  #placeOf(name: string): string {
    const parts = rebased(name, this.#options.rebase)
      .split("/")
      .filter((part) => part !== "" && part !== ".");
    if (parts.includes(".."))
      throw new CliError(`the archive has an entry outside of its top: ${textOf(name)}`);
    let path = this.#root;
    for (const part of parts.slice(0, -1)) {
      path += `/${part}`;
      const stat = lookup(path);
      if (stat === undefined) mkdirSync(bytes(path), { mode: 0o755 });
      else if (!stat.isDirectory())
        throw new CliError(`cannot copy ${textOf(name)}: ${textOf(path)} is no directory`);
    }
    return [path, ...parts.slice(-1)].join("/");
  }

  #makeRoom(path: string, wasDirectory: boolean, isDirectory: boolean): void {
    const shown = JSON.stringify(textOf(path));
    if (wasDirectory && !isDirectory)
      throw new CliError(`cannot overwrite directory ${shown} with non-directory ${shown}`);
    if (!wasDirectory && isDirectory)
      throw new CliError(`cannot overwrite non-directory ${shown} with directory ${shown}`);
    if (!wasDirectory) rmSync(bytes(path));
  }

  async #writeFile(path: string, entry: TarEntry, reader: TarReader): Promise<void> {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const fd = openSync(bytes(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      for (let chunk = await reader.read(); chunk !== undefined; chunk = await reader.read())
        for (let done = 0; done < chunk.length;) done += writeSync(fd, chunk, done);
      if (this.#options.keepOwners) fchownSync(fd, entry.uid, entry.gid);
      fchmodSync(fd, entry.mode);
    } finally {
      closeSync(fd);
    }
  }
}

interface TarEntryPlace {
  readonly path: string;
  readonly entry: TarEntry;
}

function setTimes(path: string, { timeNs }: TarEntry): void {
  const seconds = Number(timeNs / 1_000_000n) / 1000;
  lutimesSync(bytes(path), seconds, seconds);
}

function lookup(path: string): BigIntStats | undefined {
  return lstatSync(bytes(path), { bigint: true, throwIfNoEntry: false });
}
