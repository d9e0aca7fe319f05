/** Log drivers that write files: json-file and local. */
import { failpoint } from "../../base/failpoint.ts";
import type { LogPosition } from "./checkpoint.ts";
import { encodeJsonLine } from "./json-lines.ts";
import { encodeLocalEntry } from "./local-entries.ts";
import type { LogMessage } from "./message.ts";
import type { RotatingFiles } from "./rotating-files.ts";
import type { LogTarget } from "./target.ts";

/** Entries on their way into the file. */
interface Encoder {
  /** Adds an entry and returns its size in bytes. */
  add(message: LogMessage): number;
  /** All entries since the last call. */
  flush(): Buffer;
}

class JsonEncoder implements Encoder {
  readonly #attributes: string;
  /** Lines as strings of bytes. */
  #text = "";

  constructor(attributes: string) {
    this.#attributes = attributes;
  }

  add(message: LogMessage): number {
    const line = encodeJsonLine(message, this.#attributes);
    this.#text += line;
    return line.length;
  }

  flush(): Buffer {
    const bytes = Buffer.from(this.#text, "latin1");
    this.#text = "";
    return bytes;
  }
}

class LocalEncoder implements Encoder {
  #entries: Buffer[] = [];

  add(message: LogMessage): number {
    const entry = encodeLocalEntry(message);
    this.#entries.push(entry);
    return entry.length;
  }

  flush(): Buffer {
    const bytes = Buffer.concat(this.#entries);
    this.#entries = [];
    return bytes;
  }
}

class FileTarget implements LogTarget {
  readonly mostWaitingBytes = undefined;
  readonly #files: RotatingFiles;
  readonly #encoder: Encoder;
  /** Called when entries were written or a new file was begun. */
  readonly #onWritten: () => void;
  /** Size of the current file at the last position that was noted, and since. */
  #sizeBytes = 0;
  /** Bytes behind {@link #sizeBytes} that are in the file already. */
  #writtenAhead = 0;

  constructor(files: RotatingFiles, encoder: Encoder, onWritten: () => void) {
    this.#files = files;
    this.#encoder = encoder;
    this.#onWritten = onWritten;
  }

  open(from: LogPosition | undefined): LogPosition {
    this.#encoder.flush();
    const actualBytes = this.#files.open();
    this.#sizeBytes = actualBytes;
    if (from !== undefined) {
      this.#files.generation = from.generation;
      // A shorter file is the next one: it was put aside and a crash came before the note.
      if (actualBytes < from.sizeBytes) this.#files.generation++;
      else this.#sizeBytes = from.sizeBytes;
    }
    this.#writtenAhead = actualBytes - this.#sizeBytes;
    return this.#position(from?.rawAt ?? 0);
  }

  #position(rawAt: number): LogPosition {
    return { rawAt, sizeBytes: this.#sizeBytes, generation: this.#files.generation };
  }

  async take(
    messages: readonly LogMessage[],
    end: number,
    note: (position: LogPosition) => void,
  ): Promise<LogPosition> {
    const { maxSizeBytes } = this.#files.limits;
    let waitingBytes = 0;
    for (const message of messages) {
      waitingBytes += this.#encoder.add(message);
      const isFull = maxSizeBytes > 0 && this.#sizeBytes + waitingBytes >= maxSizeBytes;
      // Only where reading may begin anew: what was taken must be known by an offset.
      if (!isFull || message.cleanAt === 0) continue;
      this.#append();
      waitingBytes = 0;
      note(this.#position(message.cleanAt));
      failpoint("log.before-rotation");
      await this.#files.rotate();
      failpoint("log.after-rotation");
      this.#sizeBytes = 0;
      this.#writtenAhead = 0;
      note(this.#position(message.cleanAt));
      this.#onWritten();
    }
    if (waitingBytes > 0) {
      this.#append();
      this.#onWritten();
    }
    return this.#position(end);
  }

  /** Writes what waits, without what an attempt that was cut off has written. */
  #append(): void {
    const data = this.#encoder.flush();
    const skipped = Math.min(this.#writtenAhead, data.length);
    if (skipped < data.length) this.#files.append(data.subarray(skipped));
    this.#writtenAhead -= skipped;
    this.#sizeBytes += data.length;
  }

  close(): Promise<void> {
    this.#files.close();
    return this.#files.settled();
  }
}

/** `attributes` is the JSON of what each line says about the container, or empty. */
export function jsonFileTarget(files: RotatingFiles, attributes: string, onWritten: () => void): FileTarget {
  return new FileTarget(files, new JsonEncoder(attributes), onWritten);
}

export function localTarget(files: RotatingFiles, onWritten: () => void): FileTarget {
  return new FileTarget(files, new LocalEncoder(), onWritten);
}
