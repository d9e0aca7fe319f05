/** The forms of entries in files: json-file's lines and local's records. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { decodeJsonLines, encodeJsonLine } from "./json-lines.ts";
import { decodeLocalEntries, encodeLocalEntry, localEntryStart } from "./local-entries.ts";
import type { LogEntry, LogMessage } from "./message.ts";

const time = "2026-01-02T03:04:05.12Z";

function message(text: string | Buffer, more: Partial<LogMessage> = {}): LogMessage {
  const data = Buffer.from(text);
  return { stream: "stdout", time, data, start: 0, end: data.length, isWhole: true, cleanAt: 0, ...more };
}

test("json lines are those that dockerd 20.10 writes", () => {
  const attributes = '{"A":"b","team":"red"}';
  const cases: [LogMessage, string, string][] = [
    [message("hello"), "", `{"log":"hello\\n","stream":"stdout","time":"${time}"}`],
    [message("", { stream: "stderr" }), "", `{"log":"\\n","stream":"stderr","time":"${time}"}`],
    [message("part", { isWhole: false }), "", `{"log":"part","stream":"stdout","time":"${time}"}`],
    [
      message("x"),
      attributes,
      `{"log":"x\\n","stream":"stdout","attrs":{"A":"b","team":"red"},"time":"${time}"}`,
    ],
    [
      message('tab\there "quoted" back\\slash \\b \\\\t <a href=x>&amp; \u0001\u001b[1m\b\f del\u007f \r'),
      "",
      `{"log":"tab\\u0009here \\"quoted\\" back\\\\slash \\\\b \\\\\\\\t \\u003ca href=x\\u003e\\u0026amp; \\u0001\\u001b[1m\\u0008\\u000c del\u007f \\r\\n","stream":"stdout","time":"${time}"}`,
    ],
    [
      message(
        Buffer.concat([
          Buffer.from("umlaut ü bad "),
          Buffer.from([0xff, 0xfe]),
          Buffer.from(" \u2028 \0 😀"),
        ]),
      ),
      "",
      `{"log":"umlaut ü bad \ufffd\ufffd \\u2028 \\u0000 😀\\n","stream":"stdout","time":"${time}"}`,
    ],
  ];
  for (const [given, attrs, line] of cases)
    assert.equal(Buffer.from(encodeJsonLine(given, attrs), "latin1").toString(), `${line}\n`);
});

const texts = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom("\\", '"', "n", "\n", "<", "\t", "x", "\u2028", "\0") }),
);

test("json lines come back as they were", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ text: texts, isWhole: fc.boolean(), err: fc.boolean() })), (list) => {
      const lines = list.map(({ text, isWhole, err }) =>
        encodeJsonLine(message(text, { isWhole, stream: err ? "stderr" : "stdout" }), ""),
      );
      const file = Buffer.from(`${lines.join("")}{"log":"cut`, "latin1");
      const entries: LogEntry[] = [];
      const taken = decodeJsonLines(Buffer.from(file), entries);
      assert.equal(taken, file.length - '{"log":"cut'.length);
      assert.deepEqual(
        entries.map(({ stream, line, time: at }) => [stream, line.toString(), at]),
        list.map(({ text, isWhole, err }) => [
          err ? "stderr" : "stdout",
          Buffer.from(text).toString() + (isWhole ? "\n" : ""),
          time,
        ]),
      );
    }),
  );
});

test("attributes, and lines of others, are read; what is no line is passed over", () => {
  const entries: LogEntry[] = [];
  decodeJsonLines(
    Buffer.from(
      `{"log":"a\\n","stream":"stderr","attrs":{"k":"v"},"time":"${time}"}\n` +
        `nonsense\n{"log":1}\n{"time":"${time}","stream":"stdout","log":"b"}\n`,
    ),
    entries,
  );
  assert.deepEqual(
    entries.map(({ stream, line, attributes }) => [stream, line.toString(), attributes]),
    [
      ["stderr", "a\n", { k: "v" }],
      ["stdout", "b", undefined],
    ],
  );
});

test("local entries come back as they were, from either end", () => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(fc.array(fc.record({ data: bytes, isWhole: fc.boolean() })), (list) => {
      const written = list.map(({ data, isWhole }) => encodeLocalEntry(message(data, { isWhole })));
      const file = Buffer.concat(written);
      const entries: LogEntry[] = [];
      const cut = Math.min(5, file.length);
      assert.equal(
        decodeLocalEntries(file.subarray(0, file.length - cut), []),
        file.length - (written.at(-1)?.length ?? 0),
      );
      assert.equal(decodeLocalEntries(file, entries), file.length);
      assert.deepEqual(
        entries.map(({ line, time: at }) => [line.toString("latin1"), at]),
        list.map(({ data, isWhole }) => [data.toString("latin1") + (isWhole ? "\n" : ""), time]),
      );
      let end = file.length;
      for (const entry of written.toReversed()) {
        assert.equal(localEntryStart(file, end), end - entry.length);
        end -= entry.length;
      }
    }),
  );
});
