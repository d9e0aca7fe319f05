/**
 * Which addresses of a network are in use. Kept in memory for speed; the records are the truth, and at start-up every
 * recorded address is taken first.
 */
import { contains, formatIpv4, parseIpv4, sizeOf, type Subnet } from "./ipv4.ts";

export interface AddressRange {
  readonly subnet: Subnet;
  readonly gateway: number;
  /** Part of the subnet that containers get their addresses from; all of it when undefined. */
  readonly allocationRange?: Subnet;
}

export class AddressPool {
  readonly #range: AddressRange;
  readonly #used = new Set<number>();
  readonly #first: number;
  readonly #count: number;
  #next = 0;

  constructor(range: AddressRange) {
    this.#range = range;
    const from = range.allocationRange ?? range.subnet;
    this.#first = from.base;
    this.#count = sizeOf(from.prefixLength);
  }

  /**
   * A free address, undefined when there is none. Goes round, so that an address just given back rests as long as it can:
   * neighbours and connections remember who had it.
   */
  take(): string | undefined {
    for (let i = 0; i < this.#count; i++) {
      const candidate = this.#first + ((this.#next + i) % this.#count);
      if (!this.#isUsable(candidate) || this.#used.has(candidate)) continue;
      this.#used.add(candidate);
      this.#next = candidate - this.#first + 1;
      return formatIpv4(candidate);
    }
    return undefined;
  }

  /** Takes this address. False when it is in use, or not one of the network's that a container can have. */
  takeExactly(address: string): boolean {
    const value = parseIpv4(address);
    if (value === undefined || !this.#isUsable(value) || this.#used.has(value)) return false;
    this.#used.add(value);
    return true;
  }

  release(address: string): void {
    const value = parseIpv4(address);
    if (value !== undefined) this.#used.delete(value);
  }

  isUsed(address: string): boolean {
    return this.#used.has(parseIpv4(address) ?? -1);
  }

  get usedCount(): number {
    return this.#used.size;
  }

  /** Network and broadcast address are nobody's, except in a /31 (RFC 3021) or /32. */
  #isUsable(value: number): boolean {
    const { subnet, gateway } = this.#range;
    if (!contains(subnet, value) || value === gateway) return false;
    if (subnet.prefixLength >= 31) return true;
    return value !== subnet.base && value !== subnet.base + sizeOf(subnet.prefixLength) - 1;
  }
}
