import assert from "node:assert/strict";
import { test } from "node:test";
import { LogClip } from "./log-clip.ts";

const megabyte = 1024 * 1024;

test("a step's output is kept up to 2 MiB, the end is marked once, and each step has its own", () => {
  const clip = new LogClip();
  assert.deepEqual(
    Array.from({ length: 5 }, () => clip.take("a", megabyte)),
    ["keep", "keep", "last", "drop", "drop"],
  );
  assert.equal(clip.take("b", 2 * megabyte), "keep");
  assert.equal(clip.take("b", 1), "last");
  assert.equal(clip.take("b", 1), "drop");
});

test("output byte by byte is no way around it", () => {
  const clip = new LogClip();
  let kept = 0;
  while (clip.take("a", 1) === "keep") kept++;
  assert.equal(kept, 100_000);
});
