import type { LogWriter } from "./read-files.ts";

/** Tells readers that follow a log what is written. */
export class LogSignal implements LogWriter {
  readonly #generation: () => number;
  readonly #waiting = new Set<() => void>();
  version = 0;
  hasEnded = false;

  /** `generation`: number of the current file. */
  constructor(generation: () => number) {
    this.#generation = generation;
  }

  get generation(): number {
    return this.#generation();
  }

  readonly written = (): void => {
    this.version++;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  };

  ended(): void {
    this.hasEnded = true;
    this.written();
  }

  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener("abort", wake);
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}
