import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { isKind } from "../base/errors.ts";
import {
  contains,
  cutPool,
  defaultPools,
  firstFree,
  formatIpv4,
  formatSubnet,
  joinPools,
  overlaps,
  parseCidr,
  parseIpv4,
  parseMac,
  randomMac,
} from "./ipv4.ts";

test("an address survives being written and read", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => parseIpv4(formatIpv4(value)) === value),
  );
});

test("what is no address", () => {
  for (const text of [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "01.2.3.4",
    "1.2.3.x",
    "1.2.3.-4",
    " 1.2.3.4",
    "::1",
  ])
    assert.equal(parseIpv4(text), undefined, text);
});

test("networks by their CIDR form", () => {
  const { address, subnet } = parseCidr("10.1.2.3/20", "--bip");
  assert.equal(formatIpv4(address), "10.1.2.3");
  assert.equal(formatSubnet(subnet), "10.1.0.0/20");
  for (const text of ["10.1.2.3", "10.1.2.3/33", "10.1.2.3/-1", "10.1.2/24", "10.1.2.3/2/4", "x/24"])
    assert.throws(
      () => parseCidr(text, "--bip"),
      (error) => isKind(error, "invalidArgument") && error.message.includes(`--bip: ${text}`),
    );
});

test("two networks overlap exactly when one has an address of the other", () => {
  const subnet = fc.record({
    base: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    prefixLength: fc.integer({ min: 0, max: 32 }),
  });
  const normal = ({ base, prefixLength }: { base: number; prefixLength: number }) =>
    parseCidr(`${formatIpv4(base)}/${prefixLength}`, "x").subnet;
  fc.assert(
    fc.property(subnet, subnet, (x, y) => {
      const [a, b] = [normal(x), normal(y)];
      assert.equal(overlaps(a, b), contains(a, b.base) || contains(b, a.base));
    }),
  );
});

test("the first of Docker's pools that the host does not use", () => {
  const taken = (...texts: string[]) => texts.map((text) => parseCidr(text, "x").subnet);
  const first = (...texts: string[]): string => {
    const free = firstFree(defaultPools, taken(...texts));
    return free === undefined ? "none" : formatSubnet(free);
  };
  assert.equal(first(), "172.17.0.0/16");
  assert.equal(first("172.17.5.0/24"), "172.18.0.0/16");
  assert.equal(first("172.16.0.0/14"), "172.20.0.0/16");
  assert.equal(first("172.16.0.0/12"), "192.168.0.0/20");
  assert.equal(first("172.16.0.0/12", "192.168.1.0/24"), "192.168.16.0/20");
  assert.equal(first("172.16.0.0/12", "192.168.0.0/16"), "none");
  assert.equal(defaultPools.length, 31);
});

test("hardware addresses", () => {
  const seen = new Set(Array.from({ length: 200 }, randomMac));
  assert.equal(seen.size, 200);
  for (const mac of seen) assert.match(mac, /^.[26ae](:[0-9a-f]{2}){5}$/);
  assert.equal(parseMac("02-AB-cd-00-00-01"), "02:ab:cd:00:00:01");
  for (const text of ["", "02:00:00:00:00", "01:00:00:00:00:01", "00:00:00:00:00:00", "zz:00:00:00:00:01"])
    assert.throws(
      () => parseMac(text),
      (error) => isKind(error, "invalidArgument"),
    );
});

test("pools are cut into networks of one length", () => {
  const cut = (base: string, size: number): string[] => [...cutPool({ base, size })].map(formatSubnet);
  assert.deepEqual(cut("10.0.0.0/22", 24), ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]);
  assert.deepEqual(cut("10.0.0.0/24", 24), ["10.0.0.0/24"]);
  const joined = joinPools([
    cutPool({ base: "10.0.0.0/23", size: 24 }),
    cutPool({ base: "10.9.0.0/24", size: 24 }),
  ]);
  assert.deepEqual([...joined].map(formatSubnet), ["10.0.0.0/24", "10.0.1.0/24", "10.9.0.0/24"]);
  // Made one after the other as they are asked for: a large range costs nothing.
  assert.equal(formatSubnet(firstFree(cutPool({ base: "10.0.0.0/8", size: 30 }), [])!), "10.0.0.0/30");
  for (const [base, size] of [
    ["10.0.0.1/24", 24],
    ["10.0.0.0/24", 23],
    ["10.0.0.0/24", 31],
    ["x", 24],
  ] as const)
    assert.throws(() => cutPool({ base, size }), { kind: "invalidArgument" }, base);
});
