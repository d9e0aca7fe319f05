import { write } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { CliError } from "./errors.ts";

/** Exit code of a program whose reader went away, as a shell shows it: 128 + SIGPIPE. */
const brokenPipeExit = 141;

/**
 * Writes to a file descriptor in the order of the calls; a write is done when the kernel has all of it.
 *
 * Writes are made by the thread pool: a reader that sleeps stops neither signals nor the other stream, and the file
 * descriptor, which other programs may share, is not switched to non-blocking.
 */
export class FdWriter {
  readonly #fd: number;
  #last: Promise<void> = Promise.resolve();

  constructor(fd: 1 | 2) {
    this.#fd = fd;
  }

  /** Throws `CliError` without a message when the reader is gone: the program ends in silence. */
  write(data: Buffer): Promise<void> {
    this.#last = this.#last.then(() => this.#writeAll(data));
    return this.#last;
  }

  async #writeAll(data: Buffer): Promise<void> {
    let rest = data;
    while (rest.length > 0) {
      try {
        rest = rest.subarray(await this.#writeSome(rest));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // A socket whose reader left with bytes unread answers with a reset.
        if (code === "EPIPE" || code === "ECONNRESET")
          throw new CliError("", brokenPipeExit, { cause: error });
        // Somebody who shares the descriptor has made it non-blocking, and it is full.
        if (code !== "EAGAIN") throw error;
        await delay(2);
      }
    }
  }

  #writeSome(data: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      write(this.#fd, data, (error, count) => (error === null ? resolve(count) : reject(error)));
    });
  }
}

/** The two output streams of a program, of which either may be shut. */
export class OutputWriters {
  readonly #stdout: FdWriter | undefined;
  readonly #stderr: FdWriter | undefined;

  constructor(open: { readonly stdout: boolean; readonly stderr: boolean }) {
    this.#stdout = open.stdout ? new FdWriter(1) : undefined;
    this.#stderr = open.stderr ? new FdWriter(2) : undefined;
  }

  /** Copies output to its end: all of it is with the kernel then. Throws what the daemon reports within the stream. */
  async copy(output: AsyncIterable<{ readonly stream: string; readonly data: Buffer }>): Promise<void> {
    for await (const { stream, data } of output) {
      if (stream === "system") throw new CliError(`error from daemon in stream: ${data.toString()}`);
      const writer = stream === "stderr" ? this.#stderr : this.#stdout;
      await writer?.write(data);
    }
  }
}
