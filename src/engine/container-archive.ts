/** The archive routes behind `cp`: what is at a path of a container, out as a tar, and in from one. */
import { accessSync, closeSync, constants, fstatSync, readlinkSync, type BigIntStats } from "node:fs";
import { posix } from "node:path";
import { Readable } from "node:stream";
import { EngineError, invalidArgument, notFound } from "../base/errors.ts";
import { rfc3339Nano } from "../base/time.ts";
import { packDirectory, packEntry, PackedLinks } from "../container/pack-tree.ts";
import { unpackTree } from "../container/unpack-tree.ts";
import { resolveUser } from "../container/user.ts";
import { decompress } from "../image/decompress.ts";
import { isErrno } from "../linux/fs-error.ts";
import { openInRoot } from "../linux/resolve-in-root.ts";
import { descriptorPath, O_PATH, readLink } from "../linux/tree-fd.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { tarEnd } from "../oci/tar-writer.ts";
import type { PathStat } from "../wire/container.ts";
import { type ContainerRoot, openContainerRoot } from "./container-root.ts";
import { emitContainer, type EngineContext } from "./context.ts";

/** The path from the root, clean, with the `/` or `/.` at its end kept: they ask for what a link leads to. */
export function absolutePath(path: string): string {
  const bare = posix.join("/", path).replace(/\/+$/, "");
  if (/(^|\/)\.$/.test(path)) return `${bare}/.`;
  return bare === "" || path.endsWith("/") ? `${bare}/` : bare;
}

/** What is at a path; a symbolic link at its end is not followed. Throws `notFound` with Docker's words. */
export async function containerStatPath(
  context: EngineContext,
  nameOrId: string,
  path: string,
): Promise<PathStat> {
  using root = await openContainerRoot(context, nameOrId);
  return statPath(root, path, nameOrId);
}

/** A path's stat and its tar. Whoever takes the stream reads it to its end or destroys it. */
export async function containerArchive(
  context: EngineContext,
  nameOrId: string,
  path: string,
): Promise<{ stat: PathStat; archive: Readable }> {
  const root = await openContainerRoot(context, nameOrId);
  try {
    const stat = statPath(root, path, nameOrId);
    emitContainer(context, root.container, "archive-path");
    return { stat, archive: readableOf(archiveOf(root, path), root) };
  } catch (error) {
    root[Symbol.dispose]();
    throw error;
  }
}

/** A stream that holds the root until it is closed, also when nobody has read of it. */
export function readableOf(chunks: AsyncIterable<Buffer>, root: Disposable): Readable {
  const stream = Readable.from(chunks, { objectMode: false, highWaterMark: 256 * 1024 });
  stream.once("close", () => root[Symbol.dispose]());
  return stream;
}

async function* archiveOf(root: ContainerRoot, path: string): AsyncGenerator<Buffer, void> {
  const absolute = absolutePath(path);
  const base = byteStringOf(posix.basename(absolute));
  const fd = openInRoot(root.fd, absolute, O_PATH | constants.O_NOFOLLOW);
  try {
    if (fstatSync(fd).isDirectory())
      yield* absolute === "/"
        ? packDirectory(fd, "/", new PackedLinks(root.idMap, isMounted(root, "/dev") ? "/dev" : undefined))
        : packDirectory(fd, base, new PackedLinks(root.idMap));
    else {
      const parent = openInRoot(root.fd, posix.dirname(absolute), O_PATH | constants.O_DIRECTORY);
      try {
        yield* packEntry(parent, base, base, new PackedLinks(root.idMap));
      } finally {
        closeSync(parent);
      }
    }
  } finally {
    closeSync(fd);
  }
  yield tarEnd();
}

/** The devices that the runtime mounted are none of the container's files, and `cp` of all files leaves them out. */
function isMounted(root: ContainerRoot, path: string): boolean {
  try {
    const fd = openInRoot(root.fd, path, O_PATH | constants.O_NOFOLLOW);
    try {
      return fstatSync(fd).dev !== fstatSync(root.fd).dev;
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) return false;
    throw error;
  }
}

export interface ExtractOptions {
  readonly path: string;
  readonly source: Readable;
  /** A directory never takes the place of a file, nor the other way round. */
  readonly noOverwriteDirNonDir: boolean;
  /** Everything belongs to the container's user then, where it has one. */
  readonly copyUidGid: boolean;
}

