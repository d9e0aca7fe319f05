/** Names that stand for addresses: `4.3.2.1.in-addr.arpa` (RFC 1035, 3.5) and `….ip6.arpa` (RFC 3596, 2.5). */
import { isIPv4, isIPv6 } from "node:net";

/** The 32 hexadecimal digits of an IPv6 address. Undefined for what is none. */
function digits(address: string): string | undefined {
  const [plain = ""] = address.split("%");
  if (!isIPv6(plain)) return undefined;
  const groups = (text: string): string[] =>
    text === ""
      ? []
      : text.split(":").flatMap((group) => {
          if (!group.includes(".")) return [group];
          const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
          return [((a << 8) | b).toString(16), ((c << 8) | d).toString(16)];
        });
  const [head = "", tail] = plain.split("::");
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  return [...before, ...zeros, ...after].map((group) => group.padStart(4, "0").toLowerCase()).join("");
}

/** The name that stands for an address. Throws `RangeError` for what is no address. */
export function reverseName(address: string): string {
  if (isIPv4(address)) return `${address.split(".").toReversed().join(".")}.in-addr.arpa`;
  const hex = digits(address);
  if (hex === undefined) throw new RangeError(`not an address: ${address}`);
  return `${hex.split("").toReversed().join(".")}.ip6.arpa`;
}

/** The address that a name stands for; undefined for other names. */
export function parseReverseName(name: string): string | undefined {
  const text = name.toLowerCase().replace(/\.$/, "");
  const four = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(text)?.[1];
  if (four !== undefined) {
    const address = four.slice(0, -1).split(".").toReversed().join(".");
    return isIPv4(address) ? address : undefined;
  }
  const six = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(text)?.[1];
  if (six === undefined) return undefined;
  const hex = six.replaceAll(".", "");
  return hex.split("").toReversed().join("").match(/.{4}/g)!.join(":");
}
