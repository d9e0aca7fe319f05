/** Reading the files of a log driver, oldest first, with those that were put aside; memory stays the same however long they are. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { decodeJsonLines } from "./json-lines.ts";
import { decodeLocalEntries, localEntryStart } from "./local-entries.ts";
import type { LogEntry } from "./message.ts";
import { findRotated } from "./rotating-files.ts";

const blockBytes = 256 * 1024;
const lineFeed = 0x0a;

/** How entries lie in a file. */
export interface EntryFormat {
  /** Appends the whole entries of a block that begins where one does; returns the bytes that they took. */
  decode(block: Buffer, entries: LogEntry[]): number;
  /** Where the entry begins that ends at `end` of a block; -1 when that is before the block. */
  startBefore(block: Buffer, end: number): number;
}

export const jsonFormat: EntryFormat = {
  decode: decodeJsonLines,
  startBefore: (block, end) => {
    const feed = end < 2 ? -1 : block.lastIndexOf(lineFeed, end - 2);
    return feed < 0 ? -1 : feed + 1;
  },
};
export const localFormat: EntryFormat = { decode: decodeLocalEntries, startBefore: localEntryStart };

/** Files of a log: where they are and who writes them. */
export interface LogFiles {
  readonly path: string;
  readonly format: EntryFormat;
  readonly maxFiles: number;
}

/** Somebody writes: what a reader that follows must know. */
export interface LogWriter {
  /** Number of the current file; it rises by one when the file is put aside. */
  readonly generation: number;
  /** Rises with everything that is written, and with the end. */
  readonly version: number;
  /** Resolves when {@link version} rises, or `signal` aborts. */
  changed(signal: AbortSignal): Promise<void>;
  /** Nothing will be written any more. */
  readonly hasEnded: boolean;
}

/** An open file of a log; what was opened stays readable when it is put aside, compressed or removed. */
class OpenFile implements Disposable {
  readonly isCompressed: boolean;
  readonly #fd: number;
  readonly #format: EntryFormat;
  position = 0;

  constructor(path: string, format: EntryFormat) {
    this.#fd = openSync(path, "r");
    this.#format = format;
    this.isCompressed = path.endsWith(".gz");
  }

  /** Entries from {@link position} on to the present end, by blocks. */
  async *entries(): AsyncGenerator<LogEntry[]> {
    if (this.isCompressed) yield* this.#unpacked();
    else yield* this.#plain();
  }

  *#plain(): Generator<LogEntry[]> {
    for (let sizeBytes = blockBytes; ;) {
      // A new one each time: the entries lie in it.
      const block = Buffer.allocUnsafe(sizeBytes);
      const length = readSync(this.#fd, block, 0, block.length, this.position);
      if (length === 0) return;
      const entries: LogEntry[] = [];
      const taken = this.#format.decode(block.subarray(0, length), entries);
      this.position += taken;
      if (entries.length > 0) yield entries;
      if (taken === 0 && length < sizeBytes) return;
      // An entry that is longer than a block; none is in files that are ours.
      if (taken === 0) sizeBytes *= 2;
    }
  }

