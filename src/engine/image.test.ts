import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, test } from "node:test";
import { openDatabase, type Database } from "../base/database.ts";
import { isKind } from "../base/errors.ts";
import { FsContentStore } from "../content/fs-content-store.ts";
import type { ImageStore } from "../image/image.ts";
import { createImageStore } from "../image/image-store.ts";
import { mount, unmount } from "../linux/mount.ts";
import { digestOf } from "../oci/digest.ts";
import { createSnapshotter } from "../snapshot/create-snapshotter.ts";
import type { Snapshotter } from "../snapshot/snapshot.ts";
import { layerOf } from "../snapshot/snapshot.suite.ts";
import type { ProgressMessage } from "../wire/image.ts";
import type { ImageUser } from "./image-deps.ts";
import { createImageUseCases, type ImageUseCases } from "./image-use-cases.ts";

let work = "";
let database: Database;
let content: FsContentStore;
let snapshotter: Snapshotter;
let images: ImageStore;
let cases: ImageUseCases;
const users = new Map<string, ImageUser[]>();
const events: string[] = [];
const signal = new AbortController().signal;

beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), "gantry-image-"));
  open();
});
afterEach(async () => {
  users.clear();
  await snapshotter.idle();
  database.close();
  rmSync(work, { recursive: true });
});

/** Opens everything below the work directory, as a new daemon would. */
function open(root = join(work, "data")): void {
  database = openDatabase(join(root, "gantry.db"));
  content = new FsContentStore(join(root, "content"));
  snapshotter = createSnapshotter({ driver: "overlay2", root });
  images = createImageStore(database);
  events.length = 0;
  cases = createImageUseCases({
    content,
    snapshotter,
    images,
    transfers: {
      insecureRegistries: [],
      registryMirrors: [],
      maxConcurrentDownloads: 3,
      maxConcurrentUploads: 5,
      maxDownloadAttempts: 2,
    },
    isImageUsed: (id) => users.get(id) ?? [],
    emit: (type, action, id, attributes) => events.push(`${type} ${action} ${id} ${attributes["name"]}`),
  });
}

async function all(messages: AsyncIterable<ProgressMessage>): Promise<ProgressMessage[]> {
  const list: ProgressMessage[] = [];
  for await (const message of messages) list.push(message);
  return list;
}

const pull = (image: string, tag?: string, platform?: string) =>
  all(cases.imagePull({ image, tag, platform, signal }));

const load = (archive: Buffer | string, quiet = true) =>
  all(
    cases.imageLoad(typeof archive === "string" ? createReadStream(archive) : Readable.from([archive]), {
      quiet,
      signal,
    }),
  );

async function importTar(tar: Buffer, name?: string, changes: string[] = []): Promise<string> {
  const messages = await all(
    cases.imageImport({
      source: Readable.from([tar]),
      signal: new AbortController().signal,
      repository: name,
      tag: undefined,
      message: undefined,
      changes,
      platform: undefined,
    }),
  );
  return messages.at(-1)!.status!;
}

async function save(file: string, ...names: string[]): Promise<string> {
  const path = join(work, file);
  writeFileSync(
    path,
    await (await cases.imageSave(names)).toArray().then((chunks: Buffer[]) => Buffer.concat(chunks)),
  );
  return path;
}

const kind =
  (wanted: Parameters<typeof isKind>[1], text?: string | RegExp) =>
  (error: unknown): boolean => {
    assert.ok(isKind(error, wanted), String(error));
    if (typeof text === "string") assert.equal(error.message, text);
    else if (text !== undefined) assert.match(error.message, text);
    return true;
  };

const nothingLeft = async (): Promise<void> => {
  await snapshotter.idle();
  assert.deepEqual(images.list(), []);
  assert.deepEqual(content.list(), []);
  assert.deepEqual(snapshotter.list(), []);
  for (const name of ["tmp", "trash", "layers", "l"])
    assert.deepEqual(readdirSync(join(work, "data/overlay2", name)), []);
  assert.deepEqual(readdirSync(join(work, "data/content/ingest")), []);
};

