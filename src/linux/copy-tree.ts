/** Copying a directory tree with everything that belongs to it. */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
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
import { conflict } from "../base/errors.ts";
import { openInRoot } from "./resolve-in-root.ts";
import { descriptorPath, entryPath, O_PATH, openSubdirectory } from "./tree-fd.ts";
import { deviceNumbers, getXattr, listXattrs, makeNode, pathBytes, setTimes, setXattr } from "./inode.ts";

const slash = Buffer.from("/");

/** The tree that is written. A container may change it meanwhile: it is gone through by open directories alone. */
interface Target {
  readonly rootFd: number;
  /** Inode number -> where its first name was copied to, as bytes as latin1 from the root. */
  readonly links: Map<string, string>;
}

/** An open directory of the target. */
interface Place {
  readonly fd: number;
  /** From the root, with a slash at its end. */
  readonly path: string;
}

/**
 * Copies the directory `source` onto the existing directory `target`: files (as reflinks where the file system can),
 * directories, symbolic links as they stand, hard links among themselves, devices, fifos; owners, modes, times, extended
 * attributes; the top directory's own too. Symbolic links are never followed, in the target neither, whoever puts them
 * there while it is written; sockets are left out. Throws `conflict` when somebody replaces what was just written.
 */
export function copyTree(source: string, target: string): void {
  const rootFd = openSync(target, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    copyDirectory(Buffer.from(source), { fd: rootFd, path: "" }, { rootFd, links: new Map() });
  } finally {
    closeSync(rootFd);
  }
}

function copyDirectory(source: Buffer, place: Place, target: Target): void {
  for (const bytes of readdirSync(source, { encoding: "buffer" })) {
    const from = Buffer.concat([source, slash, bytes]);
    const name = bytes.toString("latin1");
    const stat = lstatSync(from, { bigint: true });
    if (!stat.isDirectory()) {
      copyOther(from, { place, name, stat }, target);
      continue;
    }
    mkdirSync(entryPath(place.fd, name), { mode: 0o700 });
    const fd = openSubdirectory(place.fd, name);
    try {
      copyDirectory(from, { fd, path: `${place.path}${name}/` }, target);
    } finally {
      closeSync(fd);
    }
  }
  copyMetadataTo(source, place.fd, lstatSync(source, { bigint: true }));
}

function copyOther(
  from: Buffer,
  { place, name, stat }: { readonly place: Place; readonly name: string; readonly stat: BigIntStats },
  target: Target,
): void {
  const to = entryPath(place.fd, name);
  const inode = `${stat.dev}:${stat.ino}`;
  const first = stat.nlink > 1n ? target.links.get(inode) : undefined;
  if (first !== undefined) {
    linkTo(first, to, target);
    return;
  }
  if (stat.isFile()) copyFile(from, to, stat);
  else if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from, { encoding: "buffer" }), to);
  else if (stat.isSocket()) return;
  else makeNode(pathBytes(to), Number(stat.mode), deviceNumbers(stat.rdev));
  if (stat.isSymbolicLink()) copyMetadata(from, to, stat);
  else {
    const fd = openSync(to, O_PATH | constants.O_NOFOLLOW);
    try {
      const type = BigInt(constants.S_IFMT);
      if ((fstatSync(fd, { bigint: true }).mode & type) !== (stat.mode & type))
        throw conflict(`${place.path}${name} was replaced by somebody while it was copied`);
      copyMetadataTo(from, fd, stat);
    } finally {
      closeSync(fd);
    }
  }
  if (stat.nlink > 1n) target.links.set(inode, `${place.path}${name}`);
}

/** A second name of a file: the first is found anew, inside the target. */
function linkTo(first: string, to: Buffer, { rootFd }: Target): void {
  const cut = first.lastIndexOf("/") + 1;
  const directory = Buffer.from(`/${first.slice(0, cut)}`, "latin1");
  const fd = openInRoot(rootFd, directory, O_PATH | constants.O_DIRECTORY);
  try {
    linkSync(entryPath(fd, first.slice(cut)), to);
  } finally {
    closeSync(fd);
  }
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
  const target = pathBytes(to);
  for (const [name, value] of xattrsOf(from)) setXattr(target, name, value);
  setTimes(target, stat.mtimeNs);
}

/** As {@link copyMetadata}, to what is open, which is no symbolic link. */
function copyMetadataTo(from: Buffer, fd: number, stat: BigIntStats): void {
  const to = descriptorPath(fd);
  chownSync(to, Number(stat.uid), Number(stat.gid));
  chmodSync(to, Number(stat.mode & 0o7777n));
  const target = pathBytes(to);
  for (const [name, value] of xattrsOf(from)) setXattr(target, name, value, { follow: true });
  setTimes(target, stat.mtimeNs, { follow: true });
}

function xattrsOf(path: Buffer): [name: string, value: Buffer][] {
  const bytes = pathBytes(path);
  return listXattrs(bytes)
    .filter((name) => !name.startsWith("trusted.overlay."))
    .flatMap((name): [string, Buffer][] => {
      const value = getXattr(bytes, name);
      return value === undefined ? [] : [[name, value]];
    });
}
