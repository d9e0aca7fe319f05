/** Copying a directory tree with everything that belongs to it. */
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  symlinkSync,
  writeSync,
  type BigIntStats,
} from "node:fs";
import { deviceNumbers, getXattr, listXattrs, makeNode, pathBytes, setTimes, setXattr } from "./inode.ts";

const slash = Buffer.from("/");

/**
 * Copies the directory `source` onto the existing directory `target`: files (as reflinks where the file system can),
 * directories, symbolic links as they stand, hard links among themselves, devices, fifos; owners, modes, times, extended
 * attributes; the top directory's own too. Symbolic links are never followed, sockets are left out.
 */
export function copyTree(source: string, target: string): void {
  copyDirectory(Buffer.from(source), Buffer.from(target), new Map());
}

/** `links`: inode number -> where its first name was copied to. */
function copyDirectory(source: Buffer, target: Buffer, links: Map<string, Buffer>): void {
  for (const name of readdirSync(source, { encoding: "buffer" })) {
    const from = Buffer.concat([source, slash, name]);
    const to = Buffer.concat([target, slash, name]);
    const stat = lstatSync(from, { bigint: true });
    if (stat.isDirectory()) {
      mkdirSync(to, { mode: 0o700 });
      copyDirectory(from, to, links);
    } else copyOther(from, to, { stat, links });
  }
  copyMetadata(source, target, lstatSync(source, { bigint: true }));
}

function copyOther(
  from: Buffer,
  to: Buffer,
  { stat, links }: { stat: BigIntStats; links: Map<string, Buffer> },
): void {
  const inode = `${stat.dev}:${stat.ino}`;
  const first = stat.nlink > 1n ? links.get(inode) : undefined;
  if (first !== undefined) {
    linkSync(first, to);
    return;
  }
  if (stat.isFile()) copyFile(from, to, stat);
  else if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from, { encoding: "buffer" }), to);
  else if (stat.isSocket()) return;
  else makeNode(pathBytes(to), Number(stat.mode), deviceNumbers(stat.rdev));
  copyMetadata(from, to, stat);
  if (stat.nlink > 1n) links.set(inode, to);
}

function copyFile(from: Buffer, to: Buffer, stat: BigIntStats): void {
  const hasHoles = stat.blocks * 512n < stat.size;
  if (hasHoles) copyWithHoles(from, to, Number(stat.size));
  else copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
}

/** Writes only the pieces that are not all zeros. */
function copyWithHoles(from: Buffer, to: Buffer, sizeBytes: number): void {
  const source = openSync(from, constants.O_RDONLY | constants.O_NOFOLLOW);
  const target = openSync(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    const piece = Buffer.alloc(64 * 1024);
    const zeros = Buffer.alloc(piece.length);
    for (let offset = 0; offset < sizeBytes;) {
      const length = readSync(source, piece, 0, piece.length, offset);
      if (length === 0) break;
      if (piece.compare(zeros, 0, length, 0, length) !== 0) writeSync(target, piece, 0, length, offset);
      offset += length;
    }
    ftruncateSync(target, sizeBytes);
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

/**
 * Gives `to` the owner, mode, extended attributes and modification time of `from`. In this order: changing the owner
 * clears setuid and file capabilities. overlayfs's own attributes stay behind.
 */
export function copyMetadata(from: Buffer, to: Buffer, stat: BigIntStats): void {
  lchownSync(to, Number(stat.uid), Number(stat.gid));
  if (!stat.isSymbolicLink()) chmodSync(to, Number(stat.mode & 0o7777n));
  const source = pathBytes(from);
  const target = pathBytes(to);
  for (const name of listXattrs(source)) {
    if (name.startsWith("trusted.overlay.")) continue;
    const value = getXattr(source, name);
    if (value !== undefined) setXattr(target, name, value);
  }
  setTimes(target, stat.mtimeNs);
}