test("the built-in busybox is pulled, runs, and is the same each time", async () => {
  const messages = await pull("gantry/busybox", "latest");
  const [image] = images.list();
  assert.deepEqual(messages[0], { status: "Pulling from gantry/busybox", id: "latest" });
  assert.deepEqual(
    messages.slice(1, -2).map(({ status }) => status),
    [
      "Pulling fs layer",
      "Downloading",
      "Verifying Checksum",
      "Download complete",
      "Extracting",
      "Pull complete",
    ],
  );
  assert.deepEqual(messages.slice(-2), [
    { status: `Digest: ${image!.manifestDigest}` },
    { status: "Status: Downloaded newer image for gantry/busybox:latest" },
  ]);
  assert.deepEqual(events, ["image pull gantry/busybox:latest gantry/busybox"]);
  const target = join(work, "mnt");
  mkdirSync(target);
  snapshotter.prepare("container", image!.chainId);
  mount(snapshotter.mounts("container")[0]!, target);
  try {
    const script = "id -un; ls -ld /tmp | cut -c1-10; env -i sh -c 'echo ok'; ls /bin | wc -l";
    const output = execFileSync("chroot", [target, "/bin/sh", "-c", script], { encoding: "utf8" }).split(
      "\n",
    );
    assert.deepEqual(output.slice(0, 3), ["root", "drwxrwxrwt", "ok"]);
    assert.ok(Number(output[3]) > 100);
  } finally {
    unmount(target);
    snapshotter.remove("container");
  }
  const again = await pull("docker.io/gantry/busybox");
  assert.equal(again.at(-1)!.status, "Status: Image is up to date for gantry/busybox:latest");
  assert.ok(again.some(({ status }) => status === "Already exists"));
  const { manifestDigest, id } = image!;
  assert.deepEqual(images.resolve(id).repoDigests, [`gantry/busybox@${manifestDigest}`]);
  await cases.imageRemove(id, { force: true, noPrune: false });
  await nothingLeft();
  await pull("gantry/busybox", manifestDigest);
  assert.equal(images.resolve(`gantry/busybox@${manifestDigest}`).id, id);
});

test("pulls that cannot be served say so", async () => {
  await assert.rejects(
    pull("127.0.0.1:1/debian", "bookworm"),
    kind("unavailable", /registry 127\.0\.0\.1:1:/),
  );
  await assert.rejects(
    pull("gantry/busybox", "1.0"),
    kind("notFound", /^manifest for gantry\/busybox:1.0 not found/),
  );
  await assert.rejects(pull("gantry/busybox", undefined, "linux/s390x"), kind("notFound", /linux\/s390x/));
  await assert.rejects(pull("gantry/busybox", `sha256:${"0".repeat(64)}`), kind("notFound"));
  await assert.rejects(pull("gantry/Busybox"), kind("invalidArgument"));
  await nothingLeft();
});

