/**
 * One lock a key, first come first served. `using lock = await locks.acquire(id)` holds it to the end of the block.
 */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Waits until nobody holds `key`, then holds it until the result is disposed. */
  async acquire(key: string): Promise<Disposable> {
    const before = this.#tails.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tails.set(key, promise);
    if (before !== undefined) await before;
    return {
      [Symbol.dispose]: () => {
        if (this.#tails.get(key) === promise) this.#tails.delete(key);
        resolve();
      },
    };
  }

  /** True while somebody holds `key`. */
  isHeld(key: string): boolean {
    return this.#tails.has(key);
  }
}
