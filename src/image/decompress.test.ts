import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Readable } from "node:stream";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { isKind } from "../base/errors.ts";
import { decompress } from "./decompress.ts";

const data = Buffer.concat([randomBytes(300_000), Buffer.alloc(700_000, "text")]);

function pieces(bytes: Buffer, size: number): Readable {
  return Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    })(),
  );
}

const compress: Record<string, (input: Buffer) => Buffer> = {
  none: (input) => input,
  gzip: (input) => gzipSync(input),
  zstd: (input) => zstdCompressSync(input),
  bzip2: (input) => execFileSync("bzip2", ["-c"], { input, maxBuffer: 1e8 }),
  xz: (input) => execFileSync("xz", ["-c0"], { input, maxBuffer: 1e8 }),
};

for (const [name, work] of Object.entries(compress)) {
  test(`${name} comes out as it went in, however the bytes arrive`, async () => {
    for (const size of [3, 100_000]) {
      const input = size === 3 ? data.subarray(0, 5000) : data;
      const output = Buffer.concat(await decompress(pieces(work(input), size)).toArray());
      assert.ok(output.equals(input));
    }
  });
  // zstd frames have a checksum only when their writer wants one; digests catch what it does not notice.
  if (name !== "none" && name !== "zstd")
    test(`damaged ${name} data is invalid`, async () => {
      const whole = work(data);
      const damaged = Buffer.from(whole);
      damaged.fill(0x55, 5000, 6000);
      for (const bad of [whole.subarray(0, whole.length - 50), damaged])
        await assert.rejects(decompress(pieces(bad, 100_000)).toArray(), (error: unknown) =>
          isKind(error, "invalidArgument"),
        );
    });
}

test("zstd data that is none is invalid", async () => {
  const bad = Buffer.concat([Buffer.from("28b52ffd", "hex"), Buffer.alloc(1000, 0xff)]);
  await assert.rejects(decompress(pieces(bad, 100)).toArray(), (error: unknown) =>
    isKind(error, "invalidArgument"),
  );
});

test("several gzip members and zstd frames are one stream", async () => {
  for (const work of [compress["gzip"]!, compress["zstd"]!]) {
    const joined = Buffer.concat([work(Buffer.from("one ")), work(Buffer.from("two"))]);
    assert.equal(Buffer.concat(await decompress(pieces(joined, 7)).toArray()).toString(), "one two");
  }
});

test("little and nothing come through, a failing source fails", async () => {
  assert.deepEqual(await decompress(Readable.from([])).toArray(), []);
  assert.equal(
    Buffer.concat(await decompress(Readable.from([Buffer.from("abc")])).toArray()).toString(),
    "abc",
  );
  for (const head of [Buffer.from("plain text"), gzipSync(data).subarray(0, 1000)]) {
    const source = Readable.from(
      (async function* () {
        yield head;
        throw new Error("the line is down");
      })(),
    );
    await assert.rejects(decompress(source).toArray(), /the line is down/);
  }
});

test("a reader that stops half-way closes the source", async () => {
  const source = pieces(gzipSync(data), 1000);
  for await (const _chunk of decompress(source)) break;
  if (!source.closed) await once(source, "close");
  assert.ok(source.destroyed);
});