/** Unpacks an archive, plain or compressed, in a directory of the container. */
export async function containerExtract(
  context: EngineContext,
  nameOrId: string,
  options: ExtractOptions,
): Promise<void> {
  using root = await openContainerRoot(context, nameOrId);
  const { container } = root;
  const directory = absolutePath(options.path);
  checkTarget(root, directory, nameOrId);
  const user = container.config.User ?? "";
  const owner = options.copyUidGid && user !== "" ? resolveUser(descriptorPath(root.fd), user) : undefined;
  try {
    await unpackTree(decompress(options.source), {
      rootFd: root.fd,
      directory,
      keepKinds: options.noOverwriteDirNonDir,
      idMap: root.idMap,
      owner: owner === undefined ? undefined : { uid: owner.uid, gid: owner.gid },
    });
  } catch (error) {
    throw isErrno(error, "EROFS") ? readOnly(root, directory) : error;
  }
  emitContainer(context, container, "extract-to-dir");
}

function checkTarget(root: ContainerRoot, directory: string, nameOrId: string): void {
  const fd = openPlace(root, directory, nameOrId, 0);
  try {
    if (!fstatSync(fd).isDirectory()) throw invalidArgument("extraction point is not a directory");
    accessSync(`${descriptorPath(fd)}/.`, constants.W_OK);
  } catch (error) {
    throw isErrno(error, "EROFS") ? readOnly(root, readlinkSync(descriptorPath(fd))) : error;
  } finally {
    closeSync(fd);
  }
}

/** Docker's words for the two kinds of what cannot be written. */
function readOnly({ container }: ContainerRoot, directory: string): EngineError {
  const isMount = container.mounts.some(
    ({ Destination, RW }) => !RW && (directory === Destination || directory.startsWith(`${Destination}/`)),
  );
  const what = isMount ? "mounted volume is marked read-only" : "container rootfs is marked read-only";
  return new EngineError("permissionDenied", what);
}

function openPlace(root: ContainerRoot, path: string, nameOrId: string, flags: number): number {
  try {
    return openInRoot(root.fd, path, O_PATH | flags);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR"))
      throw notFound(`Could not find the file ${path} in container ${nameOrId}`);
    if (isErrno(error, "ELOOP")) throw invalidArgument(`too many levels of symbolic links: ${path}`);
    throw error;
  }
}

function statPath(root: ContainerRoot, path: string, nameOrId: string): PathStat {
  const absolute = absolutePath(path);
  const fd = openPlace(root, absolute, nameOrId, constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(fd, { bigint: true });
    return {
      name: posix.basename(absolute) || "/",
      size: Number(stat.size),
      mode: goFileMode(stat),
      mtime: rfc3339Nano(stat.mtimeNs),
      linkTarget: stat.isSymbolicLink() ? linkTarget(root, absolute, fd) : "",
    };
  } finally {
    closeSync(fd);
  }
}

/** Where a link leads in the container, all links followed; as far as it goes where it leads nowhere. */
function linkTarget(root: ContainerRoot, path: string, link: number): string {
  try {
    const fd = openInRoot(root.fd, path, O_PATH);
    try {
      return readlinkSync(descriptorPath(fd));
    } finally {
      closeSync(fd);
    }
  } catch {
    return posix.resolve(posix.dirname(path), readLink(link));
  }
}

/** Go's `fs.FileMode`: permission bits, and the kind of file in the upper ones. */
function goFileMode(stat: BigIntStats): number {
  const mode = Number(stat.mode);
  let bits = mode & 0o777;
  if (stat.isDirectory()) bits += 2 ** 31;
  if (stat.isSymbolicLink()) bits += 2 ** 27;
  if (stat.isBlockDevice() || stat.isCharacterDevice()) bits += 2 ** 26;
  if (stat.isFIFO()) bits += 2 ** 25;
  if (stat.isSocket()) bits += 2 ** 24;
  if ((mode & 0o4000) !== 0) bits += 2 ** 23;
  if ((mode & 0o2000) !== 0) bits += 2 ** 22;
  if (stat.isCharacterDevice()) bits += 2 ** 21;
  if ((mode & 0o1000) !== 0) bits += 2 ** 20;
  return bits;
}
