/** The addresses of one network: one pool a subnet, of both families. */
import { conflict, EngineError, invalidArgument } from "../base/errors.ts";
import { AddressPool, type AddressRange } from "./address-pool.ts";
import { type Family, formatAddress, formatPrefix, parseAddress } from "./ip.ts";

/** An address in use, with what a device needs to be given it. */
export interface TakenAddress {
  readonly address: string;
  readonly prefixLength: number;
  /** Empty when the network has none. */
  readonly gateway: string;
}

export class NetworkAddresses {
  readonly #pools: readonly AddressPool[];
  readonly #name: string;

  /** `name` is the network's, for errors. */
  constructor(name: string, ranges: readonly AddressRange[]) {
    this.#name = name;
    this.#pools = ranges.map((range) => new AddressPool(range));
  }

  has(family: Family): boolean {
    return this.#pools.some(({ range }) => range.subnet.family === family);
  }

  /** A free address of the family, undefined when all are in use. */
  take(family: Family): TakenAddress | undefined {
    for (const pool of this.#pools) {
      if (pool.range.subnet.family !== family) continue;
      const address = pool.take();
      if (address !== undefined) return taken(pool, address);
    }
    return undefined;
  }

  /** As {@link take}, for those who cannot wait. Throws `resourceExhausted`. */
  mustTake(family: Family): TakenAddress {
    const found = this.take(family);
    if (found !== undefined) return found;
    throw this.exhausted(family);
  }

  exhausted(family: Family): EngineError {
    const subnets = this.#pools
      .filter(({ range }) => range.subnet.family === family)
      .map(({ range }) => formatPrefix(range.allocationRange ?? range.subnet));
    return new EngineError(
      "resourceExhausted",
      `no available IPv${family} addresses on this network's address pools: ${this.#name} (${subnets.join(", ")})`,
      { hint: "remove containers, or use a network with a larger subnet" },
    );
  }

  /** Takes this address if it is free. False when it is in use. Throws `invalidArgument` when the network has none such. */
  takeExactly(address: string): TakenAddress | undefined {
    const pool = this.#poolOf(address);
    if (pool === undefined)
      throw invalidArgument(
        `invalid address ${address}: it does not belong to any of network ${this.#name}'s subnets`,
        {
          hint: `its subnets: ${this.#pools.map(({ range }) => formatPrefix(range.subnet)).join(", ") || "none"}`,
        },
      );
    const normal = formatAddress(parseAddress(address)!);
    return pool.takeExactly(normal) ? taken(pool, normal) : undefined;
  }

  /** Why {@link takeExactly} gave nothing. */
  refusal(address: string): EngineError {
    if (this.#poolOf(address)?.isUsed(address) === true)
      return conflict(`Address already in use: ${address}`);
    return conflict(`Address already in use: ${address}`, {
      hint: `it is network ${this.#name}'s own, its broadcast address, its gateway, or kept by --aux-address`,
    });
  }

  release(address: string): void {
    this.#poolOf(address)?.release(address);
  }

  contains(address: string): boolean {
    return this.#poolOf(address) !== undefined;
  }

  #poolOf(address: string): AddressPool | undefined {
    return this.#pools.find((pool) => pool.contains(address));
  }
}

function taken({ range }: AddressPool, address: string): TakenAddress {
  const gateway = range.containerGateway ?? range.gateway;
  return {
    address,
    prefixLength: range.subnet.prefixLength,
    gateway: gateway === undefined ? "" : formatAddress(gateway),
  };
}
