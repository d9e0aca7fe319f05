/** A few sandboxes made ahead, so that a container's start does not wait for the kernel to make one. */
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { BridgedSandbox } from "./sandbox-kernel.ts";

export interface SandboxPoolOptions {
  readonly size: number;
  /** How long after one was taken the next is made: a container that is just starting needs the processor more. */
  readonly delayMs: number;
  /** Undefined when no address is left for one. */
  readonly make: () => Promise<BridgedSandbox | undefined>;
  readonly destroy: (sandbox: BridgedSandbox) => Promise<void>;
}

export class SandboxPool {
  readonly #options: SandboxPoolOptions;
  readonly #ready: BridgedSandbox[] = [];
  #timer: NodeJS.Timeout | undefined;
  #filling: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: SandboxPoolOptions) {
    this.#options = options;
  }

  /** A ready sandbox, the longest made first, or the one that has `address`. Undefined when there is none. */
  take(address?: string): BridgedSandbox | undefined {
    const index =
      address === undefined ? 0 : this.#ready.findIndex((ready) => ready.ipv4.address === address);
    const [taken] = index === -1 ? [] : this.#ready.splice(index, 1);
    this.fillSoon();
    return taken;
  }

  /**
   * Gives one up for its address: the one asked for, or any. False when there is none such. For those who need an address
   * and not a sandbox.
   */
  async surrender(address?: string): Promise<boolean> {
    const taken = this.take(address);
    if (taken === undefined) return false;
    await this.#options.destroy(taken);
    return true;
  }

  /** Fills up in the background, a little later. */
  fillSoon(): void {
    if (this.#isStopped || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.fill();
    }, this.#options.delayMs);
    this.#timer.unref();
  }

  /** Fills up now; never rejects. */
  async fill(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => (this.#filling = undefined));
    await this.#filling;
  }

  async #fill(): Promise<void> {
    try {
      while (!this.#isStopped && this.#ready.length < this.#options.size) {
        const made = await this.#options.make();
        if (made === undefined) return;
        this.#ready.push(made);
      }
    } catch (error) {
      // Without a pool containers still start: each makes its own sandbox, and reports what stands in the way.
      log.warn("making a network sandbox ahead failed", { error: errorText(error) });
    }
  }

  has(matches: (ready: BridgedSandbox) => boolean): boolean {
    return this.#ready.some(matches);
  }

  /** Waits for one that is being made. */
  async settle(): Promise<void> {
    await this.#filling;
  }

  /** Destroys what is ready and makes no more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#filling;
    for (const ready of this.#ready.splice(0)) await this.#options.destroy(ready);
  }
}
