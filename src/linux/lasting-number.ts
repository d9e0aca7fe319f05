/** Numbers of descriptors that do not come again at once (fcntl(2), F_DUPFD_CLOEXEC). */
import { closeSync } from "node:fs";
import { descriptorLimit } from "./descriptor-limit.ts";
import { fcntl } from "./libc.ts";

const F_DUPFD_CLOEXEC = 1030;
/** Above what is open otherwise; as far up as memory for the kernel's table stays small. */
const firstNumber = 1024;
const lastNumber = 8191;

let next = firstNumber;

/**
 * The same open file under a number that no other gets for thousands of calls; `fd` is closed. For one that others know
 * by its path in /proc: whoever comes late finds nothing there, not somebody else's file. Where the limit of open files
 * leaves no room for that, `fd` itself.
 */
export function lastingNumber(fd: number): number {
  const end = Math.min(lastNumber, descriptorLimit() - 1);
  if (next > end) next = firstNumber;
  const moved = next > end ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, next);
  if (moved < 0) return fd;
  next = moved + 1;
  closeSync(fd);
  return moved;
}