test("import makes an image, with changes; plain, gzip and zstd alike", async () => {
  const tar = layerOf({ name: "etc/" }, { name: "etc/x", text: "12345" });
  const id = await importTar(tar, "imp:1", ['CMD ["sh"]', "ENV A=b", "LABEL l=m"]);
  const image = await cases.imageInspect("imp:1");
  assert.equal(image.Id, id);
  assert.deepEqual(image.Config, { Cmd: ["sh"], Env: ["A=b"], Labels: { l: "m" } });
  assert.equal(image.Comment, "Imported from -");
  assert.equal(image.Size, 5);
  assert.deepEqual(image.RootFS.Layers, [digestOf(tar)]);
  assert.deepEqual(events, [`image import ${id} ${id}`]);
  const history = await cases.imageHistory("imp:1");
  assert.deepEqual(
    history.map(({ Id, Size, Comment, Tags }) => ({ Id, Size, Comment, Tags })),
    [{ Id: id, Size: 5, Comment: "Imported from -", Tags: ["imp:1"] }],
  );
  for (const program of ["gzip", "zstd", "xz", "bzip2"])
    try {
      const compressed = execFileSync(program, ["-c"], { input: tar });
      const other = await importTar(compressed, `imp:${program}`);
      assert.deepEqual((await cases.imageInspect(other)).RootFS.Layers, [digestOf(tar)]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
});

test("imports that are refused leave nothing", async () => {
  const tar = layerOf({ name: "a" });
  await assert.rejects(
    importTar(tar, "x", ["RUN x"]),
    kind("invalidArgument", "RUN is not a valid change command"),
  );
  await assert.rejects(importTar(tar, "Upper"), kind("invalidArgument"));
  await assert.rejects(importTar(tar, `x@sha256:${"0".repeat(64)}`), kind("invalidArgument"));
  await assert.rejects(
    importTar(Buffer.from("no tar".repeat(200)), "x"),
    kind("invalidArgument", /malformed tar/),
  );
  await assert.rejects(importTar(layerOf({ name: "../../x" }), "x"), kind("invalidArgument", /outside/));
  await assert.rejects(importTar(tar.subarray(0, 700), "x"), kind("invalidArgument"));
  await nothingLeft();
});

test("an image saved and loaded again is byte by byte the same", async () => {
  await pull("gantry/busybox");
  await importTar(layerOf({ name: "a", text: "1" }), "other/image:1");
  await cases.imageTag("gantry/busybox", "second", "tag");
  const first = await save("first.tar", "gantry/busybox", "second:tag", "other/image:1");
  const before = images.list().map(({ id, manifestDigest, repoTags }) => ({ id, manifestDigest, repoTags }));
  await snapshotter.idle();
  database.close();
  open(join(work, "other"));
  const messages = await load(first, false);
  assert.deepEqual(messages.flatMap(({ stream }) => stream ?? []).sort(), [
    "Loaded image: gantry/busybox:latest\n",
    "Loaded image: other/image:1\n",
    "Loaded image: second:tag\n",
  ]);
  assert.equal(messages.filter(({ status }) => status === "Loading layer").length, 2);
  const after = images.list().map(({ id, manifestDigest, repoTags }) => ({ id, manifestDigest, repoTags }));
  const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1);
  assert.deepEqual(after.sort(byId), before.sort(byId));
  const second = await save("second.tar", "gantry/busybox", "second:tag", "other/image:1");
  assert.ok(readFileSync(second).equals(readFileSync(first)));
  const listing = execFileSync("tar", ["-tf", first], { encoding: "utf8" }).split("\n");
  for (const name of ["oci-layout", "index.json", "manifest.json", "repositories"])
    assert.ok(listing.includes(name), name);
  assert.deepEqual(
    (await load(first, false)).filter(({ status }) => status !== undefined),
    [],
  );
});

test("skopeo reads what is saved, and its archives of every form are loaded", async () => {
  await pull("gantry/busybox");
  const [image] = images.list();
  const saved = await save("saved.tar", "gantry/busybox:latest");
  const run = (...args: string[]): void => {
    execFileSync("skopeo", ["--insecure-policy", "--tmpdir", work, "copy", "-q", ...args], { stdio: "pipe" });
  };
  const forms: [string, string, string][] = [
    ["docker-archive", `docker-archive:${work}/docker.tar:gantry/busybox:copy`, "docker.tar"],
    ["oci-archive", `oci-archive:${work}/oci.tar:gantry/busybox:copy`, "oci.tar"],
  ];
  for (const source of [`docker-archive:${saved}`, `oci-archive:${saved}`])
    for (const [form, target, file] of forms) {
      rmSync(join(work, file), { force: true });
      run(source, target);
      const messages = await load(join(work, file));
      assert.deepEqual(messages, [{ stream: "Loaded image: gantry/busybox:copy\n" }], `${source} ${form}`);
      const copy = images.resolve("gantry/busybox:copy");
      assert.deepEqual(copy.config.rootfs, image!.config.rootfs);
      assert.deepEqual(copy.config.config?.Cmd, ["sh"]);
    }
  for (const program of ["gzip", "zstd"]) {
    const compressed = execFileSync(program, ["-c", join(work, "oci.tar")], { maxBuffer: 1e8 });
    assert.deepEqual(await load(compressed), [{ stream: "Loaded image: gantry/busybox:copy\n" }]);
  }
});

test("Docker's older archives are loaded: layers in directories, as symbolic links too", async () => {
  const lower = layerOf({ name: "lower", text: "1" });
  const upper = layerOf({ name: ".wh.lower" }, { name: "upper", text: "22" });
  const config = JSON.stringify({
    architecture: "amd64",
    os: "linux",
    config: { Cmd: ["x"] },
    rootfs: { type: "layers", diff_ids: [digestOf(lower), digestOf(upper), digestOf(lower)] },
  });
  const tree = join(work, "old");
  for (const name of ["aaa", "bbb", "ccc"]) {
    mkdirSync(join(tree, name), { recursive: true });
    writeFileSync(join(tree, name, "VERSION"), "1.0");
    writeFileSync(join(tree, name, "json"), "{}");
  }
  writeFileSync(join(tree, "aaa/layer.tar"), lower);
  writeFileSync(join(tree, "bbb/layer.tar"), upper);
  symlinkSync("../aaa/layer.tar", join(tree, "ccc/layer.tar"));
  const id = digestOf(config);
  writeFileSync(join(tree, `${id.slice(7)}.json`), config);
  const manifest = [
    {
      Config: `${id.slice(7)}.json`,
      RepoTags: ["old:1", "old:2"],
      Layers: ["aaa/layer.tar", "bbb/layer.tar", "ccc/layer.tar"],
    },
  ];
  writeFileSync(join(tree, "manifest.json"), JSON.stringify(manifest));
  writeFileSync(join(tree, "repositories"), "{}");
  const archive = execFileSync("tar", ["-C", tree, "-c", "."], { maxBuffer: 1e8 });
  assert.deepEqual(await load(archive), [
    { stream: "Loaded image: old:1\n" },
    { stream: "Loaded image: old:2\n" },
  ]);
  assert.equal(images.resolve("old:1").id, id);
  assert.equal(images.resolve("old:1").sizeBytes, 4);
  // a name that is taken moves
  const other = await importTar(lower, "old:1");
  assert.deepEqual(await load(archive), [
    { stream: `The image old:1 already exists, renaming the old one with ID ${other} to empty string\n` },
    { stream: "Loaded image: old:1\n" },
    { stream: "Loaded image: old:2\n" },
  ]);
});

test("hostile and broken archives are refused with a reason and leave nothing", async () => {
  const json = (value: unknown): string => JSON.stringify(value);
  const layer = layerOf({ name: "x" });
  const entry = { Config: "c.json", RepoTags: ["a:b"], Layers: ["l.tar"] };
  const config = json({
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [digestOf(layer)] },
  });
  const zero = `sha256:${"0".repeat(64)}`;
  const table: [RegExp, Buffer][] = [
    [/malformed tar/, Buffer.from("nothing of use".repeat(100))],
    [/no image archive/, layerOf({ name: "x", text: "y" })],
    [/no image archive/, Buffer.alloc(0)],
    [/before version 1.10/, layerOf({ name: "repositories", text: "{}" })],
    [/outside of itself/, layerOf({ name: "../manifest.json", text: "[]" })],
    [/outside of itself/, layerOf({ name: "l.tar", type: "symlink", linkName: "../../etc/passwd" })],
    [/manifest.json of the archive is no JSON/, layerOf({ name: "manifest.json", text: "{" })],
    [/manifest.json of the archive is no list/, layerOf({ name: "manifest.json", text: "{}" })],
    [/has no Config/, layerOf({ name: "manifest.json", text: "[null]" })],
    [/"c.json", which is not in it/, layerOf({ name: "manifest.json", text: json([entry]) })],
    [
      /"l.tar", which is not in it/,
      layerOf({ name: "manifest.json", text: json([entry]) }, { name: "c.json", text: config }),
    ],
    [
      /"l.tar", which is not in it/,
      layerOf(
        { name: "manifest.json", text: json([entry]) },
        { name: "c.json", text: config },
        { name: "l.tar", type: "symlink", linkName: "m.tar" },
        { name: "m.tar", type: "symlink", linkName: "l.tar" },
      ),
    ],
    [
      /is no JSON/,
      layerOf(
        { name: "manifest.json", text: json([entry]) },
        { name: "c.json", text: "?" },
        { name: "l.tar" },
      ),
    ],
    [
      /rootfs.diff_ids/,
      layerOf(
        { name: "manifest.json", text: json([entry]) },
        { name: "c.json", text: "{}" },
        { name: "l.tar" },
      ),
    ],
    [
      /field Env is of the wrong type/,
      layerOf(
        { name: "manifest.json", text: json([entry]) },
        { name: "c.json", text: json({ rootfs: { diff_ids: [zero] }, config: { Env: [1] } }) },
        { name: "l.tar" },
      ),
    ],
    [
      /has 1 layers, its configuration has 0/,
      layerOf(
        { name: "manifest.json", text: json([entry]) },
        { name: "c.json", text: json({ rootfs: { diff_ids: [] } }) },
        { name: "l.tar" },
      ),
    ],
    [
      /does not match its diffID/,
      layerOf(
        { name: "manifest.json", text: json([entry]) },
        { name: "c.json", text: config },
        { name: "l.tar", text: "" },
      ),
    ],
    [
      /invalid reference format/,
      layerOf(
        { name: "manifest.json", text: json([{ ...entry, RepoTags: ["A B"] }]) },
        { name: "c.json", text: config },
        { name: "l.tar", text: layer.toString("latin1") },
      ),
    ],
    [/does not match its digest/, layerOf({ name: `blobs/sha256/${"0".repeat(64)}`, text: "x" })],
    [/list of descriptors is missing/, layerOf({ name: "index.json", text: "{}" })],
    [
      /names no image that is in it/,
      layerOf({ name: "index.json", text: json({ manifests: [{ mediaType: "x", digest: zero, size: 1 }] }) }),
    ],
    [
      /invalid checksum digest/,
      layerOf({
        name: "index.json",
        text: json({ manifests: [{ mediaType: "x", digest: "sha256:../x", size: 1 }] }),
      }),
    ],
  ];
  for (const [reason, archive] of table) {
    await assert.rejects(load(archive), kind("invalidArgument", reason), String(reason));
    await nothingLeft();
  }
});

