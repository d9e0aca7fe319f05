/**
 * Room that is set aside on the disk for what must work when it is full: noting what became of a container, and removing
 * things, which is how a disk gets room again.
 */
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { errorText, isKind } from "./errors.ts";
import { log } from "./log.ts";

const reservedBytes = 2 * 1024 * 1024;
/** After a failure it is tried again not sooner than this, by the clock that nobody sets. */
const retryMs = 5_000;

export class DiskReserve {
  readonly #path: string;
  #isHeld: boolean;
  #nextTryMs = 0;

  /** `path` is a file of this reserve's own; it is made at once when there is room. */
  constructor(path: string) {
    this.#path = path;
    this.#isHeld = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) >= reservedBytes;
    this.refill();
  }

  /**
   * Does `work`; when it fails for want of room, gives the reserve away and does it once more. Throws what `work` throws.
   */
  use<T>(work: () => T): T {
    try {
      const result = work();
      this.refill();
      return result;
    } catch (error) {
      if (!this.#isHeld || !isKind(error, "resourceExhausted")) throw error;
      this.#release();
      return work();
    }
  }

  #release(): void {
    log.warn("the disk is full: using what was set aside for that", { file: this.#path });
    rmSync(this.#path, { force: true });
    this.#isHeld = false;
    this.#nextTryMs = performance.now() + retryMs;
  }

  /** Sets room aside again, when there is some. */
  refill(): void {
    if (this.#isHeld || performance.now() < this.#nextTryMs) return;
    this.#nextTryMs = performance.now() + retryMs;
    try {
      const fd = openSync(this.#path, "w", 0o600);
      try {
        const zeros = Buffer.alloc(reservedBytes);
        for (let at = 0; at < zeros.length;) at += writeSync(fd, zeros, at);
        // Blocks that are only promised do not help on a full disk.
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      this.#isHeld = true;
    } catch (error) {
      log.debug("no room to set aside", { file: this.#path, error: errorText(error) });
      rmSync(this.#path, { force: true });
    }
  }
}
