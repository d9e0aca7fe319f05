import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { EngineError, type ErrorKind, isKind } from "../../base/errors.ts";
import { FsContentStore } from "../../content/fs-content-store.ts";
import { openDatabase } from "../../base/database.ts";
import { ImageGarbage, lostPins } from "../../image/garbage.ts";
import { ImageCopies } from "../../image/image-copies.ts";
import { createImageStore } from "../../image/image-store.ts";
import type { ImageStores } from "../../image/register.ts";
import { digestOf } from "../../oci/digest.ts";
import type { Snapshotter } from "../../snapshot/snapshot.ts";
import { rescueImages, restoreImages } from "./rescue-images.ts";

let root = "";
let content: FsContentStore;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-rescue-"));
  mkdirSync(join(root, "content"));
  content = new FsContentStore(join(root, "content"));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Stores whose driver does `work` when a layer is looked for. */
function stores(work: () => never): ImageStores {
  const images = { list: () => [], put: (image: object) => image } as unknown as ImageStores["images"];
  return { content, images, snapshotter: { has: work } as unknown as Snapshotter };
}

const fails = (kind: ErrorKind) => (): never => {
  throw new EngineError(kind, "on purpose");
};

/** An image of one layer whose bytes are stored. */
async function storeImage(): Promise<string> {
  const config = JSON.stringify({
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [digestOf("layer")] },
  });
  const descriptor = (mediaType: string, text: string): object => ({
    mediaType: `application/vnd.oci.image.${mediaType}`,
    digest: digestOf(text),
    size: text.length,
  });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptor("config.v1+json", config),
    layers: [descriptor("layer.v1.tar", "layer")],
  });
  for (const text of [manifest, config, "layer"]) await content.ingest(text);
  return digestOf(manifest);
}

test("an image that the machine cannot take in is told, not left to be removed for having no record", async () => {
  const digest = await storeImage();
  for (const kind of ["unavailable", "resourceExhausted"] as const)
    await assert.rejects(
      rescueImages(stores(fails(kind)), root),
      (error) => isKind(error, kind) && error.message.includes(digest),
    );
  const noDriver = Object.defineProperty(stores(fails("internal")), "snapshotter", {
    get: fails("unavailable"),
  });
  await assert.rejects(rescueImages(noDriver, root), (error) => isKind(error, "unavailable"));
});

test("what is no whole image is passed over", async () => {
  await storeImage();
  const nothing = { rescued: [], unread: [] };
  assert.deepEqual(await rescueImages(stores(fails("invalidArgument")), root), nothing);
  content.remove(digestOf("layer"));
  assert.deepEqual(await rescueImages(stores(fails("unavailable")), root), nothing);
});

/** What a disk with bad places answers for some blobs. */
function badDisk(digests: readonly string[]): FsContentStore {
  return new Proxy(content, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "read") return value.bind(target) as unknown;
      return (digest: string) => {
        if (!digests.includes(digest)) return target.read(digest);
        throw Object.assign(new Error("EIO: i/o error, read"), { code: "EIO", errno: -5 });
      };
    },
  });
}

const noLayers = (name: string): { config: string; manifest: string } => {
  const config = JSON.stringify({
    architecture: name,
    os: "linux",
    rootfs: { type: "layers", diff_ids: [] },
  });
  const mediaType = "application/vnd.oci.image.config.v1+json";
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType, digest: digestOf(config), size: config.length },
    layers: [],
  });
  return { config, manifest };
};

test("an image that the disk does not give back is named, and the others have their records again", async () => {
  const [bad, good] = [noLayers("amd64"), noLayers("arm64")];
  for (const text of [bad.config, bad.manifest, good.config, good.manifest]) await content.ingest(text);
  using database = openDatabase(join(root, "one.db"));
  const images = createImageStore(database);
  const { rescued, unread } = await rescueImages(
    { content: badDisk([digestOf(bad.config)]), images, snapshotter: {} as unknown as Snapshotter },
    root,
  );
  assert.deepEqual(
    rescued.map(({ id }) => id),
    [digestOf(good.config)],
  );
  assert.match(unread[0]?.name ?? "", new RegExp(digestOf(bad.manifest)));
  assert.match(unread[0]?.reason ?? "", /EIO/);
  assert.deepEqual(unread[0]?.needs, [digestOf(bad.manifest), digestOf(bad.config)]);
  assert.equal(unread.length, 1);
});

test("what is noted of images gives them their names back; the blobs of one that cannot be read are no garbage", async () => {
  const [bad, good, gone] = [noLayers("amd64"), noLayers("arm64"), noLayers("s390x")];
  const all = [bad, good, gone];
  for (const { config, manifest } of all) for (const text of [config, manifest]) await content.ingest(text);
  const snapshotter = { list: () => [] } as unknown as Snapshotter;
  const copies = new ImageCopies(join(root, "images"));
  {
    using database = openDatabase(join(root, "first.db"));
    const images = createImageStore(database, copies);
    await rescueImages({ content, images, snapshotter }, root);
    images.tag("docker.io/library/good:1", digestOf(good.config));
    images.tag("docker.io/library/taken:1", digestOf(good.config));
    images.tag("docker.io/library/bad:1", digestOf(bad.config));
  }
  content.remove(digestOf(gone.config));
  using database = openDatabase(join(root, "second.db"));
  const images = createImageStore(database, copies);
  const other = noLayers("other");
  for (const text of [other.config, other.manifest]) await content.ingest(text);
  await rescueImages(
    { content: badDisk(all.map(({ config }) => digestOf(config))), images, snapshotter },
    root,
  );
  images.tag("docker.io/library/taken:1", digestOf(other.config));
  assert.equal(images.lost().length, 3);
  const stores = { content: badDisk([digestOf(bad.config)]), images, snapshotter };
  const { rescued, unread } = await restoreImages(stores);
  assert.deepEqual(
    rescued.map(({ repoTags }) => repoTags),
    [["good:1"]],
  );
  assert.equal(images.resolve("taken:1").id, digestOf(other.config));
  assert.deepEqual(
    unread.map(({ name }) => name),
    ["docker.io/library/bad:1"],
  );
  assert.deepEqual(
    images.lost().map(({ id }) => id),
    [digestOf(bad.config)],
  );
  new ImageGarbage({ content, snapshotter, images, pins: () => lostPins(images) }).collect();
  assert.ok(content.has(digestOf(bad.config)) && content.has(digestOf(good.config)));
  assert.ok(!content.has(digestOf(gone.manifest)));
});
