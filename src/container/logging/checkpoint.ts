/**
 * How far a log driver has come in conmon's file, in a small file that a write replaces at once: the next daemon goes on
 * from there. A line is neither lost nor doubled, since what a driver wrote after its last note is known by its size.
 */
import { closeSync, constants, openSync, readFileSync, rmSync, writeSync } from "node:fs";

export interface LogPosition {
  /** Offset in conmon's file. */
  readonly rawAt: number;
  /** Size of the driver's current file then; 0 for drivers without files. */
  readonly sizeBytes: number;
  /** Number of the driver's current file. */
  readonly generation: number;
}

/** Fixed, so that a note always replaces the whole of the one before, in one write within one page. */
const noteBytes = 96;

export class Checkpoint {
  readonly #path: string;
  #fd = -1;

  constructor(path: string) {
    this.#path = path;
  }

  /** Undefined when there is none, or it cannot be read. */
  read(): LogPosition | undefined {
    try {
      const note = JSON.parse(readFileSync(this.#path, "latin1")) as LogPosition;
      const isWhole = [note.rawAt, note.sizeBytes, note.generation].every(Number.isSafeInteger);
      return isWhole ? note : undefined;
    } catch {
      return undefined;
    }
  }

  write(position: LogPosition): void {
    if (this.#fd < 0) this.#fd = openSync(this.#path, constants.O_WRONLY | constants.O_CREAT, 0o600);
    writeSync(this.#fd, JSON.stringify(position).padEnd(noteBytes), 0, "latin1");
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  remove(): void {
    this.close();
    rmSync(this.#path, { force: true });
  }
}
