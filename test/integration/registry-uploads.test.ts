/** Uploads of `gantry registry serve`, beside a collection of garbage. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { openDatabase } from "../../src/base/database.ts";
import { FsContentStore } from "../../src/content/fs-content-store.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { RegistryMetadata } from "../../src/registry/server/metadata.ts";
import { Uploads } from "../../src/registry/server/uploads.ts";

test("a sweep in the middle of the beginning of an upload leaves it alone", async () => {
  const root = mkdtempSync(join(tmpdir(), "gantry-test-uploads-"));
  const database = openDatabase(join(root, "registry.db"));
  try {
    const content = new FsContentStore(join(root, "content"));
    const directory = join(root, "uploads");
    const uploads = new Uploads(directory, new RegistryMetadata(database), content);
    const starting = uploads.start("app");
    let sweeps = 0;
    const started = new AbortController();
    const sweeping = (async (): Promise<void> => {
      // Between any two steps of it, the one when the file is there and its row is not among them.
      for (; !started.signal.aborted; sweeps += 1) {
        assert.equal(uploads.sweep(60_000), 0);
        await new Promise(setImmediate);
      }
    })();
    const id = await starting;
    started.abort();
    await sweeping;
    assert.ok(sweeps > 1);
    const bytes = Buffer.from("a blob");
    await uploads.append("app", id, Readable.from([bytes]));
    const digest = digestOf(bytes);
    assert.equal(await uploads.finish("app", id, digest), bytes.length);
    assert.ok(content.has(digest));
    assert.deepEqual(readdirSync(directory), []);
    // What nobody knows of goes.
    const forgotten = await uploads.start("app");
    assert.equal(uploads.sweep(0, Date.now() + 1), 1);
    assert.throws(() => uploads.sizeBytes("app", forgotten), /blob upload unknown/);
    assert.deepEqual(readdirSync(directory), []);
  } finally {
    database.close();
    rmSync(root, { recursive: true, force: true });
  }
});
