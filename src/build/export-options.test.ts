import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import type { Descriptor, ImageIndex, ImageManifest } from "../oci/image-spec.ts";
import { digestOf } from "../oci/digest.ts";
import { TarReader } from "../oci/tar-reader.ts";
import { testBuilder, type TestBuilder } from "./builder.fixture.ts";
import { imageOptionsOf } from "./export-options.ts";

const amd64 = { os: "linux", architecture: "amd64" };
const arm64 = { os: "linux", architecture: "arm64" };

const refused: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
  [{ compression: "lzma" }, /unsupported layer compression type "lzma"/],
  [{ "compression-level": "x" }, /non-integer value x specified for compression-level/],
  [{ "force-compression": "x" }, /non-bool value x specified for force-compression/],
  [{ "annotation-foo.a": "b" }, /unknown annotation type "foo"/],
  [{ "annotation[linux/s390x].a": "b" }, /invalid annotation: no platform linux\/s390x found in source/],
  [{ "annotation-index.a": "b" }, /index annotations not supported for single platform export/],
  [
    { "oci-mediatypes": "false", compression: "zstd" },
    /exporter option "compression=zstd" conflicts with "oci-mediatypes=false"/,
  ],
  [
    { "oci-mediatypes": "false", "annotation.a": "b" },
    /cannot export annotations with "oci-mediatypes=false"/,
  ],
  [{ "oci-artifact": "true" }, /"oci-artifact=true" is not served/],
  [{ "rewrite-timestamp": "true", "source-date-epoch": "1" }, /needs the time as a build argument/],
  [{ "source-date-epoch": "x" }, /invalid source-date-epoch: x/],
  ...["store", "unpack", "name-canonical", "registry.insecure", "push", "rewrite-timestamp"].map(
    (name) => [{ [name]: "x" }, new RegExp(`non-bool value x specified for ${name}`)] as const,
  ),
];
for (const [attributes, words] of refused)
  test(`refused: ${JSON.stringify(attributes)}`, () => {
    assert.throws(() => imageOptionsOf(attributes, [amd64]), words);
  });

interface Archive {
  readonly top: Descriptor;
  readonly blobs: ReadonlyMap<string, Buffer>;
}

