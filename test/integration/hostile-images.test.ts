/**
 * Images and registries that mean harm: a clear sentence each, nothing outside of the snapshot touched, nothing left. The
 * registry is in this process and answers as a table says.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { openDatabase } from "../../src/base/database.ts";
import { EngineError, errorText } from "../../src/base/errors.ts";
import { FsContentStore } from "../../src/content/fs-content-store.ts";
import { createImageUseCases, type ImageUseCases } from "../../src/engine/image-use-cases.ts";
import { createImageStore } from "../../src/image/image-store.ts";
import { deviceNumbers, getXattr, pathBytes } from "../../src/linux/inode.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { byteStringOf } from "../../src/oci/tar-reader.ts";
import { tarEnd, tarHeader } from "../../src/oci/tar-writer.ts";
import { createSnapshotter } from "../../src/snapshot/create-snapshotter.ts";
import type { Snapshotter } from "../../src/snapshot/snapshot.ts";
import { layerOf, type TestEntry } from "../../src/snapshot/snapshot.suite.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

let root = "";
let outside = "";
let address = "";
let cases: ImageUseCases;
let snapshotter: Snapshotter;
let content: FsContentStore;
let blobs: Map<string, Buffer>;
/** What the tag names. */
let top: { readonly bytes: Buffer; readonly type: string };
/** Answers in the registry's place when it returns true. */
let answer: Answer;
let server: ReturnType<typeof createServer>;

const types = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  plain: "application/vnd.oci.image.layer.v1.tar",
};

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "gantry-test-hostile-"));
  outside = join(root, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "secret"), "untouched");
  blobs = new Map();
  answer = () => false;
  server = createServer((request, response) => {
    if (!answer(request, response)) serve(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  content = new FsContentStore(join(root, "content"));
  snapshotter = createSnapshotter({ driver: "overlay2", root: join(root, "snapshots") });
  cases = createImageUseCases({
    content,
    snapshotter,
    images: createImageStore(openDatabase(join(root, "test.db"))),
    transfers: {
      insecureRegistries: [],
      registryMirrors: [],
      maxConcurrentDownloads: 3,
      maxConcurrentUploads: 5,
      maxDownloadAttempts: 3,
    },
    registryPlace: {
      retryDelayMs: 5,
      silenceTimeoutMs: 300,
      environment: {},
      certsDirectory: join(root, "certs.d"),
    },
    isImageUsed: () => [],
    emit: () => {},
  });
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await snapshotter.idle();
  rmSync(root, { recursive: true });
});

function serve(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? "";
  const name = path.split("/").at(-1) ?? "";
  if (path === "/v2/") response.end("{}");
  else if (path.includes("/manifests/")) {
    const isTop = !name.includes(":") || name === digestOf(top.bytes);
    const bytes = isTop ? top.bytes : blobs.get(name);
    if (bytes === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "Content-Type": isTop ? top.type : typeOf(bytes) }).end(bytes);
  } else {
    const bytes = blobs.get(name);
    if (bytes === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "Content-Length": bytes.length }).end(bytes);
  }
}

const typeOf = (bytes: Buffer): string => (JSON.parse(bytes.toString()) as { mediaType: string }).mediaType;

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  urls?: string[];
}

function blob(bytes: Buffer, mediaType: string): Descriptor {
  const digest = digestOf(bytes);
  blobs.set(digest, bytes);
  return { mediaType, digest, size: bytes.length };
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** An image of these layers; `change` makes its manifest lie. */
function image(
  layers: readonly { readonly tar: Buffer; readonly packed: Buffer; readonly type?: string }[],
  change: (manifest: { config: Descriptor; layers: Descriptor[]; [key: string]: unknown }) => void = () => {},
): void {
  const config = {
    architecture: "amd64",
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map(({ tar }) => digestOf(tar)) },
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: blob(json(config), types.config),
    layers: layers.map(({ packed, type }) => blob(packed, type ?? types.gzip)),
  };
  change(manifest);
  top = { bytes: json(manifest), type: types.manifest };
}

