import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as holds, dictionary, integer, property, string } from "fast-check";
import { inOrder, sortedMap } from "./field-order.ts";

const bytesOf = (key: string): string => Buffer.from(key).toString("hex");

test("a map's keys come in the order of their bytes, whatever they are", () => {
  // Keys that are numbers come first in JavaScript, in whatever order they were added.
  const key = string({ unit: "grapheme", maxLength: 6 }).filter((text) => !/^\d+$/.test(text));
  holds(
    property(dictionary(key, integer(), { noNullPrototype: true }), (map) => {
      const sorted = sortedMap(map);
      assert.deepEqual(sorted, map);
      const keys = Object.keys(sorted).map(bytesOf);
      assert.deepEqual(keys, keys.toSorted());
    }),
  );
  assert.deepEqual(Object.keys(sortedMap({ "\u{1f600}": 1, "\uffee": 2, b: 3, B: 4, "b.a": 5 })), [
    "B",
    "b",
    "b.a",
    "\uffee",
    "\u{1f600}",
  ]);
  assert.deepEqual(sortedMap(null), null);
});

test("fields come in the order of the list, and what it does not know at the end", () => {
  const ordered = inOrder({ x: 1, b: undefined, c: null, a: 2 }, ["a", "b", "c"]);
  assert.equal(JSON.stringify(ordered), '{"a":2,"c":null,"x":1}');
});
