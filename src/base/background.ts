import { errorText } from "./errors.ts";
import { log } from "./log.ts";

/** Work that goes on after its request was answered; what stops the daemon waits for it. */
export class Background {
  readonly #running = new Set<Promise<void>>();

  /** Takes over a promise: its failure is logged. */
  add(work: Promise<unknown>): void {
    const tracked = settle(work).finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  /** Resolves when nothing is under way, including what was added while waiting. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}

async function settle(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    log.error("background work failed", { error: error instanceof Error ? error : errorText(error) });
  }
}