test("of an index, nested or not, the host's platform is taken", async () => {
  const tree = join(work, "layout");
  const blobs = join(tree, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Buffer | string): { digest: string; size: number } => {
    const digest = digestOf(bytes);
    writeFileSync(join(blobs, digest.slice(7)), bytes);
    return { digest, size: bytes.length };
  };
  const layer = layerOf({ name: "x", text: "y" });
  const manifest = (architecture: string) => {
    const config = put(
      JSON.stringify({ architecture, os: "linux", rootfs: { type: "layers", diff_ids: [digestOf(layer)] } }),
    );
    const body = {
      schemaVersion: 2,
      config: { mediaType: "c", ...config },
      layers: [{ mediaType: "l", ...put(layer) }],
    };
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    return { mediaType, ...put(JSON.stringify(body)), platform: { os: "linux", architecture } };
  };
  const host = execFileSync("uname", ["-m"], { encoding: "utf8" }).trim() === "x86_64" ? "amd64" : "arm64";
  const wanted = manifest(host);
  const list = { schemaVersion: 2, manifests: [manifest("s390x"), wanted, manifest("riscv64")] };
  const index = { mediaType: "application/vnd.oci.image.index.v1+json", ...put(JSON.stringify(list)) };
  const annotations = { "io.containerd.image.name": "docker.io/some/thing:1" };
  writeFileSync(
    join(tree, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...index, annotations }] }),
  );
  writeFileSync(join(tree, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const archive = execFileSync("tar", ["-C", tree, "-c", "."], { maxBuffer: 1e8 });
  assert.deepEqual(await load(archive), [{ stream: "Loaded image: some/thing:1\n" }]);
  assert.equal(images.resolve("some/thing:1").manifestDigest, wanted.digest);
  assert.equal(content.list().length, 3, "blobs of other platforms do not stay");
});

