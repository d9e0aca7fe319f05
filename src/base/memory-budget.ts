/**
 * What one request may keep in memory. Lists that a stranger's input makes (names in an archive, files of a build context)
 * cost little each, and archives can name any number of them in a few compressed bytes: a budget stops the list before
 * the daemon's heap is full, which would end the daemon.
 */
import { getHeapStatistics } from "node:v8";
import { EngineError } from "./errors.ts";

/** What a record costs besides its texts: the object, its place in a map, its numbers. */
const usualRecordBytes = 512;
/** One request's share of the heap. */
const share = 4;

let usualBytes: number | undefined;

export interface BudgetOptions {
  /** A share of the heap unless it is given. */
  readonly limitBytes?: number | undefined;
  /** What a record costs besides its texts. */
  readonly recordBytes?: number;
}

export class MemoryBudget {
  readonly #what: string;
  readonly #limitBytes: number;
  readonly #recordBytes: number;
  #usedBytes = 0;

  /** `what` is too much, in the words of the error: "the build context names too many files". */
  constructor(what: string, options: BudgetOptions = {}) {
    this.#what = what;
    this.#limitBytes =
      options.limitBytes ?? (usualBytes ??= Math.floor(getHeapStatistics().heap_size_limit / share));
    this.#recordBytes = options.recordBytes ?? usualRecordBytes;
  }

  /** A record with texts of so many bytes is kept from now on. Throws `resourceExhausted` when there is no room for it. */
  take(textBytes: number): void {
    this.#usedBytes += this.#recordBytes + textBytes;
    if (this.#usedBytes <= this.#limitBytes) return;
    const megabytes = Math.round(this.#limitBytes / 1e6);
    throw new EngineError(
      "resourceExhausted",
      `${this.#what}: what is kept of them in memory would be more than ${megabytes} MB`,
    );
  }

  /** Such a record is kept no more. */
  give(textBytes: number): void {
    this.#usedBytes -= this.#recordBytes + textBytes;
  }
}
