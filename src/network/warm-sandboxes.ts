/** Sandboxes on the default network that are made ahead. */
import type { PlannedEndpoint } from "./attacher.ts";
import type { LiveNetwork } from "./live-network.ts";
import type { Networks } from "./networks.ts";
import {
  addressesOf,
  type BridgedSandbox,
  deleteSandbox,
  makeBridgedSandbox,
  type SandboxNames,
} from "./sandbox-kernel.ts";
import { SandboxPool } from "./sandbox-pool.ts";

/** How long a container's start may have passed before the next sandbox is made ready. */
const refillDelayMs = 60;

export class WarmSandboxes {
  readonly #networks: Networks;
  readonly #names: SandboxNames;
  readonly #pool: SandboxPool;

  constructor(networks: Networks, names: SandboxNames, size: number) {
    this.#networks = networks;
    this.#names = names;
    this.#pool = new SandboxPool({
      size,
      delayMs: refillDelayMs,
      make: () => this.#make(),
      destroy: (ready) => this.destroy(ready),
    });
  }

  async #make(): Promise<BridgedSandbox | undefined> {
    const network = this.#networks.defaultBridge;
    if (network?.bridge === undefined) return undefined;
    const ipv4 = network.addresses.take(4);
    if (ipv4 === undefined) return undefined;
    const taken = { ipv4, ipv6: network.addresses.take(6) };
    if (taken.ipv6 === undefined && network.addresses.has(6)) {
      network.addresses.release(ipv4.address);
      return undefined;
    }
    try {
      return await makeBridgedSandbox(this.#names, network.bridge, taken);
    } catch (error) {
      for (const { address } of addressesOf(taken)) network.addresses.release(address);
      throw error;
    }
  }

  async destroy(ready: BridgedSandbox): Promise<void> {
    await deleteSandbox(ready.path, [ready.hostInterface]);
    for (const { address } of addressesOf(ready)) this.#networks.defaultBridge?.addresses.release(address);
  }

  /** One that fits an endpoint, undefined when there is none. */
  take({ network, request }: PlannedEndpoint): BridgedSandbox | undefined {
    const { ipv4Address, linkLocalAddresses = [], driverOptions = {} } = request;
    const isPlain = linkLocalAddresses.length === 0 && Object.keys(driverOptions).length === 0;
    if (network !== this.#networks.defaultBridge || !isPlain) return undefined;
    return this.#pool.take(ipv4Address);
  }

  /** Gives one up where its address is wanted for something else. False when that helps nobody. */
  async freeAddress(network: LiveNetwork, address: string | undefined): Promise<boolean> {
    if (network !== this.#networks.defaultBridge) return false;
    await this.#pool.settle();
    return await this.#pool.surrender(address);
  }

  /** Fills up now; never rejects. */
  async fill(): Promise<void> {
    await this.#pool.fill();
  }

  /** True for the namespace or the device of one that is ready. */
  has(name: string): boolean {
    return this.#pool.has(({ path, hostInterface }) => path === name || hostInterface === name);
  }

  async stop(): Promise<void> {
    await this.#pool.stop();
  }
}