test("names are removed first, images with their last one", async () => {
  const base = layerOf({ name: "base", text: "1" });
  const id = await importTar(base, "one:1");
  await cases.imageTag("one:1", "one", "2");
  await cases.imageTag(id, "two", "");
  const other = await importTar(layerOf({ name: "x" }), "x:1");
  const remove = (name: string, force = false) => cases.imageRemove(name, { force, noPrune: false });
  events.length = 0;
  await assert.rejects(
    remove(id),
    kind(
      "conflict",
      `conflict: unable to delete ${id.slice(7, 19)} (must be forced) - image is referenced in multiple repositories`,
    ),
  );
  assert.deepEqual(await remove("one:2"), [{ Untagged: "one:2" }]);
  assert.deepEqual(await remove("two"), [{ Untagged: "two:latest" }]);
  assert.deepEqual(await remove("one:1"), [
    { Untagged: "one:1" },
    { Deleted: id },
    { Deleted: digestOf(base) },
  ]);
  assert.deepEqual(events, [
    `image untag ${id} ${id}`,
    `image untag ${id} ${id}`,
    `image untag ${id} ${id}`,
    `image delete ${id} ${id}`,
  ]);
  await assert.rejects(remove("one:1"), kind("notFound", "No such image: one:1"));
  assert.equal((await remove(other.slice(7, 15)))[0]!.constructor, Object);
  await nothingLeft();
});

