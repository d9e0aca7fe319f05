import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { readOutput, type OutputChunk } from "./frames.ts";

/** A program's output, without a way back. */
export interface OutputReader {
  /** The pieces of output as they arrive; read once. Leaving the loop closes the connection. */
  output(): AsyncIterable<OutputChunk>;
  /** Closes the connection. */
  close(): void;
}

/** A program's standard streams over a connection of their own. */
export interface StdioStream extends OutputReader {
  /** Input for the program. `end()` closes the program's standard input, and output goes on. */
  readonly input: Writable;
}

const multiplexed = "application/vnd.docker.multiplexed-stream";

/**
 * Wraps a hijacked connection. `tty` says whether the bytes are a terminal's; without it the content type decides, which
 * daemons below API 1.42 do not tell.
 */
export function stdioStream(
  socket: Socket,
  contentType: string | undefined,
  tty: boolean | undefined,
): StdioStream {
  const framed = tty === undefined ? contentType === multiplexed : !tty;
  return {
    input: socket,
    output: () => readOutput(socket as AsyncIterable<Buffer>, framed),
    close: () => socket.destroy(),
  };
}

/** The same for the body of an answer, as logs are. */
export function outputReader(
  body: Readable,
  contentType: string | undefined,
  tty: boolean | undefined,
): OutputReader {
  const framed = tty === undefined ? contentType === multiplexed : !tty;
  return {
    output: () => readOutput(body as AsyncIterable<Buffer>, framed),
    close: () => body.destroy(),
  };
}
