/**
 * conmon's log file (its `k8s-file` form, ctr_logging.c): a record a line, `TIME STREAM P|F text`, where `P` is a part
 * of a line and `F` its end. conmon cuts lines where its buffer of 8 KiB ends; Docker cuts them at 16 KiB.
 */
import { parseRfc3339Ns, rfc3339Nano } from "../../base/time.ts";
import { maxLineBytes, type LogMessage, type LogStream } from "./message.ts";

const lineFeed = 0x0a;
const space = 0x20;
const letterE = 0x65;
const letterS = 0x73;
const letterP = 0x50;
/** Length of conmon's times: `2026-01-02T03:04:05.123456789+00:00`. */
const timeLength = 35;
/** An open line holds the others up for this many bytes of the file at most; then it is handed on as it is. */
const mostHeldBytes = 64 * 1024;

export interface RawBatch {
  readonly messages: LogMessage[];
  /** Bytes of the block that are dealt with: up to the last place where no line is open. */
  readonly consumedBytes: number;
}

interface OpenLine {
  readonly time: string;
  readonly parts: Buffer[];
  length: number;
}

/**
 * The messages of a block of conmon's file that begins at `offset`, where no line is open. What comes out depends on the
 * bytes from there on alone, not on where blocks end, so that a reading that was cut off can be done again. `isLast`:
 * nothing will follow, so open lines are handed on too.
 */
export function parseRaw(block: Buffer, offset: number, isLast: boolean): RawBatch {
  const parser = new RawParser(block, offset);
  return parser.parse(isLast);
}

class RawParser {
  readonly #block: Buffer;
  readonly #offset: number;
  readonly #messages: LogMessage[] = [];
  readonly #open: [OpenLine | undefined, OpenLine | undefined] = [undefined, undefined];
  #cleanBytes = 0;
  #cleanCount = 0;
  #lastRawTime = "";
  #lastTime = "";

  constructor(block: Buffer, offset: number) {
    this.#block = block;
    this.#offset = offset;
  }

  parse(isLast: boolean): RawBatch {
    const block = this.#block;
    let start = 0;
    for (let at = block.indexOf(lineFeed); at >= 0; at = block.indexOf(lineFeed, start)) {
      this.#record(start, at);
      start = at + 1;
      if (this.#open[0] === undefined && this.#open[1] === undefined) this.#markClean(start);
      else if (start - this.#cleanBytes > mostHeldBytes) {
        this.#handOnOpen();
        this.#markClean(start);
      }
    }
    if (isLast) {
      this.#handOnOpen();
      // A record without its end was cut off by a crash.
      this.#markClean(block.length);
    }
    this.#messages.length = this.#cleanCount;
    return { messages: this.#messages, consumedBytes: this.#cleanBytes };
  }

  #markClean(at: number): void {
    this.#cleanBytes = at;
    const last = this.#messages.length - 1;
    if (last >= this.#cleanCount) this.#messages[last]!.cleanAt = this.#offset + at;
    this.#cleanCount = last + 1;
  }

  #record(start: number, end: number): void {
    const block = this.#block;
    let timeEnd = start + timeLength;
    if (block[timeEnd] !== space) timeEnd = block.indexOf(space, start);
    const textStart = timeEnd + 10;
    // What is no record, such as one that a crash cut off, is passed over.
    if (timeEnd < start || textStart > end || block[timeEnd + 1] !== letterS || block[timeEnd + 9] !== space)
      return;
    const which = block[timeEnd + 4] === letterE ? 1 : 0;
    const isPart = block[timeEnd + 8] === letterP;
    const open = this.#open[which];
    if (!isPart && open === undefined) {
      this.#emit(which, this.#time(start, timeEnd), { data: block, start: textStart, end, isWhole: true });
      return;
    }
    const line = open ?? { time: this.#time(start, timeEnd), parts: [], length: 0 };
    line.parts.push(block.subarray(textStart, end));
    line.length += end - textStart;
    this.#open[which] = isPart ? line : undefined;
    if (isPart && line.length < maxLineBytes) return;
    const data = Buffer.concat(line.parts);
    // The end of a whole line is a message of its own, if only an empty one; an open line may end with a full one.
    const cutsBytes = isPart ? data.length : data.length - 1;
    const cut = cutsBytes - (cutsBytes % maxLineBytes);
    for (let start = 0; start < cut; start += maxLineBytes)
      this.#emit(which, line.time, { data, start, end: start + maxLineBytes, isWhole: false });
    if (!isPart) this.#emit(which, line.time, { data, start: cut, end: data.length, isWhole: true });
    else if (cut === data.length) this.#open[which] = undefined;
    else this.#open[which] = { time: line.time, parts: [data.subarray(cut)], length: data.length - cut };
  }

  #emit(which: number, time: string, text: Pick<LogMessage, "data" | "start" | "end" | "isWhole">): void {
    const stream: LogStream = which === 0 ? "stdout" : "stderr";
    this.#messages.push({
      stream,
      time,
      data: text.data,
      start: text.start,
      end: text.end,
      isWhole: text.isWhole,
      cleanAt: 0,
    });
  }

  #handOnOpen(): void {
    for (const which of [0, 1] as const) {
      const line = this.#open[which];
      this.#open[which] = undefined;
      if (line === undefined || line.length === 0) continue;
      const data = Buffer.concat(line.parts);
      this.#emit(which, line.time, { data, start: 0, end: data.length, isWhole: false });
    }
  }

  /** conmon stamps what it read at once with one time. */
  #time(start: number, end: number): string {
    // Behind what a crash cut off, the next record's time is at the end.
    const raw = this.#block.toString("latin1", Math.max(start, end - timeLength), end);
    if (raw !== this.#lastRawTime) {
      this.#lastRawTime = raw;
      this.#lastTime = utcTime(raw);
    }
    return this.#lastTime;
  }
}

const zeroCode = 0x30;

/** A time of conmon's, which is in the host's time zone, as {@link LogMessage.time}. */
function utcTime(raw: string): string {
  if (raw.length === timeLength && raw.endsWith("+00:00")) {
    let end = 29;
    while (raw.codePointAt(end - 1) === zeroCode) end--;
    return end === 20 ? `${raw.slice(0, 19)}Z` : `${raw.slice(0, end)}Z`;
  }
  return rfc3339Nano(parseRfc3339Ns(raw) ?? 0n);
}
