/** Writing a tree that may change meanwhile as a tar: what `cp`, `export` and `commit` send. */
import { closeSync, constants, fstatSync, openSync, read, statfsSync, type BigIntStats } from "node:fs";
import { promisify } from "node:util";
import { fileSystemError, isErrno } from "../linux/fs-error.ts";
import { deviceNumbers, getXattr, listXattrs, pathBytes } from "../linux/inode.ts";
import { descriptorPath, entryPath, namesIn, O_PATH, openSubdirectory, readLink } from "../linux/tree-fd.ts";
import type { TarEntryType } from "../oci/tar-reader.ts";
import { tarHeader, tarPadding } from "../oci/tar-writer.ts";
import type { IdMap, IdRange } from "../linux/user-namespace.ts";

const readAsync = promisify(read);
const pieceBytes = 256 * 1024;

/** Names that inodes with several names were packed under; one per archive. */
export class PackedLinks extends Map<string, string> {
  /** Ids of the tree as the archive has them; undefined when they are the same. */
  readonly idMap: IdMap | undefined;

  readonly #leftEmpty: string | undefined;

  /** `leftEmpty`: the directory that is to be packed without what is in it, by its name in the archive. */
  constructor(idMap?: IdMap, leftEmpty?: string) {
    super();
    this.idMap = idMap;
    this.#leftEmpty = leftEmpty;
  }

  isLeftEmpty(archiveName: string): boolean {
    return archiveName === this.#leftEmpty;
  }
}

/**
 * Types of file systems whose files the kernel makes up: proc, sysfs, cgroup, cgroup2, devpts, mqueue (linux/magic.h). Many
 * cannot be read to an end, others not at all, and nobody means them by "all files".
 */
const kernelFileSystems = new Set([0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x1cd1, 0x19800202]);

function isKernels(directoryFd: number): boolean {
  return kernelFileSystems.has(statfsSync(`${descriptorPath(directoryFd)}/.`).type);
}

/**
 * The entries of what is called `name` in the open directory, and of everything below it; in the archive it is called
 * `archiveName`. All names are bytes as latin1. Symbolic links are packed as they are, sockets are left out, and what
 * vanishes meanwhile is left out too.
 */
export async function* packEntry(
  directoryFd: number,
  name: string,
  archiveName: string,
  links: PackedLinks = new PackedLinks(),
): AsyncGenerator<Buffer, void> {
  const isDirectory = yield* packOne(directoryFd, name, archiveName, links);
  if (!isDirectory) return;
  if (links.isLeftEmpty(archiveName)) return;
  const fd = openIfThere(() => openSubdirectory(directoryFd, name));
  if (fd === undefined) return;
  try {
    if (!isKernels(fd)) yield* packInner(fd, `${archiveName}/`, links);
  } finally {
    closeSync(fd);
  }
}

/** An open directory itself under `archiveName` (empty: only what is in it), and everything below it. */
export async function* packDirectory(
  directoryFd: number,
  archiveName: string,
  links: PackedLinks = new PackedLinks(),
): AsyncGenerator<Buffer, void> {
  if (archiveName !== "") yield directoryHeader(directoryFd, archiveName, links.idMap);
  if (!isKernels(directoryFd))
    yield* packInner(directoryFd, archiveName === "" ? "" : withSlash(archiveName), links);
}

function directoryHeader(fd: number, archiveName: string, idMap: IdMap | undefined): Buffer {
  const stat = fstatSync(fd, { bigint: true });
  const place = pathBytes(`${descriptorPath(fd)}/.`);
  return tarHeader({
    ...metadata(stat, idMap),
    name: withSlash(archiveName),
    type: "directory",
    xattrs: xattrsOf(place),
  });
}

async function* packInner(fd: number, prefix: string, links: PackedLinks): AsyncGenerator<Buffer, void> {
  for (const name of namesIn(fd)) yield* packEntry(fd, name, prefix + name, links);
}

