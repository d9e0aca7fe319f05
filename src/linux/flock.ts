import { closeSync, openSync } from "node:fs";
import { EAGAIN, errno, libc, systemError } from "./libc.ts";

const flockCall = libc.func("int flock(int fd, int operation)");
const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Takes an exclusive lock on a file (made when missing) for as long as this process lives or until the result is
 * disposed: flock(2). Undefined when another process holds it.
 */
export function lockFile(path: string): Disposable | undefined {
  const fd = openSync(path, "a", 0o600);
  if (flockCall(fd, LOCK_EX | LOCK_NB) === 0) return { [Symbol.dispose]: () => closeSync(fd) };
  const code = errno();
  closeSync(fd);
  if (code === EAGAIN) return undefined;
  throw systemError(`lock ${path}`, code);
}
