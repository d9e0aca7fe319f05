import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32, deflateRawSync } from "node:zlib";
import { isZip, readZip } from "./zip-archive.ts";

interface Entry {
  readonly name: string;
  readonly text: string;
  readonly isStored?: boolean;
}

/** An archive as zip programs write it: local headers and contents, the directory, the end. */
function zipOf(entries: readonly Entry[], comment = ""): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, text, isStored = false } of entries) {
    const content = Buffer.from(text);
    const packed = isStored ? content : deflateRawSync(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(isStored ? 0 : 8, 4);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, Buffer.from(name), packed]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(at, 10);
    directory.push(Buffer.from("PK\x01\x02\x14\x00"), common, rest, Buffer.from(name));
    locals.push(local);
    at += local.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(list.length, 8);
  end.writeUInt32LE(at, 12);
  end.writeUInt16LE(comment.length, 16);
  return Buffer.concat([...locals, list, Buffer.from("PK\x05\x06"), end, Buffer.from(comment)]);
}

const limit = 1024 * 1024;
const texts = (archive: Buffer): [string, string][] =>
  readZip(archive, limit).map(({ name, content }) => [name, content.toString()]);

test("files, packed and stored, without directories, before a comment", () => {
  const archive = zipOf(
    [
      { name: "meta.json", text: '{"Name":"x"}'.repeat(50) },
      { name: "tls/", text: "", isStored: true },
      { name: "tls/docker/ca.pem", text: "a certificate", isStored: true },
    ],
    "a comment",
  );
  assert.ok(isZip(archive));
  assert.deepEqual(texts(archive), [
    ["meta.json", '{"Name":"x"}'.repeat(50)],
    ["tls/docker/ca.pem", "a certificate"],
  ]);
});

test("what is broken is refused with a sentence", () => {
  const archive = zipOf([{ name: "a", text: "some text ".repeat(100) }]);
  assert.ok(!isZip(Buffer.from("meta.json")));
  for (const length of [4, 30, archive.length - 5, archive.length - 30])
    assert.throws(() => texts(archive.subarray(0, length)), /zip: not a valid zip file/, `${length} bytes`);
  const stored = zipOf([{ name: "a", text: "word", isStored: true }]);
  stored[stored.indexOf("word")] = 0x57;
  assert.throws(() => texts(stored), /zip: checksum error/);
  const odd = zipOf([{ name: "a", text: "word", isStored: true }]);
  odd.writeUInt16LE(12, odd.indexOf("PK\x01\x02") + 10);
  assert.throws(() => texts(odd), /zip: unsupported compression algorithm/);
});

test("an archive that grows beyond the limit is not unpacked", () => {
  const archive = zipOf([{ name: "a", text: "x".repeat(limit + 1) }]);
  assert.ok(archive.length < 10_000);
  assert.throws(() => texts(archive), /larger than a context can be/);
  const lying = zipOf([{ name: "a", text: "x".repeat(limit + 1) }]);
  lying.writeUInt32LE(5, lying.indexOf("PK\x01\x02") + 24);
  assert.throws(() => texts(lying), /zip: /);
});
