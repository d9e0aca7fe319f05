import { closeSync, readSync } from "node:fs";
import { pollFd, type FdPoll } from "../linux/poll.ts";

/** What conmon writes on `_OCI_SYNCPIPE`: a pid or exit code, or a negative number and the runtime's words. */
export interface SyncMessage {
  readonly data: number;
  readonly message: string;
}

/** The read end of a pipe on which conmon reports, one JSON object a line (conmon's parent_pipe_fd.c). */
export class SyncPipe implements Disposable {
  readonly #fd: number;
  readonly #poll: FdPoll;
  readonly #lines: string[] = [];
  #partial = "";
  #isEnded = false;
  #waiting: (() => void) | undefined;

  /** Takes over `fd`. */
  constructor(fd: number) {
    this.#fd = fd;
    this.#poll = pollFd(fd, { readable: true, writable: false }, () => {
      this.#read();
    });
  }

  #read(): void {
    const buffer = Buffer.alloc(16_384);
    let count: number;
    try {
      count = readSync(this.#fd, buffer);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return;
      count = 0;
    }
    if (count === 0) {
      this[Symbol.dispose]();
    } else {
      const parts = (this.#partial + buffer.toString("utf8", 0, count)).split("\n");
      this.#partial = parts.pop()!;
      this.#lines.push(...parts);
    }
    this.#waiting?.();
  }

  /** The next message; undefined when the other side closed without one. One caller at a time. */
  async next(): Promise<SyncMessage | undefined> {
    while (this.#lines.length === 0 && !this.#isEnded) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting = resolve;
      await promise;
    }
    const line = this.#lines.shift();
    return line === undefined ? undefined : parseSyncMessage(line);
  }

  [Symbol.dispose](): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#poll.close();
    closeSync(this.#fd);
    this.#waiting?.();
  }
}

/** conmon escapes control characters like `\u00%02x` and `\/`; a line that is no JSON still says that it failed. */
export function parseSyncMessage(line: string): SyncMessage {
  try {
    const value = JSON.parse(line) as { data?: number; pid?: number; exit_code?: number; message?: string };
    return { data: value.data ?? value.pid ?? value.exit_code ?? -1, message: value.message ?? "" };
  } catch {
    return { data: -1, message: line };
  }
}