/** The one entry, without what is below it. Returns true for a directory. */
export async function* packOne(
  directoryFd: number,
  name: string,
  archiveName: string,
  links: PackedLinks,
): AsyncGenerator<Buffer, boolean> {
  const path = entryPath(directoryFd, name);
  // A place that stays the same thing, whatever is put at its name.
  const place = openIfThere(() => openSync(path, O_PATH | constants.O_NOFOLLOW));
  if (place === undefined) return false;
  try {
    const stat = fstatSync(place, { bigint: true });
    const type = typeOf(stat);
    if (type === undefined) return false;
    const header = { ...metadata(stat, links.idMap), name: archiveName, type };
    if (type === "directory") {
      yield directoryHeader(place, archiveName, links.idMap);
      return true;
    }
    if (type === "symlink") {
      yield tarHeader({ ...header, linkName: readLink(place) });
      return false;
    }
    const first = stat.nlink > 1n ? links.get(inodeOf(stat)) : undefined;
    if (first !== undefined) {
      yield tarHeader({ ...header, type: "link", linkName: first });
      return false;
    }
    if (stat.nlink > 1n) links.set(inodeOf(stat), archiveName);
    if (type === "file") yield* packFile(place, { ...header, xattrs: xattrsOf(pathBytes(path)) });
    else yield tarHeader({ ...header, device: deviceNumbers(stat.rdev) });
    return false;
  } catch (error) {
    throw fileSystemError(`read ${Buffer.from(archiveName, "latin1").toString()}`, error);
  } finally {
    closeSync(place);
  }
}

/** Exactly as many bytes as the header says, whatever happens to the file meanwhile. */
async function* packFile(
  place: number,
  header: Parameters<typeof tarHeader>[0],
): AsyncGenerator<Buffer, void> {
  const fd = openSync(descriptorPath(place), constants.O_RDONLY | constants.O_NOCTTY);
  try {
    const sizeBytes = fstatSync(fd).size;
    yield tarHeader({ ...header, sizeBytes });
    for (let offset = 0; offset < sizeBytes;) {
      const piece = Buffer.allocUnsafe(Math.min(pieceBytes, sizeBytes - offset));
      const { bytesRead } = await readAsync(fd, piece, 0, piece.length, offset);
      if (bytesRead === 0) piece.fill(0);
      const filled = bytesRead === 0 ? piece : piece.subarray(0, bytesRead);
      offset += filled.length;
      yield filled;
    }
    yield tarPadding(sizeBytes);
  } finally {
    closeSync(fd);
  }
}

/** An id of the host as the container has it; nobody's where it has none. */
function insideId(id: number, range: IdRange | undefined): number {
  if (range === undefined) return id;
  return id >= range.first && id < range.first + range.size ? id - range.first : 65_534;
}

function metadata(
  stat: BigIntStats,
  idMap: IdMap | undefined,
): { mode: number; uid: number; gid: number; timeNs: bigint } {
  return {
    mode: Number(stat.mode & 0o7777n),
    uid: insideId(Number(stat.uid), idMap?.uids),
    gid: insideId(Number(stat.gid), idMap?.gids),
    // Whole seconds, as Docker's archives have them: fractions would need an extended header for every file.
    timeNs: (stat.mtimeNs / 1_000_000_000n) * 1_000_000_000n,
  };
}

function typeOf(stat: BigIntStats): TarEntryType | undefined {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  if (stat.isCharacterDevice()) return "character";
  if (stat.isBlockDevice()) return "block";
  return stat.isFIFO() ? "fifo" : undefined;
}

const inodeOf = (stat: BigIntStats): string => `${stat.dev}:${stat.ino}`;
const withSlash = (name: string): string => (name.endsWith("/") ? name : `${name}/`);

/** File capabilities and what users have set; everything else belongs to this host. */
function xattrsOf(path: Buffer): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const name of listXattrs(path)) {
    if (name !== "security.capability" && !/^user\.(?!overlay\.)/.test(name)) continue;
    const value = getXattr(path, name);
    if (value !== undefined) found.set(name, value);
  }
  return found;
}

function openIfThere<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EINVAL")) return undefined;
    throw error;
  }
}
