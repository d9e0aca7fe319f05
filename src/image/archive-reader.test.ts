import assert from "node:assert/strict";
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