const packed = (tar: Buffer): { tar: Buffer; packed: Buffer } => ({ tar, packed: gzipSync(tar) });

async function pull(): Promise<void> {
  const signal = new AbortController().signal;
  for await (const _ of cases.imagePull({
    image: `${address}/bad`,
    tag: "1",
    platform: "linux/amd64",
    signal,
  }));
}

/** The pull fails with a sentence for people; nothing is left. */
async function refused(words: RegExp): Promise<void> {
  await assert.rejects(pull(), (error: unknown) => {
    assert.ok(error instanceof EngineError, `no sentence: ${errorText(error)}`);
    assert.match(error.message, words);
    return true;
  });
  assert.deepEqual(content.list(), []);
  assert.deepEqual(snapshotter.list(), []);
  await snapshotter.idle();
  const at = join(root, "snapshots/overlay2");
  for (const name of ["layers", "tmp", "trash", "l"]) assert.deepEqual(readdirSync(join(at, name)), [], name);
  assert.deepEqual(readdirSync(join(root, "content/ingest")), []);
  assert.deepEqual(readdirSync(outside), ["secret"]);
  assert.equal(readFileSync(join(outside, "secret"), "utf8"), "untouched");
}

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
    const tar = layerOf(...entries(outside));
    if (what === "an unknown type") {
      tar[156] = "Q".charCodeAt(0);
      // The header's checksum, right again.
      tar.fill(0x20, 148, 156);
      const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
      tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    }
    image([packed(tar)]);
    await refused(words);
  });

test("absolute paths, symbolic links and duplicates stay inside; the last of a name counts", async () => {
  const tar = layerOf(
    { name: "/etc/passwd", text: "ours" },
    { name: "s", type: "symlink", linkName: outside },
    { name: "s/secret", text: "inside" },
    { name: "twice", text: "first" },
    { name: "twice", text: "second", mode: 0o600 },
    { name: "kind", text: "file" },
    { name: "kind/", mode: 0o711 },
    { name: "kind", type: "symlink", linkName: "twice" },
  );
  image([packed(tar)]);
  await pull();
  const [layer] = snapshotter.list();
  const diff = snapshotter.graphData(layer!.key)["UpperDir"]!;
  assert.equal(readFileSync(join(diff, "etc/passwd"), "utf8"), "ours");
  assert.equal(readFileSync(join(diff, outside, "secret"), "utf8"), "inside");
  assert.equal(readFileSync(join(outside, "secret"), "utf8"), "untouched");
  assert.equal(readFileSync(join(diff, "twice"), "utf8"), "second");
  assert.equal(lstatSync(join(diff, "twice")).mode & 0o7777, 0o600);
  assert.ok(lstatSync(join(diff, "kind")).isSymbolicLink());
});

test("device nodes, setuid, owners and attributes are kept as they are", async () => {
  const tree = join(root, "tree");
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
  image([packed(tar)]);
  await pull();
  const diff = snapshotter.graphData(snapshotter.list()[0]!.key)["UpperDir"]!;
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
  image([packed(tar)]);
  await pull();
  const diff = snapshotter.graphData(snapshotter.list()[0]!.key)["UpperDir"]!;
  const found = readdirSync(diff, { encoding: "latin1" }).toSorted();
  assert.deepEqual(found, names.map((byte) => `n${String.fromCharCode(byte)}`).toSorted());
});