  async *#unpacked(): AsyncGenerator<LogEntry[]> {
    const source = Readable.from(this.#blocks());
    const stream = source.pipe(createGunzip({ chunkSize: blockBytes }));
    source.on("error", (error) => stream.destroy(error));
    let rest: Buffer = Buffer.alloc(0);
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        const block = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        const entries: LogEntry[] = [];
        const taken = this.#format.decode(block, entries);
        rest = block.subarray(taken);
        if (entries.length > 0) yield entries;
      }
    } finally {
      source.destroy();
      stream.destroy();
    }
  }

  *#blocks(): Generator<Buffer> {
    for (let at = 0; ;) {
      const block = Buffer.allocUnsafe(blockBytes);
      const length = readSync(this.#fd, block, 0, block.length, at);
      if (length === 0) return;
      at += length;
      yield block.subarray(0, length);
    }
  }

  /** Sets {@link position} to the begin of the last `wanted` entries; returns how many there are, at most `wanted`. */
  seekLast(wanted: number): number {
    let end = fstatSync(this.#fd).size;
    this.position = end;
    let found = 0;
    while (found < wanted && end > 0) {
      const start = Math.max(0, end - blockBytes);
      const block = Buffer.allocUnsafe(end - start);
      readSync(this.#fd, block, 0, block.length, start);
      let at = block.length;
      while (found < wanted && at > 0) {
        const entryStart = this.#format.startBefore(block, at);
        if (entryStart < 0 && start > 0) break;
        at = Math.max(entryStart, 0);
        found++;
      }
      // Nothing fitted: an entry that is longer than a block.
      if (at === block.length) break;
      end = start + at;
      this.position = end;
    }
    return found;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function openIfThere(path: string | undefined, format: EntryFormat): OpenFile | undefined {
  if (path === undefined) return undefined;
  try {
    return new OpenFile(path, format);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

export interface FilesRead {
  /** Last entries only; undefined for all. */
  readonly tail: number | undefined;
  /** Undefined: what is there now. */
  readonly writer: LogWriter | undefined;
  readonly signal: AbortSignal;
}

/** The entries of a log by blocks. Following, it ends when the writer has ended or `signal` aborts. */
export async function* readLogFiles(files: LogFiles, read: FilesRead): AsyncGenerator<LogEntry[]> {
  const reader = new FilesReader(files, read);
  try {
    yield* reader.run();
  } finally {
    reader.close();
  }
}

class FilesReader {
  readonly #files: LogFiles;
  readonly #read: FilesRead;
  /** Oldest first; the last is the current one. */
  #open: OpenFile[] = [];

  constructor(files: LogFiles, read: FilesRead) {
    this.#files = files;
    this.#read = read;
  }

  close(): void {
    for (const file of this.#open) file[Symbol.dispose]();
    this.#open = [];
  }

  async *run(): AsyncGenerator<LogEntry[]> {
    const { writer, signal, tail } = this.#read;
    let generation = writer?.generation ?? 0;
    this.#openAll();
    let skipped = tail === undefined ? 0 : await this.#seekTail(tail);
    for (;;) {
      // Asked before reading: what is written meanwhile is looked for once more.
      const version = writer?.version;
      const isLast = writer === undefined || writer.hasEnded;
      for (;;) {
        const file = this.#open[0];
        if (file === undefined) break;
        for await (const entries of file.entries()) {
          if (signal.aborted) return;
          if (skipped >= entries.length) skipped -= entries.length;
          else {
            yield skipped === 0 ? entries : entries.slice(skipped);
            skipped = 0;
          }
        }
        if (this.#open.length === 1) break;
        this.#open.shift()![Symbol.dispose]();
      }
      if (writer === undefined || signal.aborted) return;
      if (writer.generation > generation) {
        // All that it will ever hold is in the file now: it is read to its end once more.
        const current = this.#open[0];
        if (current !== undefined && !current.isCompressed) yield* current.entries();
        this.close();
        generation = this.#openNext(generation + 1, writer.generation);
        continue;
      }
      if (isLast) return;
      if (writer.version === version) await writer.changed(signal);
      if (this.#open.length === 0) this.#openCurrent();
    }
  }

  #openAll(): void {
    const { path, format, maxFiles } = this.#files;
    for (let index = maxFiles - 1; index > 0; index--) {
      const file = openIfThere(findRotated(path, index), format);
      if (file !== undefined) this.#open.push(file);
    }
    this.#openCurrent();
  }

  #openCurrent(): void {
    const file = openIfThere(this.#files.path, this.#files.format);
    if (file !== undefined) this.#open.push(file);
  }

  /** Opens the file with number `wanted` and those after it, as far as they are still there; returns the current number. */
  #openNext(wanted: number, current: number): number {
    const { path, format, maxFiles } = this.#files;
    for (let number = Math.max(wanted, current - maxFiles + 1); number < current; number++) {
      const file = openIfThere(findRotated(path, current - number), format);
      if (file !== undefined) this.#open.push(file);
    }
    this.#openCurrent();
    return current;
  }

  /** Leaves only the files with the last `tail` entries; returns how many entries of the first are too many. */
  async #seekTail(tail: number): Promise<number> {
    let missing = tail;
    for (let at = this.#open.length - 1; at >= 0; at--) {
      const file = this.#open[at]!;
      if (missing === 0 && at < this.#open.length - 1) {
        for (const old of this.#open.splice(0, at + 1)) old[Symbol.dispose]();
        return 0;
      }
      if (!file.isCompressed) {
        missing -= file.seekLast(missing);
        continue;
      }
      let count = 0;
      for await (const entries of file.entries()) count += entries.length;
      if (count >= missing) {
        for (const old of this.#open.splice(0, at)) old[Symbol.dispose]();
        return count - missing;
      }
      missing -= count;
    }
    return 0;
  }
}
