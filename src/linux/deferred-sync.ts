/**
 * Data that goes to the disk after it was said to be there. Who makes something *marks* it first; soon afterwards
 * everything is written to disk at once, off the way of whoever waits, and the marks go. A mark that is found after the
 * machine was started anew names something that may be there in part only.
 *
 * A mark is a symbolic link to the boot's id: the journal keeps it in order with the rename that makes the thing visible,
 * so it is on the disk whenever that is, without an fsync. A process that dies loses nothing: the kernel has the data.
 *
 * What the disk did not take is *lost*. The kernel tells of that once, and then has clean pages of data that is on no disk:
 * writing again would succeed. So such a mark stays, also for the next process, until the thing is made anew or removed;
 * after the next boot it names a suspect as the others do.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { EngineError, errorText } from "../base/errors.ts";
import { crashpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { isErrno } from "./fs-error.ts";
import { syncFileSystem } from "./inode.ts";

/** So long nothing more must have been marked, so that the layers of one image are written together. */
const quietMs = 1_000;
/** Nothing waits longer than this, however much more is marked; and when writing failed it is tried again after this. */
const longestMs = 30_000;

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
  /** Those of the marked that the disk did not take. */
  readonly #lost = new Set<string>();
  readonly #writeAll: (fd: number) => Promise<void>;
  /** When it is quiet, and when it has lasted too long. */
  #timer: NodeJS.Timeout | undefined;
  #lastTimer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  /** Why writing failed the last time. */
  #failure: unknown;

  /**
   * The directory is made when it is missing; what is marked must be on the same file system. `writeAll` writes it to disk
   * by an open file of it; tests have that fail.
   */
  constructor(directory: string, writeAll: (fd: number) => Promise<void> = syncFileSystem) {
    this.#directory = directory;
    this.#writeAll = writeAll;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(directory)) {
      const boot = readlinkSync(join(directory, name));
      if (boot === this.#lostId) this.#lost.add(name);
      if (boot === this.#bootId || boot === this.#lostId) this.#note(name);
    }
    if (this.#marked.size > 0) this.#soon();
  }

  get #lostId(): string {
    return `lost-${this.#bootId}`;
  }

  #note(name: string): void {
    this.#marks += 1;
    this.#marked.set(name, this.#marks);
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
      if (this.#lost.has(name)) this.#replaceMark(name, this.#bootId);
    }
    this.#lost.delete(name);
    this.#note(name);
    this.#soon();
  }

  /** True when the disk did not take it. It still has a mark, which {@link written} leaves. */
  isLost(name: string): boolean {
    return this.#lost.has(name);
  }

  /** Which mark it has now, to be given to {@link written}; undefined when it is on the disk. */
  markOf(name: string): number | undefined {
    return this.#marked.get(name);
  }

  /** Somebody wrote to disk what had this mark. False when it was marked anew meanwhile: then it has to be written again. */
  written(name: string, mark: number): boolean {
    const current = this.#marked.get(name);
    if (current === mark && !this.#lost.has(name)) this.forget(name);
    return current === undefined || current === mark;
  }

  /** It is gone, or was looked at. When that cannot be noted (a read-only disk), it stays marked. */
  forget(name: string): void {
    rmSync(join(this.#directory, name), { force: true });
    this.#marked.delete(name);
    this.#lost.delete(name);
  }

  #soon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#due(), quietMs).unref();
    this.#lastTimer ??= setTimeout(() => this.#due(), longestMs).unref();
  }

  #due(): void {
    this.#stopTimers();
    try {
      // Tests hold the marks by this.
      crashpoint("deferred-sync.due");
    } catch {
      this.#lastTimer = setTimeout(() => this.#due(), longestMs).unref();
      return;
    }
    void this.flush();
  }

  #stopTimers(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#lastTimer);
    this.#lastTimer = undefined;
  }

  /** Writes to disk what is marked now. Resolves when that is done; a failure is logged, leaves the marks, and is tried again. */
  flush(): Promise<void> {
    this.#stopTimers();
    this.#running = this.#flushAfter(this.#running);
    return this.#running;
  }

  /**
   * Resolves when these are on the disk, with all else that is marked; what has no mark is. Throws `unavailable` when one of
   * them cannot be written now, or is lost.
   */
  async require(names: readonly string[]): Promise<void> {
    for (;;) {
      const waiting = names.filter((name) => this.#marked.has(name) && !this.#lost.has(name));
      if (waiting.length === 0) break;
      const marks = waiting.map((name) => this.#marked.get(name));
      await this.flush();
      // One that was marked anew meanwhile is written with the next.
      if (waiting.some((name, index) => this.#marked.get(name) === marks[index])) break;
    }
    const rest = names.filter((name) => this.#marked.has(name));
    if (rest.length === 0) return;
    const reason = this.#failure === undefined ? "the disk did not take it" : errorText(this.#failure);
    throw new EngineError("unavailable", `could not write ${rest.join(", ")} to disk: ${reason}`, {
      cause: this.#failure,
      hint: "The kernel's log (dmesg) says more of the disk.",
    });
  }

  async #flushAfter(before: Promise<void>): Promise<void> {
    await before;
    const marks = [...this.#marked].filter(([name]) => !this.#lost.has(name));
    if (marks.length === 0) return;
    try {
      const fd = openSync(this.#directory, "r");
      try {
        await this.#writeAll(fd);
      } catch (error) {
        this.#loseAll();
        throw error;
      } finally {
        closeSync(fd);
      }
      for (const [name, mark] of marks) this.written(name, mark);
      this.#failure = undefined;
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    // Gone with the whole data root.
    if (isErrno(error, "ENOENT")) {
      this.#marked.clear();
      return;
    }
    // Once for many tries that fail.
    if (this.#failure === undefined)
      log.error("could not write to disk", { directory: this.#directory, error: errorText(error) });
    this.#failure = error;
    this.#lastTimer ??= setTimeout(() => this.#due(), longestMs).unref();
  }

  /** It is not told which one the disk did not take. */
  #loseAll(): void {
    for (const name of this.#marked.keys()) {
      if (this.#lost.has(name)) continue;
      this.#lost.add(name);
      try {
        this.#replaceMark(name, this.#lostId);
      } catch {
        // This process knows it anyway; another one of this boot will not.
      }
    }
  }

  /** There is always one of the two, wherever the process is killed. */
  #replaceMark(name: string, target: string): void {
    const fresh = `${this.#directory}.new`;
    rmSync(fresh, { force: true });
    symlinkSync(target, fresh);
    renameSync(fresh, join(this.#directory, name));
  }
}
