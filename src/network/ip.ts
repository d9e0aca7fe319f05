/** IP addresses and networks of both families, as large numbers. Pure. */
import { isIPv6 } from "node:net";
import { parseIpv4 } from "./ipv4.ts";

export type Family = 4 | 6;

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** A network: its first address and the length of its prefix. */
export interface Prefix {
  readonly family: Family;
  readonly base: bigint;
  readonly prefixLength: number;
}

const bitsOf = (family: Family): number => (family === 4 ? 32 : 128);

function parseIpv6(text: string): bigint {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  let groupsText = text;
  if (dotted !== null) {
    const low = parseIpv4(dotted[2]!) ?? 0;
    groupsText = `${dotted[1]}${(low >>> 16).toString(16)}:${(low & 0xffff).toString(16)}`;
  }
  const [head = "", tail] = groupsText.split("::");
  const words = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const before = words(head);
  const after = words(tail ?? "");
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array.from({ length: zeros }, () => "0"), ...after];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** Undefined for what is no address; a zone (`%eth0`) is none. */
export function parseAddress(text: string): Address | undefined {
  const v4 = parseIpv4(text);
  if (v4 !== undefined) return { family: 4, value: BigInt(v4) };
  if (!isIPv6(text) || text.includes("%")) return undefined;
  return { family: 6, value: parseIpv6(text) };
}

/** The shortest form: the longest run of two or more zero groups is `::` (RFC 5952, section 4.2). */
function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) => (value >> BigInt(112 - 16 * i)) & 0xffffn);
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === 0n) length++;
    if (length > best.length) best = { at, length };
  }
  const text = (part: readonly bigint[]): string => part.map((group) => group.toString(16)).join(":");
  if (best.at === -1) return text(groups);
  return `${text(groups.slice(0, best.at))}::${text(groups.slice(best.at + best.length))}`;
}

export function formatAddress({ family, value }: Address): string {
  if (family === 6) return formatIpv6(value);
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
}

/** How many addresses a network has. */
export function sizeOfPrefix({ family, prefixLength }: Prefix): bigint {
  return 1n << BigInt(bitsOf(family) - prefixLength);
}

/** The network of this length that an address is in. */
function prefixOf({ family, value }: Address, prefixLength: number): Prefix {
  const hostBits = BigInt(bitsOf(family) - prefixLength);
  return { family, base: (value >> hostBits) << hostBits, prefixLength };
}

/** `ADDRESS/LENGTH`, with the address as it was written; undefined for anything else. */
export function parsePrefix(
  text: string,
): { readonly address: Address; readonly prefix: Prefix } | undefined {
  const [addressText = "", lengthText = "", ...rest] = text.split("/");
  const address = parseAddress(addressText);
  if (address === undefined || rest.length > 0 || !/^\d{1,3}$/.test(lengthText)) return undefined;
  const prefixLength = Number(lengthText);
  if (prefixLength > bitsOf(address.family)) return undefined;
  return { address, prefix: prefixOf(address, prefixLength) };
}

export function formatPrefix({ family, base, prefixLength }: Prefix): string {
  return `${formatAddress({ family, value: base })}/${prefixLength}`;
}

export function prefixContains(prefix: Prefix, { family, value }: Address): boolean {
  return family === prefix.family && value >= prefix.base && value < prefix.base + sizeOfPrefix(prefix);
}

export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  if (a.family !== b.family) return false;
  return a.base < b.base + sizeOfPrefix(b) && b.base < a.base + sizeOfPrefix(a);
}
