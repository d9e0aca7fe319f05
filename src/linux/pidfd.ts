/**
 * Processes by descriptor (pidfd_open(2)): a pidfd never comes to mean another process when the pid is used again, and
 * becomes readable when its process ends, whoever its parent is.
 */
import { closeSync, readFileSync } from "node:fs";
import { isErrno } from "./fs-error.ts";
import { errno, libc, systemError } from "./libc.ts";
import { pollFd, type FdPoll } from "./poll.ts";

// syscall(2) itself: not every libc in use has the wrappers. All architectures share these two numbers.
const pidfdOpenCall = libc.func("syscall", "long", ["long", "int", "unsigned int"]);
const pidfdSendSignalCall = libc.func("syscall", "long", ["long", "int", "int", "void *", "unsigned int"]);
const pidfdSendSignalNumber = 424;
const pidfdOpenNumber = 434;
const ESRCH = 3;

/** One process, held by a descriptor until disposed. */
export class Pidfd implements Disposable {
  readonly pid: number;
  #fd: number;
  #poll: FdPoll | undefined;
  #ended: PromiseWithResolvers<void> | undefined;

  private constructor(pid: number, fd: number) {
    this.pid = pid;
    this.#fd = fd;
  }

  /** Undefined when there is no such process. A process that ended and was not waited for is still there. */
  static open(pid: number): Pidfd | undefined {
    const fd = Number(pidfdOpenCall(pidfdOpenNumber, pid, 0));
    if (fd >= 0) return new Pidfd(pid, fd);
    const code = errno();
    if (code === ESRCH) return undefined;
    throw systemError(`open process ${pid}`, code);
  }

  /** Resolves when the process has ended (at once when it has). Never rejects; stays pending when disposed before. */
  ended(): Promise<void> {
    if (this.#ended !== undefined) return this.#ended.promise;
    const ended = Promise.withResolvers<void>();
    this.#ended = ended;
    this.#poll = pollFd(this.#fd, { readable: true, writable: false }, () => {
      this.#poll?.close();
      this.#poll = undefined;
      ended.resolve();
    });
    return ended.promise;
  }

  /** False when the process has ended. */
  signal(signalNumber: number): boolean {
    if (Number(pidfdSendSignalCall(pidfdSendSignalNumber, this.#fd, signalNumber, null, 0)) === 0)
      return true;
    const code = errno();
    if (code === ESRCH) return false;
    throw systemError(`send signal ${signalNumber} to process ${this.pid}`, code);
  }

  [Symbol.dispose](): void {
    this.#poll?.close();
    this.#poll = undefined;
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Resolves when process `pid` has ended, at once when there is none. */
export async function waitForEnd(pid: number): Promise<void> {
  using process = Pidfd.open(pid);
  await process?.ended();
}

/**
 * When the process started, in clock ticks since boot (proc(5), /proc/pid/stat field 22): with its pid this names a
 * process for good, over restarts of the daemon. Undefined when there is none, or it ended and is only waited for. Throws
 * when that cannot be read.
 */
export function processStartTicks(pid: number): bigint | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The program's name, in brackets, may have spaces and brackets itself.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : BigInt(fields[19] ?? "0");
  } catch (error) {
    // Out of descriptors is no news about the process.
    if (!isErrno(error, "ENOENT", "ESRCH")) throw error;
    return undefined;
  }
}

/** USER_HZ, which is 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/**
 * For how long the process has run, ms, by clocks that nobody sets (proc(5), /proc/uptime); 0 when there is none. Throws
 * when that cannot be read.
 */
export function processAgeMs(pid: number): number {
  const ticks = processStartTicks(pid);
  if (ticks === undefined) return 0;
  const upSeconds = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]);
  return Math.max(0, (upSeconds - Number(ticks) / ticksPerSecond) * 1000);
}
