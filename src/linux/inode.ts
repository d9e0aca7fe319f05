/**
 * What Node's `fs` cannot do with an inode: extended attributes, device nodes, times in nanoseconds, holes, data to disk.
 *
 * Paths are bytes here: names in layers need not be UTF-8. None of the calls follows a symbolic link at the end, but for
 * those that are told to: for `/proc/self/fd/N`, which stands for what is open.
 */
import { closeSync, openSync } from "node:fs";
import koffi from "koffi";
import { errno, libc, systemError } from "./libc.ts";

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const ENODATA = 61;
const EOPNOTSUPP = 95;
const ERANGE = 34;

const mknodCall = libc.func("int mknod(const uint8_t *path, unsigned int mode, uint64_t dev)");
const utimensatCall = libc.func(
  "int utimensat(int dirfd, const uint8_t *path, const int64_t *times, int flags)",
);
const futimensCall = libc.func("int futimens(int fd, const int64_t *times)");
const setxattrCall = libc.func(
  "int setxattr(const uint8_t *path, str name, const uint8_t *value, size_t size, int flags)",
);
const lsetxattrCall = libc.func(
  "int lsetxattr(const uint8_t *path, str name, const uint8_t *value, size_t size, int flags)",
);
const getxattrCall = libc.func(
  "ssize_t getxattr(const uint8_t *path, str name, _Out_ uint8_t *value, size_t size)",
);
const lgetxattrCall = libc.func(
  "ssize_t lgetxattr(const uint8_t *path, str name, _Out_ uint8_t *value, size_t size)",
);
const llistxattrCall = libc.func("ssize_t llistxattr(const uint8_t *path, _Out_ uint8_t *list, size_t size)");
const syncfsCall = libc.func("int syncfs(int fd)");
const ioctlCall = libc.func("int ioctl(int fd, unsigned long request, _Inout_ long *argument)");
const opendirCall = libc.func("void *opendir(str path)");
const readdirCall = libc.func("void *readdir(void *directory)");
const closedirCall = libc.func("int closedir(void *directory)");

/** A path as the C library takes it: its bytes and a NUL. */
export type PathBytes = Buffer;

/** The bytes of a path for the calls of this file. */
export function pathBytes(path: string | Buffer): PathBytes {
  return Buffer.concat([typeof path === "string" ? Buffer.from(path) : path, Buffer.from([0])]);
}

const shown = (path: PathBytes): string => path.subarray(0, -1).toString();

/** mknod(2): device nodes, fifos and sockets. `mode` holds the type bits (`fs.constants.S_IFCHR`). */
export function makeNode(path: PathBytes, mode: number, device: { major: number; minor: number }): void {
  if (mknodCall(path, mode, makeDevice(device)) !== 0) throw systemError(`make node ${shown(path)}`);
}

/** glibc's gnu_dev_makedev. */
function makeDevice({ major, minor }: { major: number; minor: number }): bigint {
  const a = BigInt(major);
  const b = BigInt(minor);
  return (b & 0xffn) | ((a & 0xfffn) << 8n) | ((b & ~0xffn) << 12n) | ((a & ~0xfffn) << 32n);
}

/** The reverse of what stat(2) gives as `rdev`. */
export function deviceNumbers(device: bigint): { major: number; minor: number } {
  return {
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
    minor: Number((device & 0xffn) | ((device >> 12n) & ~0xffn)),
  };
}

/** Sets access and modification time to `timeNs` since the epoch; of a symbolic link itself too. */
export function setTimes(path: PathBytes, timeNs: bigint, { follow = false } = {}): void {
  if (utimensatCall(AT_FDCWD, path, bothTimes(timeNs), follow ? 0 : AT_SYMLINK_NOFOLLOW) !== 0)
    throw systemError(`set the time of ${shown(path)}`);
}

/** As {@link setTimes}, of an open file. */
export function setOpenTimes(fd: number, timeNs: bigint): void {
  if (futimensCall(fd, bothTimes(timeNs)) !== 0) throw systemError("set the time of an open file");
}

