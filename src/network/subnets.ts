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

/** An IPv6 network that is cut into networks of one size; they are too many to be written out. */
export interface Pool6 {
  readonly range: Prefix;
  /** Of the networks that it is cut into; not shorter than the range's. */
  readonly prefixLength: number;
}

/**
 * The /64s of a /48 that is derived from the machine, in the range for local use (RFC 4193, with a hash in the random
 * number's place).
 */
export function localPools6(seed: string): readonly Pool6[] {
  const globalId = createHash("sha256").update(seed).digest().subarray(0, 5);
  const base = (0xfdn << 120n) | (BigInt(`0x${globalId.toString("hex")}`) << 80n);
  return [{ range: { family: 6, base, prefixLength: 48 }, prefixLength: 64 }];
}

/** The pool's first network that shares no address with others: what overlaps is stepped over in one go. */
function firstFree6({ range, prefixLength }: Pool6, taken: readonly Prefix[]): Prefix | undefined {
  const step = 1n << BigInt(128 - prefixLength);
  const end = range.base + sizeOfPrefix(range);
  for (let base = range.base; base < end;) {
    const prefix: Prefix = { family: 6, base, prefixLength };
    const other = taken.find((candidate) => prefixesOverlap(prefix, candidate));
    if (other === undefined) return prefix;
    // Both are multiples of their own size: the end of the larger one is where the next network begins.
    const otherEnd = other.base + sizeOfPrefix(other);
    base = otherEnd > base + step ? otherEnd : base + step;
  }
  return undefined;
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
export function choosePool6(pools: readonly Pool6[] | undefined, taken: readonly Prefix[]): string {
  for (const pool of pools ?? localPools6(machineSeed())) {
    const prefix = firstFree6(pool, taken);
    if (prefix !== undefined) return formatPrefix(prefix);
  }
  throw new EngineError("invalidArgument", "all predefined address pools have been fully subnetted", {
    hint: "name a free IPv6 subnet with --subnet",
  });
}
