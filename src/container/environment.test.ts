import assert from "node:assert/strict";
import { test } from "node:test";
import { baseEnv, hasEnv, overlayEnv } from "./environment.ts";

test("entries replace, add and take away", () => {
  assert.deepEqual(overlayEnv(["A=1", "B=2"], ["B=3", "C=4", "A"]), ["B=3", "C=4"]);
  assert.deepEqual(overlayEnv([], ["E=", "F=a=b"]), ["E=", "F=a=b"]);
});

test("a program starts with PATH, its host's name, and TERM with a terminal", () => {
  const plain = baseEnv({ hostname: "box", terminal: false });
  assert.ok(hasEnv(plain, "PATH") && plain.includes("HOSTNAME=box") && !hasEnv(plain, "TERM"));
  assert.ok(baseEnv({ hostname: "box", terminal: true }).includes("TERM=xterm"));
});
