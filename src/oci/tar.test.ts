import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  rmSync,
  truncateSync,
  writeFileSync,
  openSync,
  writeSync,
  closeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as fc from "fast-check";
import { isKind } from "../base/errors.ts";
import { byteStringOf, type TarEntry, TarReader, textOf } from "./tar-reader.ts";
import { tarEnd, tarHeader, type TarHeader, tarPadding } from "./tar-writer.ts";

let directory = "";
before(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-tar-"));
});
after(() => rmSync(directory, { recursive: true }));

async function* chunksOf(data: Buffer, size: number): AsyncIterable<Buffer> {
  for (let offset = 0; offset < data.length; offset += size) yield data.subarray(offset, offset + size);
}

async function readAll(source: AsyncIterable<Uint8Array>): Promise<{ entry: TarEntry; data: Buffer }[]> {
  const tar = new TarReader(source);
  const all: { entry: TarEntry; data: Buffer }[] = [];
  for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
    const data: Buffer[] = [];
    for (let chunk = await tar.read(); chunk !== undefined; chunk = await tar.read()) data.push(chunk);
    all.push({ entry, data: Buffer.concat(data) });
  }
  return all;
}

function archive(entries: [TarHeader, Buffer][]): Buffer {
  return Buffer.concat([
    ...entries.flatMap(([header, data]) => [tarHeader(header), data, tarPadding(data.length)]),
    tarEnd(),
  ]);
}

