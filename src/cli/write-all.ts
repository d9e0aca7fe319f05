import { writeSync } from "node:fs";
import { CliError } from "./errors.ts";

/**
 * Writes all of `text`. A pipe that was set non-blocking by somebody may be full: then the write is tried again after
 * a rest of a millisecond. A reader that is gone ends the program in silence, as SIGPIPE would.
 */
export function writeAll(fd: 1 | 2, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EPIPE" || code === "ECONNRESET") throw new CliError("", 141, { cause: error });
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
