/** What comes out of a build: files, archives, attestations, cache. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { TarReader } from "../oci/tar-reader.ts";
import type { ImageIndex, ImageManifest } from "../oci/image-spec.ts";
import type { BuildRequest } from "./build.ts";
import { isAllCached, testBuilder } from "./builder.fixture.ts";

/** The files of a tar, by name. */
async function untar(bytes: Buffer): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const tar = new TarReader(
    (async function* () {
      yield bytes;
    })(),
  );
  for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
    const pieces: Buffer[] = [];
    for (let piece = await tar.read(); piece !== undefined; piece = await tar.read())
      pieces.push(Buffer.from(piece));
    files.set(entry.name, Buffer.concat(pieces).toString());
  }
  return files;
}

/** An export that collects an archive. */
function collected(type: "tar" | "oci" | "docker"): {
  readonly target: Extract<BuildRequest["exports"][number], { type: "tar" | "oci" | "docker" }>;
  readonly bytes: () => Promise<Buffer>;
} {
  const stream = new PassThrough();
  const bytes = buffer(stream);
  return { target: { type, names: ["test/x:1"], open: async () => stream }, bytes: () => bytes };
}

const scratch = "FROM scratch\nCOPY a /d/a\nWORKDIR /w\nCOPY b /b\n";

test("a tar of the files, and a listing for a client's directory", async () => {
  await using it = await testBuilder();
  const { target, bytes } = collected("tar");
  const listed: string[] = [];
  await it.build(
    { Dockerfile: scratch, a: "1", b: "2" },
    {
      exports: [
        target,
        {
          type: "local",
          async send(listing) {
            for await (const file of listing.files) {
              let text = "";
              for await (const piece of listing.read(file)) text += Buffer.from(piece).toString();
              listed.push(`${file.path}=${text}`);
            }
          },
        },
      ],
    },
  );
  assert.deepEqual(
    [...(await untar(await bytes()))],
    [
      ["b", "2"],
      ["d/", ""],
      ["d/a", "1"],
      ["w/", ""],
    ],
  );
  assert.deepEqual(listed, ["b=2", "d=", "d/a=1", "w="]);
});

test("several platforms make an index, with an attestation for each when provenance is asked for", async () => {
  await using it = await testBuilder();
  const { target, bytes } = collected("oci");
  const platforms = [
    { os: "linux", architecture: "amd64" },
    { os: "linux", architecture: "arm64" },
  ];
  const Dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n";
  const result = await it.build(
    { Dockerfile, amd64: "A", arm64: "B" },
    { platforms, exports: [target], provenance: { mode: "min" } },
  );
  const files = await untar(await bytes());
  const blob = (digest: string): string => files.get(`blobs/sha256/${digest.slice("sha256:".length)}`)!;
  const { manifests } = JSON.parse(files.get("index.json")!) as ImageIndex;
  assert.equal(manifests[0]?.digest, result.descriptor?.digest);
  const index = JSON.parse(blob(manifests[0]!.digest)) as ImageIndex;
  assert.deepEqual(
    index.manifests.map(({ platform }) => platform?.architecture),
    ["amd64", "arm64", "unknown", "unknown"],
  );
  const attestation = JSON.parse(blob(index.manifests[2]!.digest)) as ImageManifest;
  const statement = JSON.parse(blob(attestation.layers[0]!.digest)) as {
    predicateType: string;
    subject: { digest: { sha256: string } }[];
  };
  assert.equal(statement.predicateType, "https://slsa.dev/provenance/v0.2");
  assert.equal(`sha256:${statement.subject[0]?.digest.sha256}`, index.manifests[0]?.digest);
});

test("attestations that a name is to keep are on the disk before the name is given", async (t) => {
  await using it = await testBuilder();
  const persisted = new Set<string>();
  t.mock.method(it.host.content, "persist", async (digests: Iterable<string>) => {
    for (const digest of digests) persisted.add(digest);
  });
  const tag = it.host.images.tag.bind(it.host.images);
  const atTag: string[][] = [];
  t.mock.method(it.host.images, "tag", (name: string, id: string) => {
    atTag.push([...persisted]);
    tag(name, id);
  });
  await it.build(
    { Dockerfile: "FROM scratch\nCOPY a /a\n", a: "A" },
    { exports: [{ type: "image", names: ["app:1"] }], provenance: { mode: "min" } },
  );
  const image = it.host.images.resolve("app:1");
  const others = it.host.content.list().map(({ digest }) => digest);
  assert.equal(atTag.length, 1);
  // Manifest, configuration and statement of what is attested, beside the image's own manifest, configuration and layer.
  assert.ok(others.length >= 6 && others.includes(image.manifestDigest), others.join());
  assert.deepEqual(
    others.filter((digest) => !atTag[0]!.includes(digest)),
    [],
  );
});

