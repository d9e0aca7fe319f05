/**
 * Paths inside another root: a container's, an image's or a layer's. Whatever the tree says (symbolic links to `/etc`,
 * `../..`), the result is inside the root, as if a process had chroot(2)ed there.
 *
 * {@link resolveInRoot} looks first and returns a path: right for trees that nobody changes meanwhile (a stopped
 * container, a layer). For a tree that a running container can change use {@link openInRoot}: the kernel resolves and
 * opens in one step.
 */
import { lstatSync, readlinkSync } from "node:fs";
import koffi from "koffi";
import { invalidArgument } from "../base/errors.ts";
import { followLinks } from "../base/follow-links.ts";
import { isErrno } from "./fs-error.ts";
import { libc, systemError } from "./libc.ts";

/**
 * The host path of `path` inside `root`. Symbolic links are followed inside the root; what does not exist is taken as it
 * stands, so the result may name something new. With `followLast: false` a link at the end is left alone.
 * Throws `invalidArgument` for a path with NUL and for too many links.
 */
export function resolveInRoot(root: string, path: string, options: { followLast?: boolean } = {}): string {
  const followLast = options.followLast ?? true;
  if (path.includes("\0")) throw invalidArgument(`path ${JSON.stringify(path)} contains a NUL byte`);
  const base = root === "/" ? "" : root.replace(/\/+$/, "");
  const resolved = followLinks(path.split("/"), (at) => readLink(`${base}/${at}`), followLast);
  if (resolved === undefined) throw invalidArgument(`too many symbolic links in ${path}`);
  return resolved.length === 0 ? root : `${base}/${resolved.join("/")}`;
}

function readLink(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG", "EINVAL")) return undefined;
    throw error;
  }
}

// openat2(2) is number 437 on every architecture. The kernel's struct open_how.
const SYS_openat2 = 437;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_IN_ROOT = 0x10;
const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;
const O_CLOEXEC = 0o2000000;

const openHow = koffi.struct("gantry_open_how", { flags: "uint64_t", mode: "uint64_t", resolve: "uint64_t" });
const openat2Call = libc.func(
  "long syscall(long number, int dirfd, const uint8_t *path, gantry_open_how *how, size_t size)",
);
const openCall = libc.func("int open(str path, int flags, int mode)");
const closeCall = libc.func("int close(int fd)");

/** A root to open things in: its path, or a descriptor of it (then it stays the same whatever happens to the path). */
export type Root = string | number;

/**
 * Opens `path` (bytes, where it need not be UTF-8) inside `root` with the flags of open(2) (`fs.constants.O_*`); no link,
 * and no race with one, leads out of the root (openat2(2), RESOLVE_IN_ROOT). The caller closes the descriptor, with
 * `fs.closeSync`.
 */
export function openInRoot(root: Root, path: string | Buffer, flags: number, mode = 0): number {
  if (path.includes("\0"))
    throw invalidArgument(`path ${JSON.stringify(path.toString())} contains a NUL byte`);
  const rootFd =
    typeof root === "number" ? root : (openCall(root, O_PATH | O_DIRECTORY | O_CLOEXEC, 0) as number);
  if (rootFd < 0) throw systemError(`open ${root}`);
  try {
    const how = { flags: flags | O_CLOEXEC, mode, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    const fd = openat2Call(SYS_openat2, rootFd, relativePath(path), how, koffi.sizeof(openHow));
    if (Number(fd) < 0) throw systemError(`open ${path.toString()} in ${root}`);
    return Number(fd);
  } finally {
    if (typeof root !== "number") closeCall(rootFd);
  }
}

/**
 * Opens an absolute path that has no symbolic link anywhere, as realpath(3) gives it (openat2(2), RESOLVE_NO_SYMLINKS).
 * Throws an EngineError of the errno's kind, also when a part of the path has become a link. The caller closes the
 * descriptor.
 */
export function openWithoutLinks(path: string, flags: number): number {
  const how = { flags: flags | O_CLOEXEC, mode: 0, resolve: RESOLVE_NO_SYMLINKS };
  const fd = openat2Call(SYS_openat2, -1, Buffer.from(`${path}\0`), how, koffi.sizeof(openHow));
  if (Number(fd) < 0) throw systemError(`open ${path} without following links`);
  return Number(fd);
}

/** As the kernel takes it: without slashes in front, with a NUL behind. */
function relativePath(path: string | Buffer): Buffer {
  const bytes = typeof path === "string" ? Buffer.from(path) : path;
  let start = 0;
  while (bytes[start] === 0x2f) start += 1;
  const relative = start === bytes.length ? Buffer.from(".") : bytes.subarray(start);
  return Buffer.concat([relative, Buffer.from([0])]);
}
