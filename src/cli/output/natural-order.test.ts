import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { compareNames } from "./natural-order.ts";

test("names with numbers are in order of size, digits first", () => {
  const sorted = [
    "",
    "1",
    "10",
    "-dash",
    "a",
    "a1",
    "a01",
    "a2",
    "a10",
    "a10b2",
    "a10b10",
    "a/b",
    "aa",
    "b",
    "ü",
  ];
  assert.deepEqual(sorted.toReversed().toSorted(compareNames), sorted);
});

test("it is an order", () => {
  const name = fc.stringMatching(/^[a01-]{0,6}$/);
  fc.assert(
    fc.property(name, name, name, (a, b, c) => {
      assert.equal(Math.sign(compareNames(a, b)), -Math.sign(compareNames(b, a)) + 0);
      assert.equal(compareNames(a, b) === 0, a === b);
      if (compareNames(a, b) < 0 && compareNames(b, c) < 0) assert.ok(compareNames(a, c) < 0);
    }),
  );
});