test("cache goes out to a directory and comes in on another machine", async () => {
  const shared = mkdtempSync(join(tmpdir(), "gantry-cache-"));
  try {
    await using first = await testBuilder();
    const files = { Dockerfile: scratch, a: "1", b: "2" };
    const built = await first.build(files, { cacheTo: [{ type: "local", attributes: { dest: shared } }] });
    assert.ok(existsSync(join(shared, "oci-layout")));
    await using second = await testBuilder();
    const taken = await second.build(files, { cacheFrom: [{ type: "local", attributes: { src: shared } }] });
    assert.ok(isAllCached(taken.events));
    assert.equal(taken.imageId, built.imageId);
    await using third = await testBuilder();
    const without = await third.build(files, {
      cacheFrom: [{ type: "local", attributes: { src: "/nowhere" } }],
    });
    assert.ok(!isAllCached(without.events));
  } finally {
    rmSync(shared, { recursive: true, force: true });
  }
});

test("inline cache is in the image, and an image of that name gives it", async () => {
  await using it = await testBuilder();
  const files = { Dockerfile: scratch, a: "1", b: "2" };
  await it.build(files, {
    cacheTo: [{ type: "inline", attributes: {} }],
    exports: [{ type: "image", names: ["test/inline:1"] }],
  });
  await it.builder.prune({ all: true, filters: {} });
  assert.deepEqual(await it.builder.cacheList(), []);
  const { events } = await it.build(files, {
    cacheFrom: [{ type: "registry", attributes: { ref: "test/inline:1" } }],
  });
  assert.ok(isAllCached(events));
});

test("outputs that cannot be as they are asked for are refused before anything is built", async () => {
  await using it = await testBuilder();
  const local = { type: "local", send: async () => assert.fail("files were sent") } as const;
  const image = { type: "image", names: ["test/x:1"] } as const;
  const { target: archive } = collected("oci");
  const { target: docker } = collected("docker");
  const provenance = { mode: "min" } as const;
  const platforms = ["amd64", "arm64"].map((architecture) => ({ os: "linux", architecture }));
  const refused: readonly (readonly [
    BuildRequest["exports"][number],
    RegExp,
    Pick<BuildRequest, "provenance" | "sbom" | "platforms">?,
  ])[] = [
    [docker, /cannot export attestations with "oci-mediatypes=false"/, { provenance }],
    [docker, /cannot export attestations with "oci-mediatypes=false"/, { sbom: {} }],
    [
      { ...image, attributes: { "oci-mediatypes": "false" } },
      /cannot export attestations with "oci-mediatypes=false"/,
      { provenance },
    ],
    [docker, /docker exporter does not support exporting manifest lists/, { platforms }],
    [{ ...image, attributes: { compression: "lzma" } }, /unsupported layer compression type "lzma"/],
    [{ ...image, attributes: { "push-by-digest": "true" } }, /can't push tagged ref test\/x:1 by digest/],
    [{ ...archive, attributes: { "annotation-index.a": "b" } }, /index annotations not supported/],
    [{ ...local, attributes: { "platform-split": "x" } }, /non-bool value for platform-split: x/],
    [{ ...local, attributes: { "attestation-prefix": "reports/" } }, /invalid attestation-prefix: reports\//],
  ];
  for (const [target, words, more] of refused) {
    const told: unknown[] = [];
    const building = it.build(
      { Dockerfile: scratch, a: "1", b: "2" },
      {
        exports: [{ type: "image", names: ["test/first:1"] }, target],
        onEvent: (event) => told.push(event),
        ...more,
      },
    );
    await assert.rejects(building, words);
    assert.deepEqual(told, [], String(words));
  }
  assert.equal(it.host.images.find("test/first:1"), undefined);
});
