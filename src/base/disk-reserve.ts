/**
 * Room that is set aside on the disk for what must work when it is full: a daemon's start, noting what became of a
 * container, and removing things, which is how a disk gets room again. Bytes are kept in a file, inodes as empty files.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { errorText, isKind } from "./errors.ts";
import { log } from "./log.ts";

/** What is given away at once: somebody else may take it as soon as it is free. */
const partBytes = 1024 * 1024;
const partInodes = 32;
const reservedBytes = 3 * partBytes;
const reservedInodes = 3 * partInodes;
/** After a failure it is tried again not sooner than this, by the clock that nobody sets. */
const retryMs = 5_000;

export class DiskReserve {
  readonly #path: string;
  /** Of the file; 0 when nothing is set aside. */
  #sizeBytes: number;
  #nextTryMs = 0;

  /**
   * `path` is a file of this reserve's own, with a directory beside it; both are made at once when there is room. When there
   * is next to none, a part is given away.
   */
  constructor(path: string) {
    this.#path = path;
    this.#sizeBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    try {
      this.#startOnFullDisk();
    } catch (error) {
      log.warn("could not look for room on the disk", { file: path, error: errorText(error) });
    }
    this.refill();
  }

  get #inodes(): string {
    return `${this.#path}.inodes`;
  }

  /**
   * Does `work`; when it fails for want of room, gives a part of the reserve away and does it once more. Throws what `work`
   * throws.
   */
  use<T>(work: () => T): T {
    try {
      const result = work();
      this.refill();
      return result;
    } catch (error) {
      if (this.#sizeBytes === 0 || !isKind(error, "resourceExhausted")) throw error;
      this.#giveAway();
      return work();
    }
  }

  #startOnFullDisk(): void {
    const { bytes, inodes } = this.#free();
    if (bytes < partBytes || inodes < partInodes) this.#giveAway();
  }

  /** Gives a part of what is left to whoever writes next. */
  #giveAway(): void {
    log.warn("the disk is full: using what was set aside for that", { file: this.#path });
    this.#nextTryMs = performance.now() + retryMs;
    this.#sizeBytes = Math.max(0, this.#sizeBytes - partBytes);
    if (this.#sizeBytes > 0) truncateSync(this.#path, this.#sizeBytes);
    else rmSync(this.#path, { force: true });
    const spare = existsSync(this.#inodes) ? readdirSync(this.#inodes) : [];
    for (const name of spare.slice(0, partInodes)) rmSync(join(this.#inodes, name));
  }

  /** What is free on the file system; without end where it does not count inodes. */
  #free(): { bytes: number; inodes: number } {
    const { bavail, bsize, files, ffree } = statfsSync(dirname(this.#path));
    return { bytes: bavail * bsize, inodes: files === 0 ? Infinity : ffree };
  }

  /** Sets room aside again, when there is some, and as much again for others. */
  refill(): void {
    if (this.#sizeBytes >= reservedBytes || performance.now() < this.#nextTryMs) return;
    this.#nextTryMs = performance.now() + retryMs;
    try {
      const { bytes, inodes } = this.#free();
      if (bytes < 2 * reservedBytes || inodes < 2 * reservedInodes) return;
      this.#writeFile();
      mkdirSync(this.#inodes, { recursive: true, mode: 0o700 });
      for (let number = 0; number < reservedInodes; number += 1)
        closeSync(openSync(join(this.#inodes, String(number)), "a", 0o600));
      this.#sizeBytes = reservedBytes;
    } catch (error) {
      log.debug("no room to set aside", { file: this.#path, error: errorText(error) });
      this.#sizeBytes = 0;
      rmSync(this.#path, { force: true });
    }
  }

  #writeFile(): void {
    const fd = openSync(this.#path, "w", 0o600);
    try {
      const zeros = Buffer.alloc(reservedBytes);
      for (let at = 0; at < zeros.length;) at += writeSync(fd, zeros, at);
      // Blocks that are only promised do not help on a full disk.
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
}
