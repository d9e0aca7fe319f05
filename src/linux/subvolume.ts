/** Subvolumes of btrfs (linux/btrfs.h): made, copied without copying, removed. */
import { closeSync, constants, openSync } from "node:fs";
import { basename, dirname } from "node:path";
import { libc, systemError } from "./libc.ts";

const ioctlCall = libc.func("int ioctl(int fd, unsigned long request, uint8_t *argument)");

// _IOW(0x94, N, struct btrfs_ioctl_vol_args); the struct is a descriptor (s64) and a name of 4088 bytes.
const BTRFS_IOC_SNAP_CREATE = 0x50009401;
const BTRFS_IOC_SUBVOL_CREATE = 0x5000940e;
const BTRFS_IOC_SNAP_DESTROY = 0x5000940f;
const argumentBytes = 4096;
const nameOffset = 8;

function change(request: number, path: string, what: string, sourceFd = 0): void {
  const argument = Buffer.alloc(argumentBytes);
  argument.writeBigInt64LE(BigInt(sourceFd), 0);
  // Zero-filled, so the name ends with a NUL.
  argument.write(basename(path), nameOffset, argumentBytes - nameOffset - 1);
  const parent = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    if (ioctlCall(parent, request, argument) !== 0) throw systemError(`${what} ${path}`);
  } finally {
    closeSync(parent);
  }
}

/** Makes an empty subvolume at `path`, whose parent directory is there. */
export function createSubvolume(path: string): void {
  change(BTRFS_IOC_SUBVOL_CREATE, path, "make subvolume");
}

/** Makes a writable subvolume at `path` with all that the subvolume `source` has. Takes no time and no space. */
export function snapshotSubvolume(source: string, path: string): void {
  const fd = openSync(source, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    change(BTRFS_IOC_SNAP_CREATE, path, `snapshot ${source} as`, fd);
  } finally {
    closeSync(fd);
  }
}

/** Removes a subvolume with everything in it; its space comes back in the background. */
export function deleteSubvolume(path: string): void {
  change(BTRFS_IOC_SNAP_DESTROY, path, "delete subvolume");
}
