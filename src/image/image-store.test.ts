import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openDatabase } from "../base/database.ts";
import type { ImageManifest } from "../oci/image-spec.ts";
import { createImageStore } from "./image-store.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-images-"));
const database = openDatabase(join(directory, "db"));
after(() => {
  database.close();
  rmSync(directory, { recursive: true });
});

const idA = `sha256:aaa1${"0".repeat(60)}`;
const idB = `sha256:aaa2${"0".repeat(60)}`;
const digest = `sha256:${"d".repeat(64)}`;

function image(id: string): Parameters<ReturnType<typeof createImageStore>["put"]>[0] {
  const manifest: ImageManifest = {
    schemaVersion: 2,
    config: { mediaType: "", digest: id, size: 1 },
    layers: [],
  };
  return {
    id,
    manifestDigest: digest,
    manifestMediaType: "",
    manifest,
    config: { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } },
    chainId: undefined,
    sizeBytes: 7,
  };
}

test("images are found by id, prefix, name and digest, also by a later process", () => {
  const store = createImageStore(database);
  store.put(image(idA));
  store.put(image(idB));
  store.tag("docker.io/library/web:1", idA);
  store.tag("web", idA);
  store.tag(`docker.io/library/web@${digest}`, idA);
  for (const reader of [store, createImageStore(database)]) {
    const forms = [
      idA,
      idA.slice(7),
      "aaa1",
      "sha256:aaa1",
      "web",
      "web:1",
      "docker.io/library/web:latest",
      `web@${digest}`,
      `web@${idA}`,
    ];
    for (const form of forms) assert.equal(reader.resolve(form).id, idA, form);
    assert.deepEqual(reader.resolve("web").repoTags, ["web:1", "web:latest"]);
    assert.deepEqual(reader.resolve("web").repoDigests, [`web@${digest}`]);
  }
  assert.throws(() => store.resolve("aaa"), /prefix aaa is ambiguous/);
  assert.throws(() => store.resolve("nope"), /No such image: nope:latest/);
  assert.throws(
    () => store.resolve("Web"),
    /invalid reference format: repository name \(.*Web\) must be lowercase/,
  );
  assert.throws(() => store.resolve(`web@${idB}`), /No such image/);
});

test("a tag moves, is taken away, and removal takes all names", () => {
  const store = createImageStore(database);
  store.tag("web:1", idB);
  assert.equal(store.resolve("web:1").id, idB);
  store.untag("web:1");
  assert.throws(() => store.untag("web:1"), /No such image: web:1/);
  store.remove(idA);
  assert.equal(store.find("web"), undefined);
  assert.equal(createImageStore(database).find("web"), undefined);
  assert.equal(store.byId(idA), undefined);
  assert.throws(() => store.tag("x", idA), /No such image/);
});

test("an image's names come in the order of their whole form", () => {
  const store = createImageStore(database);
  store.put(image(idB));
  for (const name of ["a-host.example/a:1", "aaa:1", "app/x:1"]) store.tag(name, idB);
  assert.deepEqual(store.resolve(idB).repoTags, ["a-host.example/a:1", "app/x:1", "aaa:1"]);
  for (const name of ["a-host.example/a:1", "aaa:1", "app/x:1"]) store.untag(name);
});