test("what was written is read again, however the bytes arrive", async () => {
  const name = fc
    .array(fc.string({ unit: "binary", minLength: 1, maxLength: 60 }), { minLength: 1, maxLength: 6 })
    .map((parts) => byteStringOf(parts.join("/").replaceAll("\0", "_")))
    .filter((text) => text !== "" && !text.endsWith("/"));
  const file = fc.record({
    name,
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    gid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    timeNs: fc.bigInt({ min: -(10n ** 18n), max: 10n ** 20n }),
    data: fc.uint8Array({ maxLength: 1500 }),
    xattr: fc.uint8Array({ maxLength: 40 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(file, { maxLength: 4 }),
      fc.integer({ min: 1, max: 2000 }),
      async (files, size) => {
        const entries = files.map(({ data, xattr, ...header }): [TarHeader, Buffer] => [
          { ...header, type: "file", sizeBytes: data.length, xattrs: new Map([["user.x", xattr]]) },
          Buffer.from(data),
        ]);
        const back = await readAll(chunksOf(archive(entries), size));
        assert.equal(back.length, entries.length);
        back.forEach(({ entry, data }, index) => {
          const [header, expected] = entries[index]!;
          for (const key of ["name", "mode", "uid", "gid", "timeNs", "sizeBytes", "type"] as const)
            assert.equal(entry[key], header[key], key);
          assert.deepEqual(data, expected);
          assert.deepEqual(entry.xattrs.get("user.x"), Buffer.from(header.xattrs!.get("user.x")!));
        });
      },
    ),
    { numRuns: 60 },
  );
});

test("GNU tar reads what is written", () => {
  const long = `${"d".repeat(90)}/${"e".repeat(90)}/${"f".repeat(120)}`;
  const data = archive([
    [{ name: "dir/", type: "directory", mode: 0o755 }, Buffer.alloc(0)],
    [
      { name: long, type: "file", mode: 0o600, sizeBytes: 3, timeNs: 1_700_000_000_123_456_789n },
      Buffer.from("abc"),
    ],
    [{ name: "dir/link", type: "symlink", mode: 0o777, linkName: "x".repeat(150) }, Buffer.alloc(0)],
  ]);
  const listing = execFileSync("tar", ["-tvf", "-"], { input: data, encoding: "utf8" });
  assert.match(listing, /drwxr-xr-x 0\/0 .* dir\/\n/);
  assert.ok(listing.includes(` ${long}\n`));
  assert.ok(listing.includes(`dir/link -> ${"x".repeat(150)}`));
});

for (const format of ["v7", "ustar", "gnu", "oldgnu", "pax"])
  test(`reads GNU tar's format ${format}`, async () => {
    const tree = join(directory, format);
    const deep =
      format === "gnu" || format === "pax" || format === "oldgnu" ? "long-name-".repeat(20) : "short";
    mkdirSync(join(tree, "sub"), { recursive: true });
    writeFileSync(join(tree, "sub", deep), "content");
    writeFileSync(join(tree, "ümlaut"), "u");
    const file = join(directory, `${format}.tar`);
    execFileSync("tar", ["-C", tree, `--format=${format}`, "--sort=name", "-cf", file, "."]);
    const entries = await readAll(createReadStream(file));
    assert.deepEqual(
      entries.map(({ entry, data }) => [textOf(entry.name), entry.type, data.toString()]),
      [
        ["./", "directory", ""],
        ["./sub/", "directory", ""],
        [`./sub/${deep}`, "file", "content"],
        ["./ümlaut", "file", "u"],
      ],
    );
  });

for (const [format, version] of [
  ["gnu", ""],
  ["pax", "0.0"],
  ["pax", "0.1"],
  ["pax", "1.0"],
] as const)
  test(`reads the sparse map of format ${format} ${version}`, async () => {
    const tree = mkdtempSync(join(directory, "sparse-"));
    const fd = openSync(join(tree, "holes"), "w");
    for (let index = 0; index < 30; index += 1) writeSync(fd, `piece ${index}`, index * 1024 * 1024 + 4096);
    closeSync(fd);
    truncateSync(join(tree, "holes"), 40 * 1024 * 1024);
    const file = join(tree, "sparse.tar");
    const options = version === "" ? [] : [`--sparse-version=${version}`];
    execFileSync("tar", ["-C", tree, `--format=${format}`, "-S", ...options, "-cf", file, "holes"]);
    const [only] = await readAll(createReadStream(file));
    assert.equal(only?.entry.name, "holes");
    assert.equal(only.entry.sizeBytes, 40 * 1024 * 1024);
    const pieces = only.entry.sparse!.pieces.filter(({ sizeBytes }) => sizeBytes > 0);
    assert.equal(pieces.length, 30);
    let offset = 0;
    pieces.forEach((piece, index) => {
      const data = only.data.subarray(offset, offset + piece.sizeBytes).toString();
      assert.ok(data.includes(`piece ${index}`));
      offset += piece.sizeBytes;
    });
    assert.equal(offset, only.data.length);
  });

test("malformed archives end in invalidArgument, never in anything else", async () => {
  const good = archive([
    [
      {
        name: "a",
        type: "file",
        mode: 0o644,
        sizeBytes: 600,
        xattrs: new Map([["user.a", Buffer.from("b")]]),
      },
      Buffer.alloc(600, 1),
    ],
    [{ name: "b".repeat(200), type: "symlink", mode: 0o644, linkName: "c" }, Buffer.alloc(0)],
  ]);
  const table: [string, Buffer][] = [
    ["text", Buffer.from("this is no archive at all".repeat(100))],
    ["short", Buffer.from("x")],
    ["cut in a header", good.subarray(0, 700)],
    ["cut in data", good.subarray(0, 512 * 4)],
  ];
  for (const [name, data] of table)
    await assert.rejects(
      readAll(chunksOf(data, 1000)),
      (error: unknown) => isKind(error, "invalidArgument"),
      name,
    );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      async (changes) => {
        const data = Buffer.from(good);
        for (const [offset, byte] of changes) data[offset] = byte;
        for (let at = 0; at < data.length; at += 512) fixChecksum(data, at);
        try {
          await readAll(chunksOf(data, 4096));
        } catch (error) {
          assert.ok(isKind(error, "invalidArgument"), String(error));
        }
      },
    ),
    { numRuns: 300 },
  );
});

/** Makes a changed block a valid header again, so that the fields behind the checksum are reached. */
function fixChecksum(data: Buffer, at: number): void {
  const block = data.subarray(at, at + 512);
  if (block.toString("latin1", 257, 262) !== "ustar") return;
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
}