test("what containers use is kept", async () => {
  const id = await importTar(layerOf({ name: "a" }), "used:1");
  const remove = (name: string, force = false) => cases.imageRemove(name, { force, noPrune: false });
  const container = "c".repeat(64);
  users.set(id, [{ containerId: container, running: false }]);
  const short = id.slice(7, 19);
  await assert.rejects(
    remove("used:1"),
    kind(
      "conflict",
      `conflict: unable to remove repository reference "used:1" (must force) - container ${"c".repeat(12)} is using its referenced image ${short}`,
    ),
  );
  await assert.rejects(
    remove(id),
    kind(
      "conflict",
      `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container ${"c".repeat(12)}`,
    ),
  );
  users.set(id, [{ containerId: container, running: true }]);
  await assert.rejects(
    remove(id, true),
    kind(
      "conflict",
      `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container ${"c".repeat(12)}`,
    ),
  );
  assert.deepEqual(await remove("used:1", true), [{ Untagged: "used:1" }]);
  assert.deepEqual(images.resolve(id).repoTags, []);
  // forced with a stopped one: the image goes, the layers below the container's snapshot stay until it is gone
  users.set(id, [{ containerId: container, running: false }]);
  snapshotter.prepare(container, images.resolve(id).chainId);
  assert.deepEqual(await remove(short, true), [{ Deleted: id }]);
  assert.equal(snapshotter.list().length, 2);
  snapshotter.remove(container);
  await snapshotter.idle();
  database.close();
  open();
  await nothingLeft();
});

test("layers and blobs that another image uses stay", async () => {
  const base = layerOf({ name: "a", text: "1" });
  const one = await importTar(base, "one:1", ["LABEL n=1"]);
  const two = await importTar(base, "two:1", ["LABEL n=2"]);
  assert.notEqual(one, two);
  assert.deepEqual(await cases.imageRemove("one:1", { force: false, noPrune: false }), [
    { Untagged: "one:1" },
    { Deleted: one },
  ]);
  assert.ok(content.has(digestOf(base)));
  assert.ok(snapshotter.has(digestOf(base)));
});

test("layers that a container stands on are on the disk before the blobs go, also while it is being made", async (t) => {
  const id = await importTar(layerOf({ name: "a", text: "1" }), "x:1");
  const { chainId } = images.byId(id)!;
  const blobs = content.list().length;
  const flushed: (readonly string[])[] = [];
  const flush = t.mock.method(snapshotter, "flush", async (layers: readonly string[]) => {
    assert.equal(content.list().length, blobs);
    flushed.push(layers);
  });
  // No record has it yet: its volumes are being filled.
  snapshotter.prepare("making", chainId);
  flush.mock.mockImplementationOnce(() => Promise.reject(new Error("input/output error")));
  for (const force of [false, true]) {
    if (force) flush.mock.mockImplementationOnce(() => Promise.reject(new Error("input/output error")));
    await assert.rejects(
      cases.imageRemove("x:1", { force, noPrune: false }),
      kind("unavailable", /containers stand on its layers, which are not on the disk: input\/output error/),
    );
    assert.deepEqual(images.byId(id)?.repoTags, ["x:1"]);
    assert.equal(content.list().length, blobs);
  }
  // A name that is not the last one may go.
  await cases.imageTag(id, "y", "1");
  flush.mock.mockImplementationOnce(() => Promise.reject(new Error("input/output error")));
  await cases.imageRemove("y:1", { force: false, noPrune: false });
  assert.deepEqual(flushed, []);
  await cases.imageRemove("x:1", { force: false, noPrune: false });
  assert.deepEqual(flushed, [[chainId]]);
  assert.deepEqual(content.list(), []);
  assert.ok(snapshotter.has(chainId!));

  // Nobody waits for the disk where nothing stays.
  await importTar(layerOf({ name: "b", text: "1" }), "z:1");
  await cases.imageRemove("z:1", { force: true, noPrune: false });
  assert.equal(flushed.length, 1);
  snapshotter.remove("making");
});

