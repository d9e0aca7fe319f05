/** Lines of a log that the daemon writes with their times: by these it is known which have been shown. */
import type { OutputChunk } from "../../client/frames.ts";

export interface TimedLine {
  /** As the daemon writes it, RFC 3339 with nine digits: compares as text. Empty where there is none. */
  readonly time: string;
  /** The time of its last piece, which may have come after lines of the other stream. */
  readonly endTime: string;
  readonly text: string;
  readonly stream: "stdout" | "stderr";
}

/**
 * The lines of a log that was asked for with `timestamps`. A line that is longer than what a daemon takes in one piece
 * (16 KiB) has a time before each piece: they are taken out. Pieces up to the time `seen` are left out, be it that the rest
 * of their line is shown: what a program said last need not have ended its line.
 */
export async function* timedLines(
  output: AsyncIterable<OutputChunk>,
  { tty, seen = "" }: { readonly tty: boolean; readonly seen?: string },
): AsyncGenerator<TimedLine> {
  const readers = {
    stdout: new LineReader("stdout", tty, seen),
    stderr: new LineReader("stderr", tty, seen),
  };
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
  readonly #seen: string;
  readonly #decoder = new TextDecoder();
  /** Of the line that is being read. */
  #time: string | undefined;
  #endTime = "";
  #text = "";
  /** The time of a frame, as far as it has come; undefined behind it. */
  #head: string | undefined;
  /** What is left of the frame has been seen. */
  #isSeen = false;

  constructor(stream: TimedLine["stream"], tty: boolean, seen: string) {
    this.#stream = stream;
    this.#tty = tty;
    this.#seen = seen;
  }

  *push(data: Buffer, isStart: boolean): Generator<TimedLine> {
    if (this.#tty) {
      this.#text += this.#decoder.decode(data, { stream: true });
      yield* this.#whole((line) => terminalLine(line, this.#seen));
      return;
    }
    if (isStart) this.#head = "";
    const rest = this.#head === undefined ? data : this.#takeTime(data);
    if (this.#isSeen) return;
    this.#text += this.#decoder.decode(rest, { stream: true });
    const [time = "", endTime] = [this.#time, this.#endTime];
    yield* this.#whole((text) => {
      // What follows in a later frame has a time of its own.
      this.#time = undefined;
      return { time, endTime, text };
    });
  }

  *end(): Generator<TimedLine> {
    const text = this.#text + this.#decoder.decode();
    this.#text = "";
    if (text === "") return;
    const line = this.#tty
      ? terminalLine(text, this.#seen)
      : { time: this.#time ?? "", endTime: this.#endTime, text };
    if (line !== undefined) yield { stream: this.#stream, ...line };
  }

  #takeTime(data: Buffer): Buffer {
    const end = data.indexOf(space);
    this.#head += data.toString("latin1", 0, end === -1 ? data.length : end);
    this.#isSeen = false;
    if (end === -1) return data.subarray(data.length);
    const time = this.#head!;
    this.#head = undefined;
    this.#isSeen = time !== "" && time <= this.#seen;
    if (this.#isSeen) return data.subarray(data.length);
    // A piece of a long line: the line has the first one's time.
    this.#time ??= time;
    this.#endTime = time;
    return data.subarray(end + 1);
  }

  *#whole(take: (line: string) => LineOfTime | undefined): Generator<TimedLine> {
    const lines = this.#text.split("\n");
    this.#text = lines.pop()!;
    for (const text of lines) {
      const line = take(text.replace(/\r$/, ""));
      if (line !== undefined) yield { stream: this.#stream, ...line };
    }
  }
}

type LineOfTime = Omit<TimedLine, "stream">;

/**
 * A terminal's output has no frames: times stand where a line begins, or where a daemon has cut it, or where one run goes on
 * in the line that the last one did not end. Undefined for a line that has been seen.
 */
function terminalLine(line: string, seen: string): LineOfTime | undefined {
  const end = line.indexOf(" ");
  const time = line.slice(0, Math.max(end, 0));
  const text = line.slice(end + 1);
  const isSeen = time !== "" && time <= seen;
  // Elsewhere a time is one that the program wrote.
  if (!isSeen && line.length <= cutBytes) return { time, endTime: time, text };
  const times = [...line.matchAll(timeWithin)];
  const first = times.find(([found]) => found.trimEnd() > seen);
  if (first === undefined) return isSeen ? undefined : { time, endTime: time, text };
  const own = first[0].trimEnd();
  return {
    time: own,
    endTime: times.at(-1)![0].trimEnd(),
    text: line.slice(first.index).replaceAll(timeWithin, ""),
  };
}

const cutBytes = 8192;
const timeWithin = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /g;
