import { equal } from "node:assert/strict";
import { createHash } from "node:crypto";
import { it } from "node:test";
import { assert, property, string } from "fast-check";
import { sha256 } from "./sha256.ts";

it("is SHA-256, at every length", () => {
  const expected = (text: string): string => createHash("sha256").update(text).digest("hex");
  for (let length = 0; length < 200; length++)
    equal(sha256("x".repeat(length)), expected("x".repeat(length)));
  assert(property(string({ unit: "grapheme", maxLength: 300 }), (text) => sha256(text) === expected(text)));
});
