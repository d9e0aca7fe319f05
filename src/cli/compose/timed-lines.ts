/** Lines of a log that the daemon writes with their times: by these it is known which have been shown. */
import type { OutputChunk } from "../../client/frames.ts";

export interface TimedLine {
  /** As the daemon writes it, RFC 3339 with nine digits: compares as text. Empty where there is none. */
  readonly time: string;
  readonly text: string;
  readonly stream: "stdout" | "stderr";
}

/**
 * The lines of a log that was asked for with `timestamps`. A line that is longer than what a daemon takes in one piece
 * (16 KiB) has a time before each piece: they are taken out.
 */
export async function* timedLines(
  output: AsyncIterable<OutputChunk>,
  tty: boolean,
): AsyncGenerator<TimedLine> {
  const readers = { stdout: new LineReader("stdout", tty), stderr: new LineReader("stderr", tty) };
  for await (const { stream, data, isStart } of output) {
    yield* (stream === "stderr" ? readers.stderr : readers.stdout).push(data, isStart);
  }
  yield* readers.stdout.end();
  yield* readers.stderr.end();
}

const space = 0x20;

class LineReader {
  readonly #stream: TimedLine["stream"];
  readonly #tty: boolean;
  readonly #decoder = new TextDecoder();
  /** Of the line that is being read. */
  #time: string | undefined;
  #text = "";
  /** The time of a frame, as far as it has come; undefined behind it. */
  #head: string | undefined;

  constructor(stream: TimedLine["stream"], tty: boolean) {
    this.#stream = stream;
    this.#tty = tty;
  }

  *push(data: Buffer, isStart: boolean): Generator<TimedLine> {
    if (this.#tty) {
      this.#text += this.#decoder.decode(data, { stream: true });
      yield* this.#whole((line) => terminalLine(line));
      return;
    }
    if (isStart) this.#head = "";
    const rest = this.#head === undefined ? data : this.#takeTime(data);
    this.#text += this.#decoder.decode(rest, { stream: true });
    const time = this.#time ?? "";
    yield* this.#whole((text) => {
      // What follows in a later frame has a time of its own.
      this.#time = undefined;
      return { time, text };
    });
  }

  *end(): Generator<TimedLine> {
    const text = this.#text + this.#decoder.decode();
    this.#text = "";
    if (text === "") return;
    yield { stream: this.#stream, ...(this.#tty ? terminalLine(text) : { time: this.#time ?? "", text }) };
  }

  #takeTime(data: Buffer): Buffer {
    const end = data.indexOf(space);
    this.#head += data.toString("latin1", 0, end === -1 ? data.length : end);
    if (end === -1) return data.subarray(data.length);
    // A piece of a long line: the line has the first one's time.
    this.#time ??= this.#head;
    this.#head = undefined;
    return data.subarray(end + 1);
  }

  *#whole(take: (line: string) => Pick<TimedLine, "time" | "text">): Generator<TimedLine> {
    const lines = this.#text.split("\n");
    this.#text = lines.pop()!;
    for (const line of lines) yield { stream: this.#stream, ...take(line.replace(/\r$/, "")) };
  }
}

/** A terminal's output has no frames: times stand where a line begins, or where a daemon has cut it. */
function terminalLine(line: string): Pick<TimedLine, "time" | "text"> {
  const end = line.indexOf(" ");
  const text = line.slice(end + 1);
  return {
    time: line.slice(0, Math.max(end, 0)),
    text: line.length > cutBytes ? text.replaceAll(timeWithin, "") : text,
  };
}

const cutBytes = 8192;
const timeWithin = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /g;
