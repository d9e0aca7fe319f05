/**
 * Mounts that are taken from one place and put into another by descriptors (open_tree(2), move_mount(2)): nobody can
 * replace a part of a path in between. The numbers are the same on every architecture.
 */
import { closeSync } from "node:fs";
import koffi from "koffi";
import { libc, systemError } from "./libc.ts";

const SYS_open_tree = 428;
const SYS_move_mount = 429;
const SYS_mount_setattr = 442;
const MOUNT_ATTR_IDMAP = 0x100000;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

const openTreeCall = libc.func("long syscall(long number, int dirfd, str path, unsigned int flags)");
const moveMountCall = libc.func(
  "long syscall(long number, int fromFd, str fromPath, int toFd, str toPath, unsigned int flags)",
);

/** Binds what is open at `fd`, a file or a directory with what is mounted below it, on `target`. */
export function bindDescriptor(fd: number, target: string): void {
  const flags = OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE | O_CLOEXEC;
  const tree = Number(openTreeCall(SYS_open_tree, fd, "", flags));
  if (tree < 0) throw systemError(`copy the mount for ${target}`);
  try {
    if (Number(moveMountCall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)) !== 0)
      throw systemError(`mount on ${target}`);
  } finally {
    closeSync(tree);
  }
}

const mountAttributes = koffi.struct("gantry_mount_attr", {
  attr_set: "uint64_t",
  attr_clr: "uint64_t",
  propagation: "uint64_t",
  userns_fd: "uint64_t",
});
const setAttributesCall = libc.func(
  "long syscall(long number, int fd, str path, unsigned int flags, gantry_mount_attr *attributes, size_t size)",
);

/**
 * Binds the directory `source` on `target` so that its owners are seen through the map of a user namespace: who is 0 on disk is
 * that namespace's root (mount_setattr(2); Linux 5.12, below overlayfs 5.19). What is mounted below is left out.
 */
export function bindIdmapped(source: string, target: string, userNamespaceFd: number): void {
  const tree = Number(openTreeCall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | O_CLOEXEC));
  if (tree < 0) throw systemError(`copy the mount of ${source}`);
  try {
    const attributes = {
      attr_set: MOUNT_ATTR_IDMAP,
      attr_clr: 0,
      propagation: 0,
      userns_fd: userNamespaceFd,
    };
    const size = koffi.sizeof(mountAttributes);
    if (Number(setAttributesCall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, attributes, size)) !== 0)
      throw systemError(`map the owners of ${source}`);
    if (Number(moveMountCall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)) !== 0)
      throw systemError(`mount on ${target}`);
  } finally {
    closeSync(tree);
  }
}
