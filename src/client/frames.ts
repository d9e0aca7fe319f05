/**
 * Docker's multiplexed stream: a header of 8 bytes (stream, three zeros, length as big-endian uint32), then the payload.
 * Described at `POST /containers/{id}/attach` of the Engine API.
 */

export type OutputStream = "stdin" | "stdout" | "stderr" | "system";

/** A piece of a program's output. Frames are handed on in pieces as they arrive, never collected. */
export interface OutputChunk {
  readonly stream: OutputStream;
  readonly data: Buffer;
  /** It begins a frame: what a daemon writes of a line in one piece. Always true of a terminal's bytes, which have none. */
  readonly isStart: boolean;
}

const headerBytes = 8;
const streams: readonly OutputStream[] = ["stdin", "stdout", "stderr", "system"];

/** The bytes are no multiplexed stream. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** Takes a multiplexed stream apart. */
export class FrameParser {
  readonly #header = Buffer.alloc(headerBytes);
  #headerFill = 0;
  #remaining = 0;
  #stream: OutputStream = "stdout";
  #isStart = false;

  /** True between two frames: where a stream may end. */
  get complete(): boolean {
    return this.#remaining === 0 && this.#headerFill === 0;
  }

  /** The pieces in `chunk`, as views into it. Throws {@link FrameError}. */
  *push(chunk: Buffer): Generator<OutputChunk, void, void> {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#remaining === 0) {
        offset += this.#takeHeader(chunk, offset);
        continue;
      }
      const data = chunk.subarray(offset, offset + this.#remaining);
      offset += data.length;
      this.#remaining -= data.length;
      yield { stream: this.#stream, data, isStart: this.#isStart };
      this.#isStart = false;
    }
  }

  #takeHeader(chunk: Buffer, offset: number): number {
    const taken = chunk.copy(this.#header, this.#headerFill, offset, offset + headerBytes - this.#headerFill);
    this.#headerFill += taken;
    if (this.#headerFill < headerBytes) return taken;
    const stream = streams[this.#header[0]!];
    if (stream === undefined)
      throw new FrameError(`the output has a frame of the unknown stream ${this.#header[0]}`);
    this.#stream = stream;
    this.#remaining = this.#header.readUInt32BE(4);
    this.#headerFill = 0;
    this.#isStart = true;
    return taken;
  }
}

/** The pieces of a stream: raw bytes of a terminal are all `stdout`. Throws {@link FrameError} when it ends in a frame. */
export async function* readOutput(
  source: AsyncIterable<Buffer>,
  framed: boolean,
): AsyncGenerator<OutputChunk, void, void> {
  if (!framed) {
    for await (const data of source) yield { stream: "stdout", data, isStart: true };
    return;
  }
  const parser = new FrameParser();
  for await (const chunk of source) yield* parser.push(chunk);
  if (!parser.complete) throw new FrameError("the output ended in the middle of a frame");
}