/** Two `struct timespec`: of the last access and of the last modification. Valid until the next call. */
function bothTimes(timeNs: bigint): BigInt64Array {
  let seconds = timeNs / 1_000_000_000n;
  let rest = timeNs % 1_000_000_000n;
  if (rest < 0n) {
    seconds -= 1n;
    rest += 1_000_000_000n;
  }
  timespecs[0] = timespecs[2] = seconds;
  timespecs[1] = timespecs[3] = rest;
  return timespecs;
}

const timespecs = new BigInt64Array(4);

/** lsetxattr(2). Returns false when the file system cannot hold it (EOPNOTSUPP). */
export function setXattr(path: PathBytes, name: string, value: Uint8Array, { follow = false } = {}): boolean {
  const call = follow ? setxattrCall : lsetxattrCall;
  if (call(path, name, value.length === 0 ? Buffer.alloc(1) : value, value.length, 0) === 0) return true;
  const code = errno();
  if (code === EOPNOTSUPP) return false;
  throw systemError(`set extended attribute ${name} of ${shown(path)}`, code);
}

/** lgetxattr(2); undefined when there is none of that name. */
export function getXattr(path: PathBytes, name: string, { follow = false } = {}): Buffer | undefined {
  const call = follow ? getxattrCall : lgetxattrCall;
  for (let size = 256; ; size *= 4) {
    const value = Buffer.alloc(size);
    const length = Number(call(path, name, value, size));
    if (length >= 0) return value.subarray(0, length);
    const code = errno();
    if (code === ENODATA || code === EOPNOTSUPP) return undefined;
    if (code !== ERANGE || size > 65536)
      throw systemError(`read extended attribute ${name} of ${shown(path)}`, code);
  }
}

/** llistxattr(2): the names. */
export function listXattrs(path: PathBytes): string[] {
  for (let size = 256; ; size *= 4) {
    const list = Buffer.alloc(size);
    const length = Number(llistxattrCall(path, list, size));
    if (length >= 0) return list.toString("latin1", 0, length).split("\0").slice(0, -1);
    const code = errno();
    if (code === EOPNOTSUPP) return [];
    if (code !== ERANGE || size > 65536)
      throw systemError(`list extended attributes of ${shown(path)}`, code);
  }
}

/** syncfs(2) off the main thread: everything written to the file system of `fd` so far is on the disk. */
export async function syncFileSystem(fd: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  syncfsCall.async(fd, (error: Error | null, result: number) => (error ? reject(error) : resolve(result)));
  if ((await promise) !== 0) throw systemError("write the file system to disk", 5);
}

/** As {@link syncFileSystem}, for the file system that a directory is on. */
export async function syncDirectory(path: string): Promise<void> {
  const fd = openSync(path, "r");
  try {
    await syncFileSystem(fd);
  } finally {
    closeSync(fd);
  }
}

// linux/fs.h: _IOR('f', 1, long), _IOW('f', 2, long), and what `chattr +T` sets
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_TOPDIR_FL = 0x00020000;

/**
 * Has ext4 put each new directory of this one into a part of the disk of its own, where there is room (the top of a
 * hierarchy, for its allocator). Without it all of them share one part, and after many removals there ext4 looks at every
 * inode that went in the last seconds before it gives a new one: a layer then takes twenty times as long. No error where
 * the file system has no such flag.
 */
export function spreadDirectories(path: string): void {
  const fd = openSync(path, "r");
  try {
    const flags = [0];
    if (ioctlCall(fd, FS_IOC_GETFLAGS, flags) !== 0) return;
    ioctlCall(fd, FS_IOC_SETFLAGS, [flags[0]! | FS_TOPDIR_FL]);
  } finally {
    closeSync(fd);
  }
}

// struct dirent of 64-bit glibc: d_type is the byte after d_ino, d_off and d_reclen.
const direntTypeOffset = 18;
const DT_UNKNOWN = 0;

/** True when reading a directory tells the types of its entries; overlayfs needs that of what lies below it. */
export function hasDirectoryTypes(path: string): boolean {
  const directory: unknown = opendirCall(path);
  if (directory === null) throw systemError(`open directory ${path}`);
  try {
    const entry: unknown = readdirCall(directory);
    return entry !== null && koffi.decode(entry, direntTypeOffset, "uint8_t") !== DT_UNKNOWN;
  } finally {
    closedirCall(directory);
  }
}
