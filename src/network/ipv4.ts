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
export const sizeOf = (prefixLength: number): number => 2 ** (32 - prefixLength);

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

function split(text: string, prefixLength: number): Subnet[] {
  const { subnet } = parseCidr(text, "an address pool");
  const size = sizeOf(prefixLength);
  const count = sizeOf(subnet.prefixLength) / size;
  return Array.from({ length: count }, (_, i) => ({ base: subnet.base + i * size, prefixLength }));
}

/** Docker's address pools for local networks, in its order (libnetwork ipamutils). */
export const defaultPools: readonly Subnet[] = [
  ...split("172.17.0.0/16", 16),
  ...split("172.18.0.0/16", 16),
  ...split("172.19.0.0/16", 16),
  ...split("172.20.0.0/14", 16),
  ...split("172.24.0.0/14", 16),
  ...split("172.28.0.0/14", 16),
  ...split("192.168.0.0/16", 20),
];

/** The first of `pools` that shares no address with any of `taken`. */
export function firstFree(pools: readonly Subnet[], taken: readonly Subnet[]): Subnet | undefined {
  return pools.find((pool) => !taken.some((other) => overlaps(pool, other)));
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
