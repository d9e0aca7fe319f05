/**
 * Deletes sandboxes of containers that have ended, after the answer. What comes while the kernel deletes is deleted together
 * in the next turn: the kernel waits for all processors before a device is gone, once a request and not once a device.
 */
import type { DeferredWork } from "./deferred-work.ts";
import type { Networks } from "./networks.ts";
import type { SandboxRecord } from "./records.ts";
import type { PortForward } from "./ruleset.ts";
import { deleteSandboxes, type SandboxNames } from "./sandbox-kernel.ts";
import { forgetFlowsFrom } from "./udp-flows.ts";

interface Ended {
  readonly record: SandboxRecord;
  /** What its published ports were translated to. */
  readonly forwards: readonly PortForward[];
}

export class SandboxRemover {
  readonly #names: SandboxNames;
  readonly #networks: Networks;
  readonly #deferred: DeferredWork;
  #waiting: Ended[] = [];

  constructor(parts: {
    readonly names: SandboxNames;
    readonly networks: Networks;
    readonly deferred: DeferredWork;
  }) {
    this.#names = parts.names;
    this.#networks = parts.networks;
    this.#deferred = parts.deferred;
  }

  /** Addresses are given back when the devices that have them are gone. */
  remove(ended: Ended): void {
    this.#waiting.push(ended);
    if (this.#waiting.length > 1) return;
    let batch: Ended[] | undefined;
    this.#deferred.add(async () => {
      // Another attempt is for the same ones.
      batch ??= this.#waiting.splice(0);
      await this.#removeAll(batch);
    });
  }

  async #removeAll(batch: readonly Ended[]): Promise<void> {
    const endpoints = batch.flatMap(({ record }) => record.endpoints);
    await deleteSandboxes(
      this.#names,
      batch.map(({ record }) => record.path),
      endpoints.map(({ hostInterface }) => hostInterface).filter((name) => name !== ""),
    );
    forgetFlowsFrom(batch.flatMap(({ forwards }) => forwards));
    for (const endpoint of endpoints) this.#networks.release(endpoint);
  }
}
