import assert from "node:assert/strict";
import { closeSync, openSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { lastingNumber } from "./lasting-number.ts";

test("a number that was given back is not the next one's", () => {
  const seen = new Set<number>();
  for (let round = 0; round < 100; round++) {
    const fd = lastingNumber(openSync("/dev/null", "r"));
    assert.equal(readlinkSync(`/proc/self/fd/${fd}`), "/dev/null");
    seen.add(fd);
    closeSync(fd);
  }
  assert.equal(seen.size, 100);
});
