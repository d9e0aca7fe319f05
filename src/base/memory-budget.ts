/**
 * What requests may keep in memory. Lists that a stranger's input makes (names in an archive, files of a build context)
 * cost little each, and archives can name any number of them in a few compressed bytes: a budget stops the list before
 * the daemon's heap is full, which would end the daemon. One list may have its share, all lists together have theirs.
 */
import { getHeapStatistics } from "node:v8";
import { EngineError } from "./errors.ts";

/** What a record costs besides its texts: the object, its place in a map, its numbers. */
const usualRecordBytes = 512;
/** One list's share of the heap. */
const share = 4;
/**
 * The share of all lists together. The rest is for everything else that the daemon does: with a small heap half of what V8
 * calls the limit are the young objects' places, and a heap that is nearly full is collected all the time.
 */
const shareOfAll = 3;
/** A list that is smaller than this share is not refused for what others hold: a usual request works beside a huge one. */
const shareOfSmall = 256;

let heapLimitBytes: number | undefined;
/** What all budgets of the process count. */
let keptBytes = 0;

export interface BudgetOptions {
  /** A share of the heap unless it is given. */
  readonly limitBytes?: number | undefined;
  /** What a record costs besides its texts. */
  readonly recordBytes?: number;
}

/** The budget of one list. It ends with the list: what it counts is the process's, and missing for others until then. */
export class MemoryBudget implements Disposable {
  readonly #what: string;
  readonly #heapBytes: number;
  readonly #limitBytes: number;
  readonly #recordBytes: number;
  #usedBytes = 0;
  #isEnded = false;

  /** `what` is too much, in the words of the error: "the build context names too many files". */
  constructor(what: string, options: BudgetOptions = {}) {
    this.#what = what;
    this.#heapBytes = heapLimitBytes ??= getHeapStatistics().heap_size_limit;
    this.#limitBytes = options.limitBytes ?? Math.floor(this.#heapBytes / share);
    this.#recordBytes = options.recordBytes ?? usualRecordBytes;
  }

  /** What all lists of this process together have taken and not given back. */
  static get keptBytes(): number {
    return keptBytes;
  }

  /** A record with texts of so many bytes is kept from now on. Throws `resourceExhausted` when there is no room for it. */
  take(textBytes: number): void {
    // Whoever still fills a list that nobody reads any more shall stop.
    if (this.#isEnded) throw new Error(`${this.#what}: the list has ended`);
    this.#count(this.#recordBytes + textBytes);
    if (this.#usedBytes > this.#limitBytes)
      throw this.#refusal(
        `what is kept of them in memory would be more than ${inMegabytes(this.#limitBytes)}`,
      );
    const forAllBytes = this.#heapBytes / shareOfAll;
    if (keptBytes > forAllBytes && this.#usedBytes > this.#heapBytes / shareOfSmall)
      throw this.#refusal(
        `what is kept of them in memory would be more than ${inMegabytes(forAllBytes)} with what other requests keep; try again when those have ended`,
      );
  }

  /** Such a record is kept no more. */
  give(textBytes: number): void {
    if (!this.#isEnded) this.#count(-this.#recordBytes - textBytes);
  }

  /** The list is kept no more. */
  [Symbol.dispose](): void {
    this.#count(-this.#usedBytes);
    this.#isEnded = true;
  }

  #count(bytes: number): void {
    this.#usedBytes += bytes;
    keptBytes += bytes;
  }

  #refusal(why: string): EngineError {
    return new EngineError("resourceExhausted", `${this.#what}: ${why}`);
  }
}

const inMegabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
