/**
 * Clean-up that a fault of the machine kept from being done (no process can be started, no descriptor is left, the disk is
 * read-only): it is tried again until it works, slower and slower, so that nothing waits for the daemon's next start.
 */
import { errorText } from "./errors.ts";
import { log } from "./log.ts";

const firstDelayMs = 1_000;
const longestDelayMs = 60_000;

interface Left {
  readonly what: string;
  readonly step: () => unknown;
  delayMs: number;
  timer: NodeJS.Timeout | undefined;
  /** The attempt that is under way. */
  running: Promise<unknown> | undefined;
}

export class Leftovers {
  readonly #left = new Map<string, Left>();

  /**
   * Does `step`. When it fails that is logged (`could not WHAT`), and it is tried again in the background; `step` must
   * bear that. A later one with the same key replaces it. Never rejects; resolves with whether it is done.
   */
  async run(key: string, what: string, step: () => unknown): Promise<boolean> {
    await this.#left.get(key)?.running;
    this.#forget(key);
    const left: Left = { what, step, delayMs: firstDelayMs, timer: undefined, running: undefined };
    this.#left.set(key, left);
    const failure = await this.#attempt(key, left);
    if (failure === undefined) return true;
    log.warn(`could not ${what}; it is tried again`, { error: errorText(failure.error) });
    return false;
  }

  /** Tries now what is left under `key`; throws what stands in the way. Nothing when nothing is left. */
  async finish(key: string): Promise<void> {
    const left = this.#left.get(key);
    if (left === undefined) return;
    await left.running;
    if (this.#left.get(key) !== left) return;
    clearTimeout(left.timer);
    const failure = await this.#attempt(key, left);
    if (failure !== undefined) throw failure.error;
  }

  /** Number of things that are not done yet. */
  get count(): number {
    return this.#left.size;
  }

  /** Gives up: the next daemon finds by itself what is left. */
  close(): void {
    for (const key of this.#left.keys()) this.#forget(key);
  }

  #forget(key: string): void {
    clearTimeout(this.#left.get(key)?.timer);
    this.#left.delete(key);
  }

  async #attempt(key: string, left: Left): Promise<{ readonly error: unknown } | undefined> {
    const attempt = (async () => {
      try {
        await left.step();
        return undefined;
      } catch (error) {
        return { error };
      }
    })();
    left.running = attempt;
    const failure = await attempt;
    left.running = undefined;
    if (this.#left.get(key) !== left) return failure;
    if (failure === undefined) this.#left.delete(key);
    else this.#schedule(key, left);
    return failure;
  }

  async #again(key: string, left: Left): Promise<void> {
    const failure = await this.#attempt(key, left);
    if (failure === undefined) log.info(`done at last: ${left.what}`);
  }

  #schedule(key: string, left: Left): void {
    left.timer = setTimeout(() => {
      void this.#again(key, left);
    }, left.delayMs).unref();
    left.delayMs = Math.min(left.delayMs * 2, longestDelayMs);
  }
}
