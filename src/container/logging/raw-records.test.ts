import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { maxLineBytes, type LogMessage } from "./message.ts";
import { parseRaw } from "./raw-records.ts";

const time = "2026-01-02T03:04:05.123456789+00:00";

function record(stream: "stdout" | "stderr", tag: "P" | "F", text: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${time} ${stream} ${tag} `), Buffer.from(text), Buffer.from("\n")]);
}

const shown = ({ stream, data, start, end, isWhole }: LogMessage): string =>
  `${stream} ${isWhole ? "whole" : "part"} ${data.toString("latin1", start, end)}`;

test("records become lines; parts are put together", () => {
  const cases: [name: string, records: Buffer[], messages: string[]][] = [
    ["nothing", [], []],
    ["a line", [record("stdout", "F", "a b")], ["stdout whole a b"]],
    ["an empty line", [record("stderr", "F", "")], ["stderr whole "]],
    ["parts", [record("stdout", "P", "a"), record("stdout", "F", "b")], ["stdout whole ab"]],
    [
      "parts of two streams",
      [
        record("stdout", "P", "a"),
        record("stderr", "P", "x"),
        record("stdout", "F", "b"),
        record("stderr", "F", "y"),
      ],
      ["stdout whole ab", "stderr whole xy"],
    ],
    ["no record", [Buffer.from("rubbish\n\n"), record("stdout", "F", "a")], ["stdout whole a"]],
    [
      "a record that a crash cut off",
      [Buffer.from("2026-01-02T03:04"), record("stdout", "F", "kept"), record("stdout", "F", "a")],
      ["stdout whole kept", "stdout whole a"],
    ],
  ];
  for (const [name, records, messages] of cases)
    assert.deepEqual(parseRaw(Buffer.concat(records), 0, false).messages.map(shown), messages, name);
});

test("an open line waits, and what follows it too; at the end all of it is handed on", () => {
  const block = Buffer.concat([
    record("stdout", "F", "before"),
    record("stdout", "P", "open"),
    record("stderr", "F", "other"),
  ]);
  const waiting = parseRaw(block, 0, false);
  assert.deepEqual(waiting.messages.map(shown), ["stdout whole before"]);
  assert.equal(waiting.consumedBytes, record("stdout", "F", "before").length);
  const all = parseRaw(block, 0, true);
  assert.deepEqual(all.messages.map(shown), [
    "stdout whole before",
    "stderr whole other",
    "stdout part open",
  ]);
  assert.equal(all.consumedBytes, block.length);
});

test("lines are cut at 16 KiB, as Docker cuts them", () => {
  const lengths: [text: number, pieces: number[]][] = [
    [maxLineBytes - 1, [maxLineBytes - 1]],
    [maxLineBytes, [maxLineBytes]],
    [maxLineBytes + 1, [maxLineBytes, 1]],
    [3 * maxLineBytes, [maxLineBytes, maxLineBytes, maxLineBytes]],
    [40_000, [maxLineBytes, maxLineBytes, 40_000 - 2 * maxLineBytes]],
  ];
  for (const [length, pieces] of lengths) {
    const parts: Buffer[] = [];
    const text = Buffer.alloc(length, "x");
    for (let at = 0; at < length; at += 8192) {
      const isEnd = at + 8192 >= length;
      parts.push(record("stdout", isEnd ? "F" : "P", text.subarray(at, at + 8192)));
    }
    const { messages } = parseRaw(Buffer.concat(parts), 0, false);
    assert.deepEqual(
      messages.map(({ start, end }) => end - start),
      pieces,
    );
    assert.deepEqual(
      messages.map(({ isWhole }) => isWhole),
      pieces.map((_, index) => index === pieces.length - 1),
    );
  }
});

test("times are UTC, without zeros at their end", () => {
  const cases: [string, string][] = [
    ["2026-01-02T03:04:05.123456789+00:00", "2026-01-02T03:04:05.123456789Z"],
    ["2026-01-02T03:04:05.120000000+00:00", "2026-01-02T03:04:05.12Z"],
    ["2026-01-02T03:04:05.000000000+00:00", "2026-01-02T03:04:05Z"],
    ["2026-01-02T03:04:05.500000000+02:00", "2026-01-02T01:04:05.5Z"],
    ["2026-01-01T01:04:05.000000001-05:30", "2026-01-01T06:34:05.000000001Z"],
  ];
  for (const [raw, utc] of cases)
    assert.equal(parseRaw(Buffer.from(`${raw} stdout F x\n`), 0, false).messages[0]?.time, utc);
});

test("however the file is cut into blocks, the same comes out", () => {
  const records = fc.array(
    fc.record({
      stream: fc.constantFrom("stdout" as const, "stderr" as const),
      tag: fc.constantFrom("P" as const, "F" as const),
      length: fc.oneof(fc.nat(40), fc.constantFrom(8192, 5000, 16_384, 16_383)),
      letter: fc.constantFrom("a", "b", "c"),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(records, fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1 }), (list, cuts) => {
      const file = Buffer.concat(
        list.map(({ stream, tag, length, letter }) => record(stream, tag, letter.repeat(length))),
      );
      const whole = parseRaw(file, 0, true);
      assert.equal(whole.consumedBytes, file.length);
      const piecewise: string[] = [];
      let at = 0;
      for (let n = 0; at < file.length; n++) {
        // A block that holds no clean place grows, as the reader's next one does.
        let size = cuts[n % cuts.length]!;
        let batch = parseRaw(file.subarray(at, at + size), at, at + size >= file.length);
        while (batch.consumedBytes === 0) {
          size *= 2;
          batch = parseRaw(file.subarray(at, at + size), at, at + size >= file.length);
        }
        for (const message of batch.messages)
          assert.ok(message.cleanAt === 0 || (message.cleanAt > at && message.cleanAt <= file.length));
        piecewise.push(...batch.messages.map(shown));
        at += batch.consumedBytes;
      }
      assert.deepEqual(piecewise, whole.messages.map(shown));
    }),
    { numRuns: 60 },
  );
});
