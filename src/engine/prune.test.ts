import assert from "node:assert/strict";
import { test } from "node:test";
import { pruneTest } from "./prune.ts";

test("what a prune's filters let go", () => {
  const old = { labels: { a: "1" }, createdMs: Date.now() - 7_200_000 };
  const young = { labels: {}, createdMs: Date.now() - 1000 };
  for (const [filters, goes] of [
    [{}, [true, true]],
    [{ until: ["1h"] }, [true, false]],
    [{ label: ["a"] }, [true, false]],
    [{ label: ["a=2"] }, [false, false]],
    [{ "label!": ["a=1"] }, [false, true]],
    [{ until: ["1h"], "label!": ["a"] }, [false, false]],
  ] as const) {
    const test = pruneTest(new Map(Object.entries(filters)));
    assert.deepEqual([old, young].map(test), goes, JSON.stringify(filters));
  }
  assert.throws(
    () => pruneTest(new Map([["until", ["soon"]]])),
    /failed to parse value as time or duration: "soon"/,
  );
  assert.throws(() => pruneTest(new Map([["until", ["1h", "2h"]]])), /more than one until/);
});
