/** Which subnets a network gets: the ones asked for, or free ones of the pools. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { EngineError } from "../base/errors.ts";
import { forbidden, type SubnetDefinition } from "./definition.ts";
import { formatPrefix, parsePrefix, type Prefix, prefixesOverlap, sizeOfPrefix } from "./ip.ts";
import { firstFree, formatSubnet, type Subnet } from "./ipv4.ts";

/** Docker's words for a subnet that shares addresses with one that a network has. */
export function checkOverlap(asked: readonly SubnetDefinition[], others: readonly Prefix[]): void {
  const prefixes = asked.map(({ subnet }) => parsePrefix(subnet)!.prefix);
  for (const [i, prefix] of prefixes.entries())
    if ([...others, ...prefixes.slice(0, i)].some((other) => prefixesOverlap(prefix, other)))
      throw forbidden(
        `invalid pool request: Pool overlaps with other one on this address space: ${formatPrefix(prefix)}`,
      );
}

export const toSubnet4 = ({ base, prefixLength }: Prefix): Subnet => ({ base: Number(base), prefixLength });

/**
 * A free IPv4 subnet of the pools, preferred one that the host itself does not use either. Throws `invalidArgument` with
 * Docker's words when all are taken.
 */
export function choosePool4(
  pools: Iterable<Subnet>,
  taken: { readonly networks: readonly Prefix[]; readonly host: readonly Subnet[] },
): string {
  const networks = taken.networks.filter(({ family }) => family === 4).map(toSubnet4);
  const chosen = firstFree(pools, [...networks, ...taken.host]);
  if (chosen !== undefined) return formatSubnet(chosen);
  const isHeldByHost = firstFree(pools, networks) !== undefined;
  throw new EngineError("invalidArgument", "all predefined address pools have been fully subnetted", {
    hint: `name a free subnet with --subnet, remove networks, or give the daemon more with --default-address-pool${isHeldByHost ? "; some pools overlap with addresses or routes of the host" : ""}`,
  });
}

/**
 * The /64s of a /48 that is derived from the machine, in the range for local use (RFC 4193, with a hash in the random
 * number's place).
 */
export function localPools6(seed: string): Iterable<Prefix> {
  const globalId = createHash("sha256").update(seed).digest().subarray(0, 5);
  const base = (0xfdn << 120n) | (BigInt(`0x${globalId.toString("hex")}`) << 80n);
  return cutPool6({ family: 6, base, prefixLength: 48 }, 64);
}

/** The networks of one size that a larger one is cut into, in order. */
export function cutPool6(pool: Prefix, prefixLength: number): Iterable<Prefix> {
  const step = 1n << BigInt(128 - prefixLength);
  const end = pool.base + sizeOfPrefix(pool);
  return {
    *[Symbol.iterator]() {
      for (let base = pool.base; base < end; base += step) yield { family: 6, base, prefixLength };
    },
  };
}

/** What IPv6 subnets are derived from: the machine's id, else its name. */
function machineSeed(): string {
  try {
    return readFileSync("/etc/machine-id", "utf8").trim() || hostname();
  } catch {
    return hostname();
  }
}

/** A free IPv6 subnet of the pools; without any, of the machine's own range. Throws `invalidArgument`. */
export function choosePool6(pools: Iterable<Prefix> | undefined, taken: readonly Prefix[]): string {
  for (const prefix of pools ?? localPools6(machineSeed()))
    if (!taken.some((other) => prefixesOverlap(prefix, other))) return formatPrefix(prefix);
  throw new EngineError("invalidArgument", "all predefined address pools have been fully subnetted", {
    hint: "name a free IPv6 subnet with --subnet",
  });
}
