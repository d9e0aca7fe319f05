/** IPv4 addresses and networks as numbers. Pure. */

import { randomBytes } from "node:crypto";
import { invalidArgument } from "../base/errors.ts";

/** A network: its first address as a 32-bit number, and the length of its prefix. */
export interface Subnet {
  readonly base: number;
  readonly prefixLength: number;
}

/** 32-bit number of a dotted address; undefined when it is none. Parts with leading zeros are refused (inet_pton(3)). */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

export function formatIpv4(value: number): string {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join(".");
}

/** How many addresses a network of this prefix length has. */
const sizeOf = (prefixLength: number): number => 2 ** (32 - prefixLength);

/** The network that `address` is in. */
export function subnetOf(address: number, prefixLength: number): Subnet {
  const size = sizeOf(prefixLength);
  return { base: Math.floor(address / size) * size, prefixLength };
}

/** `ADDRESS/LENGTH` as the address and its network. Throws `invalidArgument`; `what` names the setting. */
export function parseCidr(text: string, what: string): { address: number; subnet: Subnet } {
  const [addressText = "", lengthText = "", ...rest] = text.split("/");
  const address = parseIpv4(addressText);
  const prefixLength = Number(lengthText);
  const isLength = /^\d{1,2}$/.test(lengthText) && prefixLength <= 32;
  if (address === undefined || !isLength || rest.length > 0)
    throw invalidArgument(`invalid CIDR address for ${what}: ${text}`, {
      hint: "write an IPv4 address and a prefix length, as in 172.17.0.1/16",
    });
  return { address, subnet: subnetOf(address, prefixLength) };
}

export function formatSubnet({ base, prefixLength }: Subnet): string {
  return `${formatIpv4(base)}/${prefixLength}`;
}

export function contains({ base, prefixLength }: Subnet, address: number): boolean {
  return address >= base && address < base + sizeOf(prefixLength);
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.base < b.base + sizeOf(b.prefixLength) && b.base < a.base + sizeOf(a.prefixLength);
}

/** `base` cut into networks of one size, in order. Throws `invalidArgument` for what cannot be cut so. */
export function cutPool({ base, size }: AddressPoolOption): Iterable<Subnet> {
  const { address, subnet } = parseCidr(base, "a default address pool");
  if (address !== subnet.base)
    throw invalidArgument(`invalid default address pool: ${base} should be ${formatSubnet(subnet)}`);
  if (!Number.isInteger(size) || size < subnet.prefixLength || size > 30)
    throw invalidArgument(
      `invalid default address pool: the size of ${base} is ${size} (want ${subnet.prefixLength} to 30, the length of its networks' prefix)`,
    );
  const step = sizeOf(size);
  const end = subnet.base + sizeOf(subnet.prefixLength);
  return {
    *[Symbol.iterator]() {
      for (let at = subnet.base; at < end; at += step) yield { base: at, prefixLength: size };
    },
  };
}

/** Several pools one after the other. */
export function joinPools(pools: readonly Iterable<Subnet>[]): Iterable<Subnet> {
  return {
    *[Symbol.iterator]() {
      for (const pool of pools) yield* pool;
    },
  };
}

/** One entry of `default-address-pools`: a network, and the length of the prefix of those that it is cut into. */
export interface AddressPoolOption {
  readonly base: string;
  readonly size: number;
}

/** Docker's address pools for local networks, in its order (libnetwork ipamutils). */
export const defaultPools: readonly Subnet[] = [
  ...cutPool({ base: "172.17.0.0/16", size: 16 }),
  ...cutPool({ base: "172.18.0.0/16", size: 16 }),
  ...cutPool({ base: "172.19.0.0/16", size: 16 }),
  ...cutPool({ base: "172.20.0.0/14", size: 16 }),
  ...cutPool({ base: "172.24.0.0/14", size: 16 }),
  ...cutPool({ base: "172.28.0.0/14", size: 16 }),
  ...cutPool({ base: "192.168.0.0/16", size: 20 }),
];

/** The first of `pools` that shares no address with any of `taken`. */
export function firstFree(pools: Iterable<Subnet>, taken: readonly Subnet[]): Subnet | undefined {
  for (const pool of pools) if (!taken.some((other) => overlaps(pool, other))) return pool;
  return undefined;
}

/** A random unicast hardware address of the locally administered kind (IEEE 802, second bit of the first byte). */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = (bytes[0]! & 0xfc) | 0x02;
  return bytes.toString("hex").replace(/(..)(?=.)/g, "$1:");
}

/** Lower-case form of a hardware address. Throws `invalidArgument` when it is none that a device can have. */
export function parseMac(text: string): string {
  const mac = text.toLowerCase().replaceAll("-", ":");
  const isMulticast = (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
  if (!/^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) || isMulticast || mac === "00:00:00:00:00:00")
    throw invalidArgument(`invalid MAC address: ${text}`);
  return mac;
}
