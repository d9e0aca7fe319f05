/**
 * Working in a directory tree that somebody else may change at any moment, such as a running container's root: every
 * step names an open directory and one name in it, and never follows a link at that name. A directory that is replaced
 * by a symbolic link between two steps so leads nowhere.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
} from "node:fs";
import { invalidArgument } from "../base/errors.ts";
import { isErrno } from "./fs-error.ts";
import { errno, libc, systemError } from "./libc.ts";

/** open(2)'s O_PATH: a descriptor that only stands for a place; nothing is opened, a device or a fifo does not notice. */
export const O_PATH = 0o10000000;
const OPEN_TREE_CLONE = 1;
const AT_RECURSIVE = 0x8000;
const O_CLOEXEC = 0o2000000;
const SYS_open_tree = 428;

const readlinkatCall = libc.func(
  "ssize_t readlinkat(int dirfd, str path, _Out_ uint8_t *target, size_t size)",
);
const openTreeCall = libc.func("long syscall(long number, int dirfd, str path, unsigned int flags)");

/** The path of an open descriptor, for calls that take a path and follow it. */
export const descriptorPath = (fd: number): string => `/proc/self/fd/${fd}`;

/** The path of `name` (bytes as latin1) in an open directory. Throws `invalidArgument` for what is no name. */
export function entryPath(directoryFd: number, name: string): Buffer {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name))
    throw invalidArgument(`${JSON.stringify(name)} is no name of a file`);
  return Buffer.from(`${descriptorPath(directoryFd)}/${name}`, "latin1");
}

/** Opens a directory's entry that must itself be a directory, for reading. */
export function openSubdirectory(directoryFd: number, name: string): number {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  return openSync(entryPath(directoryFd, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/** The names in an open directory (bytes as latin1), sorted. */
export function namesIn(directoryFd: number): string[] {
  return readdirSync(descriptorPath(directoryFd), { encoding: "latin1" }).sort();
}

/** Removes an entry with everything below it. No error when it is not there. */
export function removeEntry(directoryFd: number, name: string): void {
  const path = entryPath(directoryFd, name);
  try {
    if (!lstatSync(path).isDirectory()) {
      unlinkSync(path);
      return;
    }
    const fd = openSubdirectory(directoryFd, name);
    try {
      for (const inner of namesIn(fd)) removeEntry(fd, inner);
    } finally {
      closeSync(fd);
    }
    rmdirSync(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

/** A copy of the mounts at and below `path` that is nowhere mounted and lives as long as the descriptor. */
export function cloneMounts(path: string): number {
  const flags = OPEN_TREE_CLONE | AT_RECURSIVE | O_CLOEXEC;
  const fd = Number(openTreeCall(SYS_open_tree, -100, path, flags));
  if (fd < 0) throw systemError(`copy the mounts at ${path}`, errno());
  return fd;
}

/** True when the open thing is a directory. */
export function isDirectoryFd(fd: number): boolean {
  return fstatSync(fd).isDirectory();
}

/** The target (bytes as latin1) of a symbolic link that was itself opened with O_PATH and O_NOFOLLOW. */
export function readLink(fd: number): string {
  const target = Buffer.alloc(4096);
  const length = Number(readlinkatCall(fd, "", target, target.length));
  if (length < 0) throw systemError("read a symbolic link");
  return target.toString("latin1", 0, length);
}