const small = packed(layerOf({ name: "f", text: "text" }));
const lies: [string, () => void, RegExp][] = [
  [
    "a layer that is not its digest",
    () => {
      image([small]);
      blobs.set(digestOf(small.packed), gzipSync("other"));
    },
    /sent other bytes than it promised|could not be fetched/,
  ],
  [
    "a layer with a smaller size",
    () => image([small], (it) => (it.layers[0]!.size -= 1)),
    /other bytes|longer than/,
  ],
  [
    "a layer with a larger size",
    () => image([small], (it) => (it.layers[0]!.size += 1)),
    /could not be fetched|other bytes/,
  ],
  ["a size below nothing", () => image([small], (it) => (it.layers[0]!.size = -5)), /has the size -5/],
  [
    "a size beyond the disk",
    () => image([small], (it) => (it.layers[0]!.size = 1e15)),
    /room for .* no space left/,
  ],
  [
    "a digest that is a path",
    () => image([small], (it) => (it.layers[0]!.digest = "sha256:../../../../etc/passwd")),
    /invalid checksum digest format/,
  ],
  [
    "another diffID",
    () => image([{ tar: Buffer.from("x"), packed: small.packed }]),
    /does not match its diffID/,
  ],
  [
    "a manifest that calls itself an index",
    () => image([small], (it) => (it["mediaType"] = types.index)),
    /./,
  ],
  [
    "a configuration that is no image's",
    () => image([small], (it) => (it.config.mediaType = "application/vnd.cncf.helm.config.v1+json")),
    /is no container image/,
  ],
  [
    "more layers than the configuration has",
    () => image([small], (it) => void it.layers.push(it.layers[0]!)),
    /2 layers, its configuration has 1/,
  ],
  [
    "layers that are text",
    () => image([{ tar: Buffer.from("hello"), packed: gzipSync("hello") }]),
    /malformed tar archive/,
  ],
  [
    "damaged gzip",
    () =>
      image([{ tar: small.tar, packed: Buffer.concat([small.packed.subarray(0, 40), Buffer.alloc(40)]) }]),
    /damaged gzip data/,
  ],
  [
    "a manifest of 10 MB",
    () => {
      image([small]);
      top = { bytes: Buffer.concat([top.bytes, Buffer.alloc(10_000_000, " ")]), type: types.manifest };
    },
    /the registry 127\.0\.0\.1:\d+ sent more than 4194304 bytes/,
  ],
  [
    "a configuration of 20 MB",
    () =>
      image([small], (it) => {
        it.config = blob(Buffer.alloc(20_000_000, " "), types.config);
      }),
    /larger than 16777216 bytes/,
  ],
];
for (const [what, make, words] of lies)
  test(`a manifest with ${what} is refused`, async () => {
    make();
    if (what === "a manifest that calls itself an index") {
      // It is taken for what the registry and the document agree on, or refused; never for both.
      await pull().then(
        () => assert.equal(snapshotter.list().length, 1),
        (error: unknown) => assert.ok(error instanceof EngineError),
      );
      return;
    }
    await refused(words);
  });

test("an index in an index in an index … is refused, and one that holds itself", async () => {
  image([small]);
  let inner = {
    mediaType: types.manifest,
    digest: blob(top.bytes, types.manifest).digest,
    size: top.bytes.length,
  };
  let bytes = top.bytes;
  for (let depth = 0; depth < 6; depth += 1) {
    bytes = json({ schemaVersion: 2, mediaType: types.index, manifests: [inner] });
    inner = { mediaType: types.index, digest: blob(bytes, types.index).digest, size: bytes.length };
  }
  top = { bytes, type: types.index };
  await refused(/nested more than/);
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
  image([{ tar: Buffer.from("whatever"), packed: bomb, type: `${types.plain}+zstd` }]);
  await refused(/unpacks to more than 1000 times its \d+ bytes/);
});

test("a layer that may not be handed on comes from its own address, if it is what it should be", async () => {
  const foreign = createServer((_request, response) => response.end(small.packed));
  foreign.listen(0, "127.0.0.1");
  await once(foreign, "listening");
  try {
    const url = `http://127.0.0.1:${(foreign.address() as AddressInfo).port}/layer`;
    image([small], (it) => {
      it.layers[0]!.mediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
      it.layers[0]!.urls = [url];
    });
    blobs.delete(digestOf(small.packed));
    await pull();
    assert.equal(snapshotter.list().length, 1);
  } finally {
    foreign.close();
  }
});