test("a load that fails half-way does not take what another load is about to use", async () => {
  await pull("gantry/busybox");
  const archive = readFileSync(await save("a.tar", "gantry/busybox"));
  await cases.imageRemove("gantry/busybox", { force: false, noPrune: false });
  await nothingLeft();
  const broken = Buffer.concat([archive.subarray(0, archive.length - 3072), layerOf({ name: "../x" })]);
  const results = await Promise.allSettled([load(broken), load(archive), load(broken)]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["rejected", "fulfilled", "rejected"],
  );
  assert.deepEqual(images.resolve("gantry/busybox").repoTags, ["gantry/busybox:latest"]);
  assert.equal(content.list().length, 3);
  assert.equal(snapshotter.list().length, 1);
});

test("tags: malformed ones are refused, one that exists moves", async () => {
  const one = await importTar(layerOf({ name: "1" }), "x:1");
  const two = await importTar(layerOf({ name: "2" }));
  await cases.imageTag(two, "x", "1");
  assert.equal(images.resolve("x:1").id, two);
  assert.deepEqual(images.resolve(one).repoTags, []);
  await cases.imageTag(two, "localhost:5000/y:tag", "");
  assert.equal(images.resolve("localhost:5000/y:tag").id, two);
  await assert.rejects(cases.imageTag(two, "X", "1"), kind("invalidArgument", /must be lowercase/));
  await assert.rejects(cases.imageTag(two, "x", "no good"), kind("invalidArgument"));
  await assert.rejects(
    cases.imageTag(two, `x@sha256:${"0".repeat(64)}`, ""),
    kind("invalidArgument", /digest reference/),
  );
  await assert.rejects(
    cases.imageTag("nothing", "x", "1"),
    kind("notFound", "No such image: nothing:latest"),
  );
  await assert.rejects(save("x.tar", "nothing"), kind("notFound", "No such image: nothing:latest"));
});

test("listing: filters, sizes, users", async () => {
  const base = layerOf({ name: "a", text: "12345" });
  const one = await importTar(base, "one/app:1", ["LABEL l=1 m="]);
  await cases.imageTag(one, "two/app", "2");
  await new Promise((resolve) => setTimeout(resolve, 5));
  const two = await importTar(base, "three:1", ["LABEL l=2"]);
  const none = await importTar(layerOf({ name: "b", text: "1" }));
  users.set(one, [{ containerId: "c", running: false }]);
  const list = (filters: Record<string, string[]>, sharedSize = false) =>
    cases.imageList({ all: false, filters: new Map(Object.entries(filters)), sharedSize });
  const ids = async (filters: Record<string, string[]>): Promise<string[]> =>
    (await list(filters)).map(({ Id }) => Id).sort();
  const table: [Record<string, string[]>, string[]][] = [
    [{}, [one, two, none]],
    [{ dangling: ["true"] }, [none]],
    [{ dangling: ["0"] }, [one, two]],
    [{ label: ["l"] }, [one, two]],
    [{ label: ["l=2"] }, [two]],
    [{ label: ["l", "m="] }, [one]],
    [{ reference: ["*/app"] }, [one]],
    [{ reference: ["*"] }, [two]],
    [{ reference: ["th[a-r]ee:?"] }, [two]],
    [{ reference: ["app"] }, []],
    [{ before: ["three:1"] }, [one]],
    [{ since: ["one/app:1"] }, [two, none]],
    [{ until: ["1h"] }, []],
    [{ until: ["2100-01-01T00:00:00Z"] }, [one, two, none]],
  ];
  for (const [filters, expected] of table)
    assert.deepEqual(await ids(filters), expected.sort(), JSON.stringify(filters));
  assert.deepEqual((await list({ reference: ["two/*"] }))[0]!.RepoTags, ["two/app:2"]);
  const [summary] = await list({ label: ["l=1"] }, true);
  assert.deepEqual([summary!.Size, summary!.SharedSize, summary!.Containers], [5, 5, 1]);
  assert.equal((await list({ dangling: ["true"] }, true))[0]!.SharedSize, 0);
  await assert.rejects(list({ foo: ["1"] }), kind("invalidArgument", "invalid filter 'foo'"));
  await assert.rejects(list({ dangling: ["maybe"] }), kind("invalidArgument"));
  await assert.rejects(list({ before: ["nothing"] }), kind("notFound", "No such image: nothing:latest"));
});
