import { EINTR, errno, libc } from "./libc.ts";

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const fallocateCall = libc.func("int fallocate(int fd, int mode, int64_t offset, int64_t length)");

/**
 * Gives the room of a file's part back (fallocate(2), FALLOC_FL_PUNCH_HOLE): it reads as zeros from then on, and the
 * file keeps its size. False where the file system cannot do that.
 */
export function punchHole(fd: number, offset: number, lengthBytes: number): boolean {
  for (;;) {
    if (fallocateCall(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, lengthBytes) === 0) return true;
    if (errno() !== EINTR) return false;
  }
}