test("addresses in a layer that every registry may have are not asked", async () => {
  let asked = 0;
  const inner = createServer((_request, response) => {
    asked += 1;
    response.end(small.packed);
  });
  inner.listen(0, "127.0.0.1");
  await once(inner, "listening");
  try {
    image([small], (it) => {
      it.layers[0]!.urls = [`http://127.0.0.1:${(inner.address() as AddressInfo).port}/`];
    });
    blobs.delete(digestOf(small.packed));
    await refused(/blob sha256/);
    assert.equal(asked, 0);
  } finally {
    inner.close();
  }
});

const isBlob = (request: IncomingMessage): boolean => (request.url ?? "").includes(digestOf(small.packed));
const isManifest = (request: IncomingMessage): boolean => (request.url ?? "").includes("/manifests/");
const misbehaving: [string, Answer, RegExp][] = [
  [
    "hangs",
    (request) => isBlob(request),
    /blob sha256:\w+ could not be fetched in 3 tries: .*127\.0\.0\.1:\d+.*(silent|answer|said nothing)/,
  ],
  [
    "cuts every time",
    (request, response) => {
      if (!isBlob(request)) return false;
      response.writeHead(200, { "Content-Length": small.packed.length });
      response.write(small.packed.subarray(0, 10), () => response.destroy());
      return true;
    },
    /could not be fetched in 3 tries: .*127\.0\.0\.1/,
  ],
  [
    "answers 500",
    (request, response) => {
      if (!isBlob(request)) return false;
      response.writeHead(500).end();
      return true;
    },
    /blob sha256:\w+.*(500|Internal Server Error)/,
  ],
  [
    "answers 429 without end",
    (request, response) => {
      if (!isManifest(request)) return false;
      response
        .writeHead(429, { "Retry-After": "0" })
        .end('{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}');
      return true;
    },
    /slow down/,
  ],
  [
    "promises a longer blob than it sends",
    (request, response) => {
      if (!isBlob(request)) return false;
      response.writeHead(200, { "Content-Length": small.packed.length + 100 });
      response.write(small.packed, () => setTimeout(() => response.destroy(), 20));
      return true;
    },
    /other bytes than it promised|could not be fetched/,
  ],
  [
    "answers with a web page for the API",
    (_request, response) => {
      response.writeHead(200, { "Content-Type": "text/html" }).end("<html>Welcome to the hotel</html>");
      return true;
    },
    /127\.0\.0\.1:\d+.*(no registry|no JSON|web page|text\/html|is no image)|is of type "text\/html"|no image that can be read/,
  ],
  [
    "answers 404 with a web page",
    (request, response) => {
      if (!isManifest(request)) return false;
      response.writeHead(404, { "Content-Type": "text/html" }).end("<html>nothing</html>");
      return true;
    },
    /manifest for 127\.0\.0\.1:\d+\/bad:1 not found/,
  ],
  [
    "sends a blob that never ends",
    (request, response) => {
      if (!isBlob(request)) return false;
      response.writeHead(200);
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(65_536), () => setImmediate(more));
      };
      more();
      return true;
    },
    /other bytes than it promised.*longer than/,
  ],
];
for (const [what, fault, words] of misbehaving)
  test(`a registry that ${what} is named, and nothing is kept`, async () => {
    image([small]);
    answer = fault;
    await refused(words);
  });

test("bytes of names are no escape sequences in errors", async () => {
  image([packed(layerOf({ name: `${up}\u001b[2Jevil`, text: "x" }))]);
  await assert.rejects(pull(), (error: unknown) => !errorText(error).includes("\u001b"));
  assert.ok(byteStringOf("é").length === 2);
});
