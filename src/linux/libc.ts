/**
 * The one place that loads the C library. Files of this room declare the functions they need through {@link libc} and
 * turn failures into `EngineError` with {@link systemError}. Calls are synchronous and take under a microsecond plus the
 * kernel's own time.
 */
import { getSystemErrorMap } from "node:util";
import koffi from "koffi";
import { EngineError, type ErrorKind } from "../base/errors.ts";
import { machineFault } from "../base/machine-fault.ts";

/** glibc; loaded when this room is, which the command line never does. */
export const libc = koffi.load("libc.so.6");
// koffi knows no ssize_t of its own.
koffi.alias("ssize_t", "intptr_t");

/** fcntl(2) with a number for its argument. */
export const fcntl = libc.func("int fcntl(int fd, int command, int argument)") as (
  fd: number,
  command: number,
  argument: number,
) => number;

const setsockoptCall = libc.func(
  "int setsockopt(int fd, int level, int name, const void *value, uint32_t length)",
);

/** setsockopt(2): 0, or -1 with {@link errno}. */
export const setsockopt = (fd: number, level: number, name: number, value: Buffer): number =>
  setsockoptCall(fd, level, name, value, value.length) as number;

/** errno of the last call made through koffi on this thread. */
export const errno = (): number => koffi.errno();

export const ENOENT = 2;
export const EINTR = 4;
export const EAGAIN = 11;
export const EINVAL = 22;
export const ECONNRESET = 104;
export const ENOBUFS = 105;

const kinds: Readonly<Record<string, ErrorKind>> = {
  EPERM: "permissionDenied",
  EACCES: "permissionDenied",
  ENOENT: "notFound",
  ENODEV: "notFound",
  ESRCH: "notFound",
  EEXIST: "alreadyExists",
  EBUSY: "conflict",
  EADDRINUSE: "conflict",
  ENOTEMPTY: "conflict",
  EINVAL: "invalidArgument",
  ENAMETOOLONG: "invalidArgument",
  ENOSYS: "notImplemented",
  EOPNOTSUPP: "notImplemented",
  ENOTSUP: "notImplemented",
};

/** errno's name (`ENOENT`) and the kernel's sentence for it. */
export function describeErrno(code: number): { name: string; text: string } {
  const [name = `E${code}`, text = `error ${code}`] = getSystemErrorMap().get(-code) ?? [];
  return { name, text };
}

/** The error for a failed system call: `what` says what was asked (`mount overlay on /x`). The errno is kept as `code`. */
export function systemError(what: string, code: number = errno()): EngineError & { readonly code: string } {
  const { name, text } = describeErrno(code);
  const fault = machineFault(name);
  const error = new EngineError(
    fault?.kind ?? kinds[name] ?? "internal",
    `${what}: ${text} (${name})`,
    fault === undefined ? {} : { hint: fault.hint },
  );
  return Object.assign(error, { code: name });
}
