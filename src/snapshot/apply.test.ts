import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { EngineError } from "../base/errors.ts";
import { MemoryBudget } from "../base/memory-budget.ts";
import { type TarHeader, tarEnd, tarHeader } from "../oci/tar-writer.ts";
import { type UnpackResult, type UnpackTarget, unpackLayer } from "./apply.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-apply-"));
after(() => rmSync(directory, { recursive: true }));

type Form = UnpackTarget["form"];
type Entry = Pick<TarHeader, "name" | "type"> & Partial<TarHeader>;

function* tarOf(entries: Iterable<Entry>): Generator<Buffer> {
  for (const entry of entries) yield tarHeader({ mode: 0o755, ...entry });
  yield tarEnd();
}

function* many(count: number, type: Entry["type"]): Generator<Entry> {
  for (let n = 0; n < count; n++)
    yield { name: `${type}${n}`, type, linkName: type === "symlink" ? "x" : "" };
}

/** Unpacks into a new directory, with memory for about a hundred names. */
function unpack(form: Form, entries: Iterable<Entry>): Promise<UnpackResult> {
  const root = mkdtempSync(join(directory, "root-"));
  const recordBytes = 128 + root.length + 10;
  return unpackLayer(Readable.from(tarOf(entries)), { root, form, namesLimitBytes: 100 * recordBytes });
}

const isRefusal = (error: unknown): boolean =>
  error instanceof EngineError &&
  error.kind === "resourceExhausted" &&
  /^unpack layer entry "\w+\d+": the layer has too many files: what is kept of them/.test(error.message);

test("of a layer's files nothing is kept in memory but where the layers below are in the same directory", async () => {
  for (const type of ["file", "symlink", "fifo"] as const) {
    assert.equal((await unpack("overlay", many(400, type))).inodes, 400);
    assert.equal((await unpack("merged", many(50, type))).inodes, 50);
    await assert.rejects(unpack("merged", many(400, type)), isRefusal);
  }
});

test("a layer with more directories than there is memory for is refused", async () => {
  for (const form of ["overlay", "merged"] as const) {
    assert.equal((await unpack(form, many(40, "directory"))).inodes, 40);
    await assert.rejects(unpack(form, many(400, "directory")), isRefusal);
  }
});

test("what a layer names again, or replaces, takes its memory once", async () => {
  const again = function* (): Generator<Entry> {
    for (let n = 0; n < 300; n++) {
      yield { name: "a", type: "directory" };
      yield { name: "a/b", type: "directory" };
      yield { name: "a/b/c", type: "file" };
      if (n % 2 === 0) yield { name: "a", type: "file" };
    }
  };
  for (const form of ["overlay", "merged"] as const) await unpack(form, again());
  assert.equal(
    MemoryBudget.keptBytes,
    0,
    "of layers that are done, and of refused ones, something still counts",
  );
});

/** Unpacks a layer that goes to its root by ever other ways over links. */
const wandering = `
  const { unpackLayer } = await import(process.argv[1]);
  const { tarHeader, tarEnd } = await import(process.argv[2]);
  const links = Array.from({ length: 20 }, (_, n) => String(n).padStart(200, "l"));
  async function* tar() {
    for (const name of links) yield tarHeader({ name, type: "symlink", mode: 0o777, linkName: "." });
    for (let n = 0; n < 30_000; n++) {
      const way = [n % 20, Math.floor(n / 20) % 20, Math.floor(n / 400) % 20, Math.floor(n / 8_000)];
      yield tarHeader({ name: [...way.map((at) => links[at]), ".wh..wh..opq"].join("/"), type: "file", mode: 0 });
    }
    yield tarEnd();
  }
  await unpackLayer(tar(), { root: process.argv[3], form: "overlay" });
`;

test("directories that a layer names in ever other ways do not fill the memory", () => {
  const root = mkdtempSync(join(directory, "root-"));
  const here = (path: string): string => join(import.meta.dirname, path);
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      "--max-old-space-size=24",
      "--input-type=module",
      "-e",
      wandering,
      here("apply.ts"),
      here("../oci/tar-writer.ts"),
      root,
    ],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stderr.slice(-2_000));
  assert.equal(readdirSync(root).length, 20);
});

test("more directories than are remembered, each with a file through a link", async () => {
  const root = mkdtempSync(join(directory, "root-"));
  mkdirSync(join(root, "real"));
  const entries = function* (): Generator<Entry> {
    yield { name: "link", type: "symlink", linkName: "real" };
    for (const name of ["first", "second"])
      for (let n = 0; n < 1_100; n++) yield { name: `link/${n}/${name}`, type: "file" };
  };
  await unpackLayer(Readable.from(tarOf(entries())), { root, form: "merged" });
  for (const n of [0, 1_023, 1_024, 1_025, 1_099])
    for (const name of ["first", "second"]) assert.ok(statSync(join(root, "real", String(n), name)).isFile());
});
