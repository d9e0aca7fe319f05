/** A file that one writes and many read while it grows. */
import type { FileHandle } from "node:fs/promises";

/** Readers see what the writer shows them; the file is closed when the writer and every reader have done with it. */
export class GrowingFile {
  readonly #file: FileHandle;
  #writtenBytes = 0;
  #visibleBytes = 0;
  #users = 1;
  #outcome: { readonly error?: unknown } | undefined;
  #waiting: (() => void)[] = [];

  /** Takes over a file that is open for reading and writing. */
  constructor(file: FileHandle) {
    this.#file = file;
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Forgets what was written. What readers have had they keep. */
  restart(): void {
    this.#writtenBytes = 0;
  }

  async write(chunk: Buffer): Promise<void> {
    for (let offset = 0; offset < chunk.length;) {
      const { bytesWritten } = await this.#file.write(
        chunk,
        offset,
        chunk.length - offset,
        this.#writtenBytes + offset,
      );
      offset += bytesWritten;
    }
    this.#writtenBytes += chunk.length;
  }

  /** So many bytes may be read. */
  show(bytes: number): void {
    this.#visibleBytes = bytes;
    this.#wake();
  }

  /** The writer has done; with an error, readers fail. */
  async end(outcome: { readonly error?: unknown } = {}): Promise<void> {
    this.#outcome = outcome;
    this.#wake();
    await this.#release();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  async #release(): Promise<void> {
    this.#users -= 1;
    if (this.#users === 0) await this.#file.close();
  }

  /** Reads as far as the writer is, to the end. To be called before the writer has ended. */
  read(): AsyncGenerator<Buffer> {
    this.#users += 1;
    return this.#read();
  }

  async *#read(): AsyncGenerator<Buffer> {
    try {
      for (let offset = 0; ;) {
        if (offset < this.#visibleBytes) {
          const buffer = Buffer.allocUnsafe(Math.min(256 * 1024, this.#visibleBytes - offset));
          const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, offset);
          offset += bytesRead;
          yield buffer.subarray(0, bytesRead);
        } else if (this.#outcome !== undefined) {
          if (this.#outcome.error !== undefined) throw this.#outcome.error;
          return;
        } else await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    } finally {
      await this.#release();
    }
  }
}
