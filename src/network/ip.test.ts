import assert from "node:assert/strict";
import { SocketAddress } from "node:net";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from "./ip.ts";

const value6 = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n));

test("an IPv6 address survives being written and read, and is written as the system writes it", () => {
  fc.assert(
    fc.property(value6, (value) => {
      const text = formatAddress({ family: 6, value });
      assert.deepEqual(parseAddress(text), { family: 6, value });
      // inet_ntop(3) writes addresses of the form ::1.2.3.4 with dots.
      if (value >> 32n !== 0n && value >> 32n !== 0xffffn)
        assert.equal(text, new SocketAddress({ address: text, family: "ipv6" }).address);
    }),
  );
});

test("forms of addresses", () => {
  const table: readonly (readonly [string, string | undefined])[] = [
    ["10.0.0.1", "10.0.0.1"],
    ["2001:DB8::0:1", "2001:db8::1"],
    ["::", "::"],
    ["::1", "::1"],
    ["fe80::", "fe80::"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["::ffff:10.0.0.1", "::ffff:a00:1"],
    ["fe80::1%eth0", undefined],
    ["1::2::3", undefined],
    ["10.0.0", undefined],
    ["", undefined],
  ];
  for (const [text, wanted] of table) {
    const address = parseAddress(text);
    assert.equal(address === undefined ? undefined : formatAddress(address), wanted, text);
  }
});

test("networks", () => {
  const prefix = (text: string) => parsePrefix(text)!.prefix;
  assert.equal(formatPrefix(prefix("10.1.2.3/20")), "10.1.0.0/20");
  assert.equal(formatPrefix(prefix("fd00::1234:5/64")), "fd00::/64");
  assert.equal(formatPrefix(prefix("::/0")), "::/0");
  for (const text of ["10.0.0.0/33", "fd00::/129", "10.0.0.0", "x/8", "10.0.0.0/-1", "10.0.0.0/8/8"])
    assert.equal(parsePrefix(text), undefined, text);
  assert.ok(prefixContains(prefix("fd00::/64"), parseAddress("fd00::ffff")!));
  assert.ok(!prefixContains(prefix("fd00::/64"), parseAddress("fd00:0:0:1::")!));
  assert.ok(!prefixContains(prefix("0.0.0.0/0"), parseAddress("::1")!));
  assert.ok(prefixesOverlap(prefix("fd00::/16"), prefix("fd00:1::/64")));
  assert.ok(!prefixesOverlap(prefix("10.0.0.0/24"), prefix("10.0.1.0/24")));
});
