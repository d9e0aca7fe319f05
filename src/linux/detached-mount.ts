/**
 * Mounts that are taken from one place and put into another by descriptors (open_tree(2), move_mount(2)): nobody can
 * replace a part of a path in between. The numbers are the same on every architecture.
 */
import { closeSync } from "node:fs";
import { libc, systemError } from "./libc.ts";

const SYS_open_tree = 428;
const SYS_move_mount = 429;
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
