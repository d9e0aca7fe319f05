/**
 * Reading a container's log in the format that conmon writes it (`k8s-file`): a record a line, `TIME STREAM P|F text`,
 * where `P` is a part of a line and `F` its end.
 */
import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { parseRfc3339Ns } from "../base/time.ts";

export interface LogRecord {
  readonly stream: "stdout" | "stderr";
  /** ns since the epoch. */
  readonly timeNs: bigint;
  /** With its line feed, when the program wrote one. */
  readonly line: Buffer;
}

export interface LogRead {
  readonly path: string;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  /** Last lines only; undefined for all. */
  readonly tail: number | undefined;
  /** ns since the epoch; 0n for no bound. */
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
  readonly signal: AbortSignal;
  /** Resolves when nothing more will be written: what is there then is read to its end. */
  readonly stopped: Promise<void>;
}

const blockBytes = 64 * 1024;
/** Docker hands on a line without its end when it has this many bytes. */
const maxLineBytes = 16 * 1024;
const lineFeed = 0x0a;

/** Parses one record, without its line feed; undefined for what is none (a line cut off by a crash). */
export function parseRecord(record: Buffer): LogRecord | undefined {
  const first = record.indexOf(0x20);
  const second = record.indexOf(0x20, first + 1);
  if (first < 0 || second < 0) return undefined;
  const timeNs = parseRfc3339Ns(record.toString("latin1", 0, first));
  const stream = record.toString("latin1", first + 1, second);
  const tag = record[second + 1];
  if (timeNs === undefined || (stream !== "stdout" && stream !== "stderr") || (tag !== 0x46 && tag !== 0x50))
    return undefined;
  const text = record.subarray(second + 3);
  return {
    stream,
    timeNs,
    line: tag === 0x46 ? Buffer.concat([text, Buffer.from("\n")]) : Buffer.from(text),
  };
}

/**
 * The records of a log, oldest first. Memory stays the same however long the log is. A log that is not there yet is
 * empty. Ends at the end of the file, or, following, when the container has stopped or `signal` aborts.
 */
export async function* readLog(read: LogRead): AsyncGenerator<LogRecord> {
  using changes = new Changes(read);
  let file = await openIfThere(read.path);
  try {
    let position = file === undefined || read.tail === undefined ? 0 : await tailPosition(file, read);
    const lines = new LineJoiner();
    for (;;) {
      // Asked before reading: what is written before the stop is then still read.
      const isLast = !read.follow || changes.hasStopped;
      file ??= await openIfThere(read.path);
      if (file !== undefined)
        for await (const { record, end } of records(file, position)) {
          if (read.signal.aborted) return;
          position = end;
          const parsed = parseRecord(record);
          if (parsed === undefined || !read[parsed.stream] || parsed.timeNs < read.sinceNs) continue;
          if (read.untilNs > 0n && parsed.timeNs > read.untilNs) return;
          const line = lines.add(parsed);
          if (line !== undefined) yield line;
        }
      if (isLast) yield* lines.rest();
      if (isLast || read.signal.aborted) return;
      await changes.next();
    }
  } finally {
    await file?.close();
  }
}

/** conmon cuts lines where its buffer ends; as long as Docker keeps them whole, they are put together again. */
class LineJoiner {
  readonly #begun = new Map<LogRecord["stream"], LogRecord>();

  /** Takes a record; gives back a line when it is whole, or too long to wait for its end. */
  add(record: LogRecord): LogRecord | undefined {
    const before = this.#begun.get(record.stream);
    const line = before === undefined ? record.line : Buffer.concat([before.line, record.line]);
    const joined = { ...record, timeNs: before?.timeNs ?? record.timeNs, line };
    if (line.at(-1) === lineFeed || line.length >= maxLineBytes) {
      this.#begun.delete(record.stream);
      return joined;
    }
    this.#begun.set(record.stream, joined);
    return undefined;
  }

  /** What the program wrote last, without a line feed. */
  rest(): LogRecord[] {
    const rest = [...this.#begun.values()];
    this.#begun.clear();
    return rest;
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Whole records from a position on, each with the position after it. */
async function* records(file: FileHandle, from: number): AsyncGenerator<{ record: Buffer; end: number }> {
  let rest = Buffer.alloc(0);
  let position = from;
  for (;;) {
    const { bytesRead, buffer } = await file.read(
      Buffer.allocUnsafe(blockBytes),
      0,
      blockBytes,
      position + rest.length,
    );
    if (bytesRead === 0) return;
    const data =
      rest.length === 0
        ? buffer.subarray(0, bytesRead)
        : Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    let start = 0;
    for (let at = data.indexOf(lineFeed); at >= 0; at = data.indexOf(lineFeed, start)) {
      yield { record: data.subarray(start, at), end: position + at + 1 };
      start = at + 1;
    }
    position += start;
    rest = data.subarray(start);
  }
}

/** Where the last `tail` lines of the wanted streams begin, found block by block from the end. */
async function tailPosition(file: FileHandle, read: LogRead): Promise<number> {
  const { size } = await file.stat();
  const wanted = read.tail ?? 0;
  let end = size;
  let found = 0;
  let rest = Buffer.alloc(0);
  let position = size;
  while (end > 0) {
    const start = Math.max(0, end - blockBytes);
    const block = Buffer.alloc(end - start);
    await file.read(block, 0, block.length, start);
    const data = Buffer.concat([block, rest]);
    let stop = data.length;
    for (;;) {
      const feed = stop < 2 ? -1 : data.lastIndexOf(lineFeed, stop - 2);
      if (feed < 0 && start > 0) break;
      const parsed = parseRecord(data.subarray(feed + 1, Math.max(feed + 1, stop - 1)));
      const isLineEnd = parsed !== undefined && read[parsed.stream] && parsed.line.at(-1) === lineFeed;
      if (isLineEnd && found++ === wanted) return position;
      position = start + feed + 1;
      stop = feed + 1;
      if (feed < 0) return 0;
    }
    rest = data.subarray(0, stop);
    end = start;
  }
  return 0;
}

/** Wakes the reader when the log grows, the container stops or the client goes. */
class Changes implements Disposable {
  hasStopped = false;
  #pending = Promise.withResolvers<void>();
  readonly #watcher: FSWatcher | undefined;
  readonly #signal: AbortSignal;
  readonly #wake = (): void => this.#pending.resolve();

  constructor(read: LogRead) {
    this.#signal = read.signal;
    if (!read.follow) return;
    // The directory, because the log may not be there yet.
    this.#watcher = watch(dirname(read.path), this.#wake);
    read.signal.addEventListener("abort", this.#wake, { once: true });
    void this.#awaitStop(read.stopped);
  }

  async #awaitStop(stopped: Promise<void>): Promise<void> {
    await stopped;
    this.hasStopped = true;
    this.#wake();
  }

  async next(): Promise<void> {
    await this.#pending.promise;
    this.#pending = Promise.withResolvers();
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    this.#signal.removeEventListener("abort", this.#wake);
  }
}
