/** A terminal for a test: opens a pty, runs a program on it, types, resizes and reads. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { ReadStream } from "node:tty";
import { writeSync } from "node:fs";
import koffi from "koffi";
import { eventually } from "./process.ts";

// Request numbers of asm-generic/ioctls.h (x86, arm64).
const TIOCSPTLCK = 0x40045431n;
const TIOCGPTN = 0x80045430n;
const TIOCSWINSZ = 0x5414n;

const libc = koffi.load("libc.so.6");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");

export interface PtyProgram {
  readonly process: ChildProcess;
  /** Everything that was shown so far. */
  output(): string;
  type(text: string): void;
  resize(rows: number, columns: number): void;
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<void>;
  /** Exit code; -1 when a signal ended it. */
  wait(timeoutMs?: number): Promise<number>;
}

export interface PtyOptions {
  readonly rows?: number;
  readonly columns?: number;
  readonly env?: Record<string, string>;
}

/** Starts `argv` with a new terminal as its controlling terminal and standard streams. */
export function startOnPty(argv: readonly string[], options: PtyOptions = {}): PtyProgram {
  const master = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY);
  const number = Buffer.alloc(4);
  control(master, TIOCSPTLCK, number);
  control(master, TIOCGPTN, number);
  const slave = openSync(`/dev/pts/${number.readInt32LE()}`, constants.O_RDWR | constants.O_NOCTTY);
  setSize(master, options.rows ?? 24, options.columns ?? 80);
  // setsid -c makes standard input the controlling terminal, so that ^C becomes a signal and resizing SIGWINCH.
  const child = spawn("setsid", ["-c", ...argv], {
    stdio: [slave, slave, slave],
    env: { ...process.env, TERM: "xterm", ...options.env },
  });
  closeSync(slave);
  let shown = "";
  const reader = new ReadStream(master);
  reader.on("data", (chunk: Buffer) => (shown += chunk.toString()));
  reader.on("error", () => {}); // EIO: the last holder of the other end is gone
  const exited = new Promise<number>((resolve) => {
    child.on("exit", (code) => resolve(code ?? -1));
    child.on("error", () => resolve(-1));
  });
  const drained = new Promise<void>((resolve) => reader.on("close", resolve));
  const limit = (timeoutMs: number): NodeJS.Timeout =>
    setTimeout(() => child.kill("SIGKILL"), timeoutMs).unref();
  return {
    process: child,
    output: () => shown,
    type: (text) => void writeSync(master, text),
    resize: (rows, columns) => setSize(master, rows, columns),
    waitFor: (pattern, timeoutMs = 30_000) =>
      eventually(() => pattern.test(shown), {
        timeoutMs,
        what: () => `${pattern} on the terminal, which shows ${JSON.stringify(shown)}`,
      }),
    async wait(timeoutMs = 60_000) {
      const timer = limit(timeoutMs);
      const code = await exited;
      clearTimeout(timer);
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
      reader.destroy();
      return code;
    },
  };
}

function control(fd: number, request: bigint, argument: Buffer): void {
  if (ioctl(fd, request, argument) !== 0) throw new Error(`ioctl 0x${request.toString(16)} failed on a pty`);
}

function setSize(fd: number, rows: number, columns: number): void {
  const size = Buffer.alloc(8);
  size.writeUInt16LE(rows, 0);
  size.writeUInt16LE(columns, 2);
  control(fd, TIOCSWINSZ, size);
}
