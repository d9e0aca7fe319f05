import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { MemoryBudget } from "../base/memory-budget.ts";
import type { ContentStore } from "../content/content.ts";
import { tarEnd, tarHeader } from "../oci/tar-writer.ts";
import { type ArchiveFiles, readArchive } from "./archive-reader.ts";

function read(names: readonly string[]): Promise<ArchiveFiles> {
  const links = names.map((name) => tarHeader({ name, type: "symlink", mode: 0o777, linkName: "x" }));
  const content: Partial<ContentStore> = {};
  return readArchive(Readable.from([Buffer.concat([...links, tarEnd()])], { objectMode: false }), {
    content: content as ContentStore,
    lease: { add: () => {} },
    signal: new AbortController().signal,
  });
}

test("an archive's names count until they are done with, and those of a bad one not at all", async () => {
  {
    using files = await read(["a", "b"]);
    assert.equal(files.links.size, 2);
    assert.ok(MemoryBudget.keptBytes > 1_000, String(MemoryBudget.keptBytes));
  }
  assert.equal(MemoryBudget.keptBytes, 0);
  await assert.rejects(read(["a", "../b"]), /a name outside of itself/);
  assert.equal(MemoryBudget.keptBytes, 0);
});

/** Reads four archives that would each fit; none ends before one is refused, so all are there at the same time. */
const fourAtOnce = `
  const { Readable } = await import("node:stream");
  const { readArchive } = await import(process.argv[1]);
  const { tarHeader, tarEnd } = await import(process.argv[2]);
  const into = { content: {}, lease: { add() {} }, signal: new AbortController().signal };
  const link = { type: "symlink", mode: 0o777, linkName: "x" };
  async function* archive(until) {
    for (let n = 0; n < 60_000; n++) yield tarHeader({ ...link, name: String(n) });
    await until;
    yield tarEnd();
  }
  const read = async (until) => {
    using files = await readArchive(Readable.from(archive(until), { objectMode: false }), into);
    return files.links.size;
  };
  const refused = Promise.withResolvers();
  const said = await Promise.all(
    Array.from({ length: 4 }, () =>
      read(refused.promise).catch((error) => {
        refused.resolve();
        return error.message;
      }),
    ),
  );
  said.push(await read(), await read());
  console.log(JSON.stringify(said));
`;

test("archives at once that would each fit are refused together, and leave room for the next ones", () => {
  const here = (path: string): string => join(import.meta.dirname, path);
  const modules = [here("archive-reader.ts"), here("../oci/tar-writer.ts")];
  const flags = ["--max-old-space-size=64", "--input-type=module", "-e", fourAtOnce];
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, ...modules], { encoding: "utf8" });
  const said = JSON.parse(stdout || JSON.stringify([stderr])) as unknown[];
  const refusals = said.filter((one) => String(one).includes("with what other requests keep"));
  assert.ok(refusals.length > 0, stdout + stderr);
  assert.deepEqual(
    said.filter((one) => !refusals.includes(one)),
    Array.from({ length: 6 - refusals.length }, () => 60_000),
  );
  assert.deepEqual(said.slice(4), [60_000, 60_000]);
});
