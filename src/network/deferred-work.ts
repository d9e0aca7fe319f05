import { setTimeout as sleep } from "node:timers/promises";
import { Leftovers } from "../base/leftovers.ts";

/** Work after the answer that is being prepared, one after the other. What fails is tried again until it works. */
export class DeferredWork {
  readonly #leftovers = new Leftovers();
  #last: Promise<unknown> = Promise.resolve();
  #count = 0;

  add(work: () => Promise<void>): void {
    const key = `network ${++this.#count}`;
    this.#last = this.#last
      .then(() => sleep(1))
      .then(() => this.#leftovers.run(key, "clean up after a container's network", work));
  }

  /** Resolves when everything was done, or tried once. */
  async idle(): Promise<void> {
    for (let seen: Promise<unknown> | undefined; seen !== this.#last;) {
      seen = this.#last;
      await seen;
    }
  }

  /** Waits like {@link idle}, and tries nothing again from then on. */
  async close(): Promise<void> {
    await this.idle();
    this.#leftovers.close();
  }
}
