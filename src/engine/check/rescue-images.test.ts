import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { EngineError, type ErrorKind, isKind } from "../../base/errors.ts";
import { FsContentStore } from "../../content/fs-content-store.ts";
import type { ImageStores } from "../../image/register.ts";
import { digestOf } from "../../oci/digest.ts";
import type { Snapshotter } from "../../snapshot/snapshot.ts";
import { rescueImages } from "./rescue-images.ts";

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
  assert.deepEqual(await rescueImages(stores(fails("invalidArgument")), root), []);
  content.remove(digestOf("layer"));
  assert.deepEqual(await rescueImages(stores(fails("unavailable")), root), []);
});
