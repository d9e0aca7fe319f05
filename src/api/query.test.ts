import assert from "node:assert/strict";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { Query } from "./query.ts";

const isInvalid = (error: unknown): boolean => isKind(error, "invalidArgument");

test("flags", () => {
  const cases: readonly [string, boolean][] = [
    ["", false],
    ["a", false],
    ["a=", false],
    ["a=0", false],
    ["a=no", false],
    ["a=False", false],
    ["a=none", false],
    ["a=%20none%20", false],
    ["a=1", true],
    ["a=true", true],
    ["a=off", true],
    ["a=x&a=0", true],
  ];
  for (const [text, expected] of cases) assert.equal(new Query(text).flag("a"), expected, text);
});

test("integers", () => {
  assert.equal(new Query("a=12").integer("a"), 12);
  assert.equal(new Query("a=-1").integer("a"), -1);
  assert.equal(new Query("a=").integer("a"), undefined);
  for (const text of ["a=x", "a=1.5", "a=1e3", "a=0x1", "a=99999999999999999999"]) {
    assert.throws(() => new Query(text).integer("a"), isInvalid, text);
  }
});

test("times", () => {
  const cases: readonly [string, bigint | undefined][] = [
    ["", undefined],
    ["t=0", 0n],
    ["t=1700000000", 1_700_000_000_000_000_000n],
    ["t=1700000000.5", 1_700_000_000_500_000_000n],
    ["t=1700000000.000000001", 1_700_000_000_000_000_001n],
    ["t=1700000000.0000000019", 1_700_000_000_000_000_001n],
    ["t=1700000000.", 1_700_000_000_000_000_000n],
    ["t=-1.5", -1_500_000_000n],
  ];
  for (const [text, expected] of cases) assert.equal(new Query(text).timeNs("t"), expected, text);
  for (const text of ["t=now", "t=1.2.3", "t=2006-01-02", "t=.5"]) {
    assert.throws(() => new Query(text).timeNs("t"), isInvalid, text);
  }
});

test("filters", () => {
  const filters = (value: string): Record<string, readonly string[]> =>
    Object.fromEntries(new Query(`filters=${encodeURIComponent(value)}`).filters());
  assert.deepEqual(filters(""), {});
  assert.deepEqual(filters("null"), {});
  assert.deepEqual(filters('{"a":{"b":true,"c":true},"d":{}}'), { a: ["b", "c"], d: [] });
  assert.deepEqual(filters('{"a":["b","c"]}'), { a: ["b", "c"] });
  for (const text of ["{", "[]", '"a"', "1", '{"a":1}', '{"a":[1]}', '{"a":{"b":"c"}}', '{"a":null}']) {
    assert.throws(() => filters(text), isInvalid, text);
  }
});
