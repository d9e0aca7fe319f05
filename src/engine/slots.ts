/** A number of places that work waits for, first come first served. The number may change while work waits. */
export class Slots {
  readonly #limit: () => number;
  readonly #queue: (() => void)[] = [];
  #taken = 0;

  constructor(limit: () => number) {
    this.#limit = limit;
  }

  /** True when the next one has to wait. */
  get isFull(): boolean {
    return this.#taken >= this.#limit();
  }

  /** Takes a place until the result is disposed. Throws the signal's reason when it is aborted before. */
  async take(signal: AbortSignal): Promise<Disposable> {
    while (this.isFull) {
      signal.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#queue.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
    }
    signal.throwIfAborted();
    this.#taken += 1;
    return {
      [Symbol.dispose]: () => {
        this.#taken -= 1;
        for (const resolve of this.#queue.splice(0)) resolve();
      },
    };
  }
}