async function exported(
  it: TestBuilder,
  attributes: Readonly<Record<string, string>>,
  platforms = [amd64],
): Promise<Archive> {
  const stream = new PassThrough();
  const bytes = buffer(stream);
  await it.build(
    { Dockerfile: "FROM scratch\nCOPY a /a\n", a: "text".repeat(1000) },
    { platforms, exports: [{ type: "oci", names: ["test/x:1"], open: async () => stream, attributes }] },
  );
  const archive = await bytes;
  const tar = new TarReader(
    (async function* () {
      yield archive;
    })(),
  );
  const files = new Map<string, Buffer>();
  for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
    const pieces: Buffer[] = [];
    for (let piece = await tar.read(); piece !== undefined; piece = await tar.read())
      pieces.push(Buffer.from(piece));
    files.set(entry.name, Buffer.concat(pieces));
  }
  const index = JSON.parse(files.get("index.json")!.toString()) as ImageIndex;
  const blobs = new Map(
    [...files].map(([name, data]) => [name.replace(/^blobs\/sha256\//, "sha256:"), data] as const),
  );
  return { top: index.manifests[0]!, blobs };
}

const parsed = ({ blobs }: Archive, { digest }: Pick<Descriptor, "digest">): unknown =>
  JSON.parse(blobs.get(digest)!.toString());

const compressions = [
  ["gzip", gunzipSync],
  ["zstd", zstdDecompressSync],
  ["uncompressed", (data: Buffer) => data],
] as const;
for (const [compression, read] of compressions)
  test(`layers are ${compression} when that is asked for`, async () => {
    await using it = await testBuilder();
    const archive = await exported(it, { compression, "compression-level": "3" });
    const { layers, config } = parsed(archive, archive.top) as ImageManifest;
    const { rootfs } = parsed(archive, config) as { rootfs: { diff_ids: string[] } };
    const suffix = compression === "uncompressed" ? "tar" : `tar+${compression}`;
    assert.equal(layers[0]!.mediaType, `application/vnd.oci.image.layer.v1.${suffix}`);
    const data = archive.blobs.get(layers[0]!.digest)!;
    assert.equal(layers[0]!.size, data.length);
    assert.equal(digestOf(read(data)), rootfs.diff_ids[0]);
  });

test("media types are Docker's when those of the OCI are not wanted", async () => {
  await using it = await testBuilder();
  const attributes = { "oci-mediatypes": "false", compression: "gzip" };
  const archive = await exported(it, attributes, [amd64, arm64]);
  assert.equal(archive.top.mediaType, "application/vnd.docker.distribution.manifest.list.v2+json");
  const index = parsed(archive, archive.top) as ImageIndex;
  assert.equal(index.mediaType, archive.top.mediaType);
  for (const descriptor of index.manifests) {
    assert.equal(descriptor.mediaType, "application/vnd.docker.distribution.manifest.v2+json");
    const manifest = parsed(archive, descriptor) as ImageManifest;
    assert.equal(manifest.mediaType, descriptor.mediaType);
    assert.equal(manifest.config.mediaType, "application/vnd.docker.container.image.v1+json");
    assert.equal(manifest.layers[0]!.mediaType, "application/vnd.docker.image.rootfs.diff.tar.gzip");
  }
  const plain = await exported(it, { "oci-mediatypes": "false" });
  assert.equal(
    (parsed(plain, plain.top) as ImageManifest).layers[0]!.mediaType,
    "application/vnd.docker.image.rootfs.diff.tar",
  );
});

test("an image is called by its digest too, or not stored at all", async () => {
  await using it = await testBuilder();
  const files = { Dockerfile: "FROM scratch\nCOPY a /a\n", a: "" };
  const built = async (
    names: readonly string[],
    attributes: Readonly<Record<string, string>>,
  ): Promise<string[]> => {
    const { descriptor } = await it.build(files, { exports: [{ type: "image", names, attributes }] });
    return it.host.images.list().flatMap(({ id, repoTags, repoDigests }) => {
      const names = [...repoTags, ...repoDigests];
      for (const name of names) if (name.includes("@")) assert.ok(name.endsWith(`@${descriptor!.digest}`));
      it.host.images.remove(id);
      return names.map((name) => name.replace(/@.*/, "@"));
    });
  };
  assert.deepEqual(await built(["test/x:1"], { store: "false" }), []);
  assert.deepEqual(await built(["test/x:1"], {}), ["test/x:1"]);
  assert.deepEqual(await built(["test/x:1"], { "name-canonical": "true" }), ["test/x:1", "test/x@"]);
  assert.deepEqual(await built([], { "dangling-name-prefix": "lost" }), ["lost@"]);
  assert.deepEqual(await built(["test/x:1"], { "dangling-name-prefix": "lost" }), ["test/x:1", "lost@"]);
  assert.deepEqual(
    await built(["test/x:1"], { "dangling-name-prefix": "lost", "danging-name-empty-only": "true" }),
    ["test/x:1"],
  );
});

test("an output's own time is that of its image", async () => {
  await using it = await testBuilder();
  const created = async (attributes: Readonly<Record<string, string>>): Promise<unknown> => {
    const archive = await exported(it, attributes);
    const { config } = parsed(archive, archive.top) as ImageManifest;
    return (parsed(archive, config) as { created: string }).created;
  };
  assert.equal(await created({ "source-date-epoch": "86400" }), "1970-01-02T00:00:00Z");
  assert.notEqual(await created({}), "1970-01-02T00:00:00Z");
});

test("annotations go where they are asked for", async () => {
  await using it = await testBuilder();
  const attributes = {
    "annotation.a": "all",
    "annotation[linux/arm64].b": "arm",
    "annotation-manifest-descriptor.c": "descriptor",
    "annotation-index.d": "index",
  };
  const archive = await exported(it, attributes, [amd64, arm64]);
  const index = parsed(archive, archive.top) as ImageIndex;
  assert.deepEqual(index.annotations, { d: "index" });
  assert.deepEqual(
    index.manifests.map((descriptor) => [
      descriptor.annotations,
      (parsed(archive, descriptor) as ImageManifest).annotations,
    ]),
    [
      [{ c: "descriptor" }, { a: "all" }],
      [{ c: "descriptor" }, { a: "all", b: "arm" }],
    ],
  );
});

test("a cache that cannot be written is refused before anything is built", async () => {
  await using it = await testBuilder();
  const events: string[] = [];
  const building = it.build(
    { Dockerfile: "FROM scratch\nCOPY a /a\n", a: "" },
    {
      cacheTo: [{ type: "foo", attributes: {} }],
      onEvent: (event) => event.kind === "vertex" && events.push(event.name),
    },
  );
  await assert.rejects(building, /unknown cache exporter: "foo"/);
  assert.deepEqual(events, []);
});
