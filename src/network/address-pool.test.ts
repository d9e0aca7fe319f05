import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { AddressPool } from "./address-pool.ts";
import { parseAddress, parsePrefix } from "./ip.ts";

function poolOf(bip: string, fixed?: string): AddressPool {
  const { address, prefix } = parsePrefix(bip)!;
  const allocationRange = fixed === undefined ? undefined : parsePrefix(fixed)!.prefix;
  return new AddressPool({ subnet: prefix, gateway: address, allocationRange });
}

test("addresses are given in order, once, and rest before they are given again", () => {
  const pool = poolOf("10.0.0.1/29");
  assert.deepEqual([pool.take(), pool.take(), pool.take()], ["10.0.0.2", "10.0.0.3", "10.0.0.4"]);
  pool.release("10.0.0.2");
  assert.deepEqual(
    [pool.take(), pool.take(), pool.take(), pool.take()],
    ["10.0.0.5", "10.0.0.6", "10.0.0.2", undefined],
  );
  assert.equal(pool.takeExactly("10.0.0.3"), false);
  pool.release("10.0.0.3");
  assert.equal(pool.takeExactly("10.0.0.3"), true);
  for (const impossible of ["10.0.0.0", "10.0.0.1", "10.0.0.7", "10.0.1.2", "x"])
    assert.equal(pool.takeExactly(impossible), false);
});

test("a part of the network, and the smallest one", () => {
  const part = poolOf("10.0.0.1/24", "10.0.0.0/30");
  assert.deepEqual([part.take(), part.take(), part.take()], ["10.0.0.2", "10.0.0.3", undefined]);
  assert.equal(part.takeExactly("10.0.0.77"), true);
  const smallest = poolOf("10.0.0.2/30");
  assert.deepEqual([smallest.take(), smallest.take()], ["10.0.0.1", undefined]);
});

test("no address is ever out twice", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1, max: 20 }), { maxLength: 60 }), (steps) => {
      const pool = poolOf("10.0.0.1/28");
      const out: string[] = [];
      for (const step of steps) {
        if (step >= 0 && step < out.length) pool.release(out.splice(step, 1)[0]!);
        else {
          const address = pool.take();
          if (address === undefined) assert.equal(out.length, 13);
          else {
            assert.ok(!out.includes(address));
            out.push(address);
          }
        }
      }
    }),
  );
});

test("the smallest networks", () => {
  const pointToPoint = new AddressPool({ subnet: parsePrefix("10.0.0.0/31")!.prefix, gateway: undefined });
  assert.deepEqual(
    [pointToPoint.take(), pointToPoint.take(), pointToPoint.take()],
    ["10.0.0.0", "10.0.0.1", undefined],
  );
});

test("IPv6: the first address is the routers', the last is somebody's, and a large network is not walked through", () => {
  const pool = poolOf("fd00::1/126");
  assert.deepEqual([pool.take(), pool.take(), pool.take()], ["fd00::2", "fd00::3", undefined]);
  const large = poolOf("fd00::1/64");
  for (let i = 0; i < 1000; i++) assert.notEqual(large.take(), undefined);
  assert.equal(large.takeExactly("fd00::abcd:1"), true);
  assert.equal(large.takeExactly("FD00:0::abcd:1"), false);
});

test("what is reserved is given to nobody", () => {
  const { address, prefix } = parsePrefix("10.0.0.1/29")!;
  const reserved = ["10.0.0.2", "10.0.0.4"].map((text) => parseAddress(text)!);
  const pool = new AddressPool({ subnet: prefix, gateway: address, reserved });
  assert.deepEqual(
    [pool.take(), pool.take(), pool.take(), pool.take()],
    ["10.0.0.3", "10.0.0.5", "10.0.0.6", undefined],
  );
  assert.equal(pool.takeExactly("10.0.0.2"), false);
});
