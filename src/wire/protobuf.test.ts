import assert from "node:assert/strict";
import { test } from "node:test";
import { goMode, packet, unixMode } from "./buildkit/filesync.ts";
import { timestampNs, timestampOf } from "./buildkit/common.ts";
import { many, map, message, one } from "./protobuf.ts";

const inner = message({ name: one(1, "string"), ids: many(2, "uint32") });
const outer = message({
  text: one(1, "string"),
  raw: one(2, "latin1"),
  data: one(3, "bytes"),
  flag: one(4, "bool"),
  size: one(5, "int64"),
  time: one(6, "big"),
  inner: one(7, inner),
  list: many(8, inner),
  words: many(9, "string"),
  attributes: map(10, "string"),
  nested: map(11, inner),
  negative: one(16, "int32"),
});

test("a message comes back as it was", () => {
  const value = {
    text: "käse",
    raw: "\xff\xfe/\x01",
    data: Uint8Array.from([0, 1, 2]),
    flag: true,
    size: 2 ** 40,
    time: 1_763_000_000_123_456_789n,
    inner: { name: "a", ids: [1, 300] },
    list: [
      { name: "", ids: [] },
      { name: "b", ids: [7] },
    ],
    words: ["", "x"],
    attributes: new Map([
      ["k", "v"],
      ["", ""],
    ]),
    nested: new Map([["n", { name: "c", ids: [] }]]),
    negative: -5,
  };
  const decoded = outer.decode(outer.encode(value));
  assert.deepEqual({ ...decoded, data: [...decoded.data] }, { ...value, data: [0, 1, 2] });
});

test("what is not sent is empty, and what is not known is skipped", () => {
  const empty = outer.decode(new Uint8Array());
  assert.equal(empty.text, "");
  assert.equal(empty.inner, undefined);
  assert.deepEqual(empty.list, []);
  assert.equal(outer.encode({ text: "", flag: false, size: 0 }).length, 0);
  const other = message({ unknown: one(99, "string"), text: one(1, "string") });
  assert.equal(outer.decode(other.encode({ unknown: "x", text: "y" })).text, "y");
});

test("the bytes are those of other implementations", () => {
  // 08 96 01: field 1, varint 150 (the example of Protocol Buffers' encoding guide).
  assert.deepEqual([...message({ a: one(1, "int32") }).encode({ a: 150 })], [0x08, 0x96, 0x01]);
  assert.deepEqual([...packet.encode({ type: 1, ID: 5 })], [0x08, 0x01, 0x18, 0x05]);
  // Lists of numbers are read packed too.
  assert.deepEqual(inner.decode(Uint8Array.from([0x12, 0x03, 0x03, 0x8e, 0x02])).ids, [3, 270]);
});

test("stats are written as other packets are", () => {
  const table = [
    { path: "a", mode: 0o644, size: 5, modTime: 1_763_000_000_123_456_789n },
    { path: "d/\xff", mode: 2 ** 31 + 0o755, uid: 1000, gid: 2 ** 31, modTime: 1n },
    { path: "x".repeat(300), mode: 0o777 + 2 ** 27, linkname: "y".repeat(200), size: 2 ** 40 },
    { path: "dev", mode: 1, devmajor: 8, devminor: 2 ** 20, modTime: -1n },
    {},
  ];
  for (const stat of table) {
    const { stat: read } = packet.decode(packet.encode({ type: 0, stat }));
    const empty = {
      path: "",
      mode: 0,
      uid: 0,
      gid: 0,
      size: 0,
      modTime: 0n,
      linkname: "",
      devmajor: 0,
      devminor: 0,
    };
    assert.deepEqual(read, { ...empty, ...stat, xattrs: new Map() });
    const attributed = { ...stat, xattrs: new Map([["user.a", Uint8Array.from([1])]]) };
    assert.equal(packet.decode(packet.encode({ type: 0, stat: attributed })).stat?.xattrs.size, 1);
  }
});

test("broken bytes are refused", () => {
  assert.throws(() => outer.decode(Uint8Array.from([0x0a, 0x05, 0x61])));
  assert.throws(() => outer.decode(Uint8Array.from([0x08, 0x01])), /wrong wire type/);
});

test("modes and times are what Go has", () => {
  const table: [number, number][] = [
    [0o100644, 0o644],
    [0o040755, 2 ** 31 + 0o755],
    [0o120777, 2 ** 27 + 0o777],
    [0o104755, 2 ** 23 + 0o755],
    [0o102755, 2 ** 22 + 0o755],
    [0o041777, 2 ** 31 + 2 ** 20 + 0o777],
    [0o020666, 2 ** 26 + 2 ** 21 + 0o666],
    [0o060660, 2 ** 26 + 0o660],
    [0o010600, 2 ** 25 + 0o600],
    [0o140755, 2 ** 24 + 0o755],
  ];
  for (const [unix, go] of table) {
    assert.equal(goMode(unix), go, unix.toString(8));
    assert.equal(unixMode(go), unix, unix.toString(8));
  }
  const ns = 1_763_000_000_123_456_789n;
  const { seconds, nanos } = timestampOf(ns);
  assert.equal(timestampNs({ seconds: seconds!, nanos: nanos! }), ns);
});
