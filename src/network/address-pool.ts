/**
 * Which addresses of a network are in use. Kept in memory for speed; the records are the truth, and at start-up every
 * recorded address is taken first.
 */
import {
  type Address,
  formatAddress,
  parseAddress,
  type Prefix,
  prefixContains,
  sizeOfPrefix,
} from "./ip.ts";

export interface AddressRange {
  readonly subnet: Prefix;
  /** Undefined on a network without one. */
  readonly gateway: Address | undefined;
  /** Part of the subnet that containers get their addresses from; all of it when undefined. */
  readonly allocationRange?: Prefix | undefined;
  /** Where containers' default routes lead to, when that is not the network's own gateway. */
  readonly containerGateway?: Address | undefined;
  /** Addresses that somebody else has. */
  readonly reserved?: readonly Address[];
}

export class AddressPool {
  readonly range: AddressRange;
  readonly #used = new Set<bigint>();
  readonly #reserved: ReadonlySet<bigint>;
  readonly #first: bigint;
  readonly #count: bigint;
  #next = 0n;

  constructor(range: AddressRange) {
    this.range = range;
    const from = range.allocationRange ?? range.subnet;
    this.#reserved = new Set((range.reserved ?? []).map(({ value }) => value));
    this.#first = from.base;
    this.#count = sizeOfPrefix(from);
  }

  /**
   * A free address, undefined when there is none. Goes round, so that an address just given back rests as long as it can:
   * neighbours and connections remember who had it.
   */
  take(): string | undefined {
    // In a range with more addresses than are used and reserved there is one after at most that many steps.
    const most = BigInt(this.#used.size + this.#reserved.size) + 4n;
    const steps = most < this.#count ? most : this.#count;
    for (let i = 0n; i < steps; i++) {
      const candidate = this.#first + ((this.#next + i) % this.#count);
      if (!this.#isUsable(candidate) || this.#used.has(candidate)) continue;
      this.#used.add(candidate);
      this.#next = candidate - this.#first + 1n;
      return formatAddress({ family: this.range.subnet.family, value: candidate });
    }
    return undefined;
  }

  /** Takes this address. False when it is in use, or not one of the network's that a container can have. */
  takeExactly(address: string): boolean {
    const value = this.#valueOf(address);
    if (value === undefined || !this.#isUsable(value) || this.#used.has(value)) return false;
    this.#used.add(value);
    return true;
  }

  release(address: string): void {
    const value = this.#valueOf(address);
    if (value !== undefined) this.#used.delete(value);
  }

  isUsed(address: string): boolean {
    return this.#used.has(this.#valueOf(address) ?? -1n);
  }

  /** True for an address of this network, whether or not a container can have it. */
  contains(address: string): boolean {
    return this.#valueOf(address) !== undefined;
  }

  get usedCount(): number {
    return this.#used.size;
  }

  #valueOf(text: string): bigint | undefined {
    const address = parseAddress(text);
    return address !== undefined && prefixContains(this.range.subnet, address) ? address.value : undefined;
  }

  /**
   * Network and broadcast address are nobody's, except in a /31 (RFC 3021) or /32; of IPv6 the first is the routers'
   * anycast address (RFC 4291, section 2.6.1).
   */
  #isUsable(value: bigint): boolean {
    const { subnet, gateway } = this.range;
    if (!prefixContains(subnet, { family: subnet.family, value })) return false;
    if (value === gateway?.value || this.#reserved.has(value)) return false;
    const size = sizeOfPrefix(subnet);
    if (size <= 2n) return true;
    return value !== subnet.base && (subnet.family === 6 || value !== subnet.base + size - 1n);
  }
}
