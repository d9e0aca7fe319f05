import assert from "node:assert/strict";
import { test } from "node:test";
import { frame, frameHeader, streamContentType } from "./frames.ts";
import { fixedRfc3339 } from "../base/time.ts";

test("frame headers", () => {
  assert.deepEqual([...frameHeader("stdin", 0)], [0, 0, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual([...frameHeader("stdout", 4)], [1, 0, 0, 0, 0, 0, 0, 4]);
  assert.deepEqual([...frameHeader("stderr", 0x01020304)], [2, 0, 0, 0, 1, 2, 3, 4]);
  assert.deepEqual([...frameHeader("system", 0xffffffff)], [3, 0, 0, 0, 255, 255, 255, 255]);
  assert.deepEqual([...frame("stdout", Buffer.from("a"))], [1, 0, 0, 0, 0, 0, 0, 1, 97]);
});

test("content types", () => {
  assert.equal(streamContentType(true, 42), "application/vnd.docker.multiplexed-stream");
  assert.equal(streamContentType(true, 41), "application/vnd.docker.raw-stream");
  assert.equal(streamContentType(false, 55), "application/vnd.docker.raw-stream");
});

test("timestamps have all nine digits", () => {
  assert.equal(fixedRfc3339("1970-01-01T00:00:00Z"), "1970-01-01T00:00:00.000000000Z");
  assert.equal(fixedRfc3339("2023-11-14T22:13:20.000000001Z"), "2023-11-14T22:13:20.000000001Z");
  assert.equal(fixedRfc3339("2023-11-14T22:13:20.1Z"), "2023-11-14T22:13:20.100000000Z");
});
