/** Images that mean harm: a clear sentence each, nothing outside of the snapshot touched, nothing left. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { EngineError, errorText } from "../../src/base/errors.ts";
import { deviceNumbers, getXattr, pathBytes } from "../../src/linux/inode.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { byteStringOf } from "../../src/oci/tar-reader.ts";
import { tarEnd, tarHeader } from "../../src/oci/tar-writer.ts";
import { layerOf, type TestEntry } from "../../src/snapshot/snapshot.fixture.ts";
import { HostileRegistry, json, packed, types } from "../helpers/hostile-registry.ts";

const registry = new HostileRegistry();

const up = "../".repeat(30);
const layersThatLeave: [string, (target: string) => TestEntry[], RegExp][] = [
  ["a path with ..", (to) => [{ name: `${up}${to.slice(1)}/new`, text: "x" }], /outside of the layer/],
  [
    "a hard link to the outside",
    (to) => [{ name: "x", type: "link", linkName: `${up}${to.slice(1)}/secret` }],
    /outside of the layer/,
  ],
  [
    "a hard link through a symbolic link",
    (to) => [
      { name: "s", type: "symlink", linkName: to },
      { name: "x", type: "link", linkName: "s/secret" },
    ],
    /hard link to s\/secret, which is no file of this layer/,
  ],
  ["a whiteout of the outside", () => [{ name: `${up}.wh.outside` }], /outside of the layer/],
  ["a whiteout of ..", () => [{ name: "a/.wh..." }], /deletes no name/],
  ["an unknown type", () => [{ name: "x", type: "file", text: "x" }], /unknown type/],
];
for (const [what, entries, words] of layersThatLeave)
  test(`a layer with ${what} is refused`, async () => {
    const tar = layerOf(...entries(registry.outside));
    if (what === "an unknown type") {
      tar[156] = "Q".charCodeAt(0);
      // The header's checksum, right again.
      tar.fill(0x20, 148, 156);
      const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
      tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    }
    registry.image([packed(tar)]);
    await registry.assertRefused(words);
  });

test("absolute paths, symbolic links and duplicates stay inside; the last of a name counts", async () => {
  const tar = layerOf(
    { name: "/etc/passwd", text: "ours" },
    { name: "s", type: "symlink", linkName: registry.outside },
    { name: "s/secret", text: "inside" },
    { name: "twice", text: "first" },
    { name: "twice", text: "second", mode: 0o600 },
    { name: "kind", text: "file" },
    { name: "kind/", mode: 0o711 },
    { name: "kind", type: "symlink", linkName: "twice" },
  );
  registry.image([packed(tar)]);
  await registry.pull();
  const [layer] = registry.snapshotter.list();
  const diff = registry.snapshotter.graphData(layer!.key)["UpperDir"]!;
  assert.equal(readFileSync(join(diff, "etc/passwd"), "utf8"), "ours");
  assert.equal(readFileSync(join(diff, registry.outside, "secret"), "utf8"), "inside");
  assert.equal(readFileSync(join(registry.outside, "secret"), "utf8"), "untouched");
  assert.equal(readFileSync(join(diff, "twice"), "utf8"), "second");
  assert.equal(lstatSync(join(diff, "twice")).mode & 0o7777, 0o600);
  assert.ok(lstatSync(join(diff, "kind")).isSymbolicLink());
});

test("device nodes, setuid, owners and attributes are kept as they are", async () => {
  const tree = join(registry.root, "tree");
  mkdirSync(tree);
  execFileSync(
    "sh",
    [
      "-ec",
      "mknod null c 1 3; mknod disk b 8 1; touch su; chown 7:8 su; chmod 6755 su; setfattr -n user.note -v hi su || true",
    ],
    {
      cwd: tree,
    },
  );
  const tar = execFileSync("tar", ["-C", tree, "--format=pax", "--xattrs", "--xattrs-include=*", "-c", "."]);
  registry.image([packed(tar)]);
  await registry.pull();
  const diff = registry.snapshotter.graphData(registry.snapshotter.list()[0]!.key)["UpperDir"]!;
  assert.deepEqual(deviceNumbers(lstatSync(join(diff, "null"), { bigint: true }).rdev), {
    major: 1,
    minor: 3,
  });
  assert.deepEqual(deviceNumbers(lstatSync(join(diff, "disk"), { bigint: true }).rdev), {
    major: 8,
    minor: 1,
  });
  const { uid, gid, mode } = lstatSync(join(diff, "su"));
  assert.deepEqual([uid, gid, mode & 0o7777], [7, 8, 0o6755]);
  const note = getXattr(pathBytes(join(tree, "su")), "user.note");
  assert.deepEqual(getXattr(pathBytes(join(diff, "su")), "user.note"), note);
});

test("names of every byte but the slash and the end", async () => {
  const names = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte !== 0 && byte !== 0x2f);
  const tar = Buffer.concat([
    ...names.map((byte) =>
      tarHeader({ name: `n${String.fromCharCode(byte)}`, type: "file", mode: 0o644, sizeBytes: 0 }),
    ),
    tarEnd(),
  ]);
  registry.image([packed(tar)]);
  await registry.pull();
  const diff = registry.snapshotter.graphData(registry.snapshotter.list()[0]!.key)["UpperDir"]!;
  const found = readdirSync(diff, { encoding: "latin1" }).toSorted();
  assert.deepEqual(found, names.map((byte) => `n${String.fromCharCode(byte)}`).toSorted());
});

const small = packed(layerOf({ name: "f", text: "text" }));
const lies: [string, () => void, RegExp][] = [
  [
    "a layer that is not its digest",
    () => {
      registry.image([small]);
      registry.blobs.set(digestOf(small.packed), gzipSync("other"));
    },
    /sent other bytes than it promised|could not be fetched/,
  ],
  [
    "a layer with a smaller size",
    () => registry.image([small], (it) => (it.layers[0]!.size -= 1)),
    /other bytes|longer than/,
  ],
  [
    "a layer with a larger size",
    () => registry.image([small], (it) => (it.layers[0]!.size += 1)),
    /could not be fetched|other bytes/,
  ],
  [
    "a size below nothing",
    () => registry.image([small], (it) => (it.layers[0]!.size = -5)),
    /has the size -5/,
  ],
  [
    "a size beyond the disk",
    () => registry.image([small], (it) => (it.layers[0]!.size = 1e15)),
    /room for .* no space left/,
  ],
  [
    "a digest that is a path",
    () => registry.image([small], (it) => (it.layers[0]!.digest = "sha256:../../../../etc/passwd")),
    /invalid checksum digest format/,
  ],
  [
    "another diffID",
    () => registry.image([{ tar: Buffer.from("x"), packed: small.packed }]),
    /does not match its diffID/,
  ],
  [
    "a manifest that calls itself an index",
    () => registry.image([small], (it) => (it["mediaType"] = types.index)),
    /./,
  ],
  [
    "a configuration that is no image's",
    () => registry.image([small], (it) => (it.config.mediaType = "application/vnd.cncf.helm.config.v1+json")),
    /is no container image/,
  ],
  [
    "more layers than the configuration has",
    () => registry.image([small], (it) => void it.layers.push(it.layers[0]!)),
    /2 layers, its configuration has 1/,
  ],
  [
    "layers that are text",
    () => registry.image([{ tar: Buffer.from("hello"), packed: gzipSync("hello") }]),
    /malformed tar archive/,
  ],
  [
    "damaged gzip",
    () =>
      registry.image([
        { tar: small.tar, packed: Buffer.concat([small.packed.subarray(0, 40), Buffer.alloc(40)]) },
      ]),
    /damaged gzip data/,
  ],
  [
    "a manifest of 10 MB",
    () => {
      registry.image([small]);
      registry.top = {
        bytes: Buffer.concat([registry.top.bytes, Buffer.alloc(10_000_000, " ")]),
        type: types.manifest,
      };
    },
    /the registry 127\.0\.0\.1:\d+ sent more than 4194304 bytes/,
  ],
  [
    "a configuration of 20 MB",
    () =>
      registry.image([small], (it) => {
        it.config = registry.blob(Buffer.alloc(20_000_000, " "), types.config);
      }),
    /larger than 16777216 bytes/,
  ],
];
for (const [what, make, words] of lies)
  test(`a manifest with ${what} is refused`, async () => {
    make();
    if (what === "a manifest that calls itself an index") {
      // It is taken for what the registry and the document agree on, or refused; never for both.
      await registry.pull().then(
        () => assert.equal(registry.snapshotter.list().length, 1),
        (error: unknown) => assert.ok(error instanceof EngineError),
      );
      return;
    }
    await registry.assertRefused(words);
  });

test("an index in an index in an index … is refused, and one that holds itself", async () => {
  registry.image([small]);
  let inner = {
    mediaType: types.manifest,
    digest: registry.blob(registry.top.bytes, types.manifest).digest,
    size: registry.top.bytes.length,
  };
  let bytes = registry.top.bytes;
  for (let depth = 0; depth < 6; depth += 1) {
    bytes = json({ schemaVersion: 2, mediaType: types.index, manifests: [inner] });
    inner = { mediaType: types.index, digest: registry.blob(bytes, types.index).digest, size: bytes.length };
  }
  registry.top = { bytes, type: types.index };
  await registry.assertRefused(/nested more than/);
});

test("a layer bomb is stopped", async () => {
  // Two gigabytes of zeros as one file, in some kilobytes of zstd; never in memory at once.
  const sizeBytes = 2 * 1024 ** 3;
  const head = tarHeader({ name: "zeros", type: "file", mode: 0o644, sizeBytes });
  const piece = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
  const bomb = Buffer.concat([
    zstdCompressSync(head),
    ...Array.from({ length: sizeBytes / (64 * 1024 * 1024) }, () => piece),
  ]);
  assert.ok(bomb.length < 200_000);
  registry.image([{ tar: Buffer.from("whatever"), packed: bomb, type: `${types.plain}+zstd` }]);
  await registry.assertRefused(/unpacks to more than 1000 times its \d+ bytes/);
});

test("bytes of names are no escape sequences in errors", async () => {
  registry.image([packed(layerOf({ name: `${up}\u001b[2Jevil`, text: "x" }))]);
  await assert.rejects(registry.pull(), (error: unknown) => !errorText(error).includes("\u001b"));
  assert.ok(byteStringOf("é").length === 2);
});
