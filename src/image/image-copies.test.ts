import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openDatabase } from "../base/database.ts";
import { ImageCopies } from "./image-copies.ts";
import { createImageStore } from "./image-store.ts";
import type { ImageStore } from "./image.ts";

test("the note of an image is never ahead of its record, and goes before it", (t) => {
  const root = mkdtempSync(join(tmpdir(), "gantry-image-copies-"));
  t.after(() => rmSync(root, { recursive: true }));
  const copies = new ImageCopies(join(root, "images"));
  const database = openDatabase(join(root, "gantry.db"));
  const store = createImageStore(database, copies);
  const id = `sha256:${"a".repeat(64)}`;
  const image = {
    id,
    manifestDigest: "sha256:m",
    manifestMediaType: "x",
    manifest: { config: { digest: id }, layers: [] },
    config: { rootfs: { diff_ids: [] } },
    chainId: undefined,
    sizeBytes: 0,
  } as unknown as Parameters<ImageStore["put"]>[0];
  store.atomically(() => {
    store.put(image);
    store.tag("docker.io/library/one:1", id);
    assert.deepEqual(copies.ids(), [], "before the end of the transaction");
  });
  assert.deepEqual(copies.read(id)?.names, ["docker.io/library/one:1"]);
  assert.deepEqual(copies.read(id)?.needs, ["sha256:m", id]);
  store.tag("docker.io/library/two:1", id);
  store.untag("docker.io/library/one:1");
  assert.deepEqual(copies.read(id)?.names, ["docker.io/library/two:1"]);
  assert.deepEqual(readdirSync(join(root, "images")), [`${"a".repeat(64)}.json`]);
  const fails = (): never => {
    throw new Error("on purpose");
  };
  assert.throws(
    () =>
      store.atomically(() => {
        store.remove(id);
        assert.deepEqual(copies.ids(), []);
        fails();
      }),
    /on purpose/,
  );
  assert.deepEqual(copies.read(id)?.names, ["docker.io/library/two:1"], "it is still there");
  database.exec("CREATE TRIGGER stays BEFORE DELETE ON images BEGIN SELECT RAISE(ABORT, 'stays'); END");
  assert.throws(() => store.remove(id), /stays/);
  assert.deepEqual(copies.ids(), [id]);
  database.exec("DROP TRIGGER stays");
  writeFileSync(join(root, "images", `${"a".repeat(64)}.json`), "spoilt");
  writeFileSync(join(root, "images", `${"b".repeat(64)}.json.new`), "cut off");
  store.refreshCopies();
  assert.equal(copies.read(id)?.id, id);
  assert.equal(readdirSync(join(root, "images")).length, 1);
  assert.deepEqual(store.lost(), []);
  store.remove(id);
  assert.deepEqual(copies.ids(), []);
  database.close();
  assert.ok(existsSync(join(root, "images")));
});

test("a place that takes no notes is no reason to fail", (t) => {
  const root = mkdtempSync(join(tmpdir(), "gantry-image-copies-"));
  t.after(() => rmSync(root, { recursive: true }));
  writeFileSync(join(root, "images"), "no directory");
  const copy = { id: `sha256:${"a".repeat(64)}`, manifestDigest: "m", manifestMediaType: "x" };
  new ImageCopies(join(root, "images")).write({ ...copy, names: [], needs: [] });
});
