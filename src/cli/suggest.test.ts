import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, nearest } from "./suggest.ts";

const names = ["run", "ps", "images", "inspect", "info", "rm", "rmi", "restart", "rename", "logs", "load"];

const cases: readonly [typed: string, expected: readonly string[]][] = [
  ["rnu", ["run"]],
  ["imges", ["images"]],
  ["insepct", ["inspect"]],
  ["strat", []],
  ["restrat", ["restart"]],
  ["in", ["info", "inspect"]],
  ["frobnicate", []],
  ["rmx", ["rm", "rmi"]],
];

for (const [typed, expected] of cases) {
  test(`near ${typed}`, () => assert.deepEqual(nearest(typed, names), expected));
}

test("distance counts a swap of neighbours as one edit", () => {
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("abcd", "abdc"), 1);
  assert.equal(editDistance("kitten", "sitting"), 3);
});
