/**
 * Holds that keep garbage collection away from blobs and layers that an operation is about to use, while no image
 * record refers to them yet.
 */
export class Leases {
  readonly #counts = new Map<string, number>();

  /** Starts a lease; it ends when it is disposed. */
  acquire(): Lease {
    return new Lease(this.#counts);
  }

  /** True while any lease holds this digest or chainID. */
  isHeld(key: string): boolean {
    return this.#counts.has(key);
  }
}

export class Lease implements Disposable {
  readonly #counts: Map<string, number>;
  readonly #held = new Set<string>();

  constructor(counts: Map<string, number>) {
    this.#counts = counts;
  }

  /** Holds one more digest or chainID. To be called before looking whether it is there. */
  add(key: string): void {
    if (this.#held.has(key)) return;
    this.#held.add(key);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** What it held, also after its end. */
  keys(): string[] {
    return [...this.#held];
  }

  [Symbol.dispose](): void {
    for (const key of this.#held) {
      const count = (this.#counts.get(key) ?? 1) - 1;
      if (count === 0) this.#counts.delete(key);
      else this.#counts.set(key, count);
    }
  }
}
