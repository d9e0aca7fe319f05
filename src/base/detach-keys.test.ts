import assert from "node:assert/strict";
import { test } from "node:test";
import { createDetachFilter, parseDetachKeys } from "./detach-keys.ts";

test("detach keys are read", () => {
  const table: [string, number[] | undefined][] = [
    ["ctrl-p,ctrl-q", [16, 17]],
    ["", [16, 17]],
    ["ctrl-@", [0]],
    ["ctrl-[,a", [27, 97]],
    ["a", [97]],
    ["ctrl-P", undefined],
    ["ab", undefined],
    ["ctrl-", undefined],
  ];
  for (const [text, bytes] of table)
    assert.deepEqual(parseDetachKeys(text), bytes && Buffer.from(bytes), text);
});

test("the sequence is found across chunks, and what only looked like it is forwarded", () => {
  const keys = parseDetachKeys("ctrl-p,ctrl-q")!;
  const table: { chunks: string[]; forward: string; detached: boolean }[] = [
    { chunks: ["abc"], forward: "abc", detached: false },
    { chunks: ["ab\x10\x11cd"], forward: "ab", detached: true },
    { chunks: ["ab\x10", "\x11"], forward: "ab", detached: true },
    { chunks: ["\x10", "x"], forward: "\x10x", detached: false },
    { chunks: ["\x10\x10\x11"], forward: "\x10", detached: true },
    { chunks: ["\x10"], forward: "", detached: false },
  ];
  for (const { chunks, forward, detached } of table) {
    const filter = createDetachFilter(keys);
    let got = "";
    let ended = false;
    for (const chunk of chunks) {
      const result = filter(Buffer.from(chunk, "latin1"));
      got += result.forward.toString("latin1");
      ended ||= result.detached;
    }
    assert.deepEqual({ got, ended }, { got: forward, ended: detached }, JSON.stringify(chunks));
  }
});
