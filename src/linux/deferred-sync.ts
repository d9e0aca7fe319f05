/**
 * Data that goes to the disk after it was said to be there. Who makes something *marks* it first; soon afterwards
 * everything is written to disk at once, off the way of whoever waits, and the marks go. A mark that is found after the
 * machine was started anew names something that may be there in part only.
 *
 * A mark is a symbolic link to the boot's id: the journal keeps it in order with the rename that makes the thing visible,
 * so it is on the disk whenever that is, without an fsync. A process that dies loses nothing: the kernel has the data.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { isErrno } from "./fs-error.ts";
import { syncFileSystem } from "./inode.ts";

/** So long nothing more must have been marked, so that the layers of one image are written together. */
const quietMs = 1_000;

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // Nothing can be told apart then: whatever is marked is looked at.
    return `unknown-${process.pid}`;
  }
}

export class DeferredSync {
  readonly #directory: string;
  readonly #bootId = bootId();
  /** With a number that changes whenever it is marked anew. */
  readonly #marked = new Map<string, number>();
  #marks = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  /** The directory is made when it is missing; what is marked must be on the same file system. */
  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(directory)) if (this.#isOfThisBoot(name)) this.#note(name);
    if (this.#marked.size > 0) this.#soon();
  }

  #note(name: string): void {
    this.#marks += 1;
    this.#marked.set(name, this.#marks);
  }

  #isOfThisBoot(name: string): boolean {
    return readlinkSync(join(this.#directory, name)) === this.#bootId;
  }

  /** What was not written to disk before the machine went down, and has to be looked at. */
  suspects(): string[] {
    return readdirSync(this.#directory).filter((name) => !this.#marked.has(name));
  }

  /** To be called when the thing is complete and not yet visible, and again when it became so. `name` is a file name. */
  mark(name: string): void {
    try {
      symlinkSync(this.#bootId, join(this.#directory, name));
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
    }
    this.#note(name);
    this.#soon();
  }

  /** Which mark it has now, to be given to {@link written}; undefined when it is on the disk. */
  markOf(name: string): number | undefined {
    return this.#marked.get(name);
  }

  /** Somebody wrote to disk what had this mark. False when it was marked anew meanwhile: then it has to be written again. */
  written(name: string, mark: number): boolean {
    const current = this.#marked.get(name);
    if (current === mark) this.forget(name);
    return current === undefined || current === mark;
  }

  /** It is gone, or was looked at. When that cannot be noted (a read-only disk), it stays marked. */
  forget(name: string): void {
    rmSync(join(this.#directory, name), { force: true });
    this.#marked.delete(name);
  }

  #soon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.flush(), quietMs);
    this.#timer.unref();
  }

  /** Writes to disk what is marked now. Resolves when that is done; a failure is logged and leaves the marks. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#running = this.#flushAfter(this.#running);
    return this.#running;
  }

  async #flushAfter(before: Promise<void>): Promise<void> {
    await before;
    const marks = [...this.#marked];
    if (marks.length === 0) return;
    try {
      const fd = openSync(this.#directory, "r");
      try {
        await syncFileSystem(fd);
      } finally {
        closeSync(fd);
      }
      for (const [name, mark] of marks) this.written(name, mark);
    } catch (error) {
      // Gone with the whole data root.
      if (isErrno(error, "ENOENT")) this.#marked.clear();
      else log.error("could not write to disk", { directory: this.#directory, error: errorText(error) });
    }
  }
}
