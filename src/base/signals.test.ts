import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSignal } from "./signals.ts";

test("signals are read in every form that Docker takes", () => {
  const table: [string, number | undefined][] = [
    ["SIGTERM", 15],
    ["TERM", 15],
    ["kill", 9],
    ["9", 9],
    ["HUP", 1],
    ["USR1", 10],
    ["WINCH", 28],
    ["RTMIN", 34],
    ["RTMIN+3", 37],
    ["SIGRTMAX-1", 63],
    ["RTMAX+1", undefined],
    ["0", undefined],
    ["65", undefined],
    ["", undefined],
    ["NOPE", undefined],
    ["-9", undefined],
  ];
  for (const [text, number] of table) assert.equal(parseSignal(text), number, text);
});
