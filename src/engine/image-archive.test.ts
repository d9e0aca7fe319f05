/** Images that come as archives and go as such: load, save, import. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { digestOf } from "../oci/digest.ts";
import { layerOf } from "../snapshot/snapshot.fixture.ts";
import { ImageBench, kind } from "./image.fixture.ts";

const it = new ImageBench();

test("import makes an image, with changes; plain, gzip and zstd alike", async () => {
  const tar = layerOf({ name: "etc/" }, { name: "etc/x", text: "12345" });
  const id = await it.importTar(tar, "imp:1", ['CMD ["sh"]', "ENV A=b", "LABEL l=m"]);
  const image = await it.cases.imageInspect("imp:1");
  assert.equal(image.Id, id);
  assert.deepEqual(image.Config, { Cmd: ["sh"], Env: ["A=b"], Labels: { l: "m" } });
  assert.equal(image.Comment, "Imported from -");
  assert.equal(image.Size, 5);
  assert.deepEqual(image.RootFS.Layers, [digestOf(tar)]);
  assert.deepEqual(it.events, [`image tag ${id} imp:1`, `image import ${id} ${id}`]);
  const history = await it.cases.imageHistory("imp:1");
  assert.deepEqual(
    history.map(({ Id, Size, Comment, Tags }) => ({ Id, Size, Comment, Tags })),
    [{ Id: id, Size: 5, Comment: "Imported from -", Tags: ["imp:1"] }],
  );
  for (const program of ["gzip", "zstd", "xz", "bzip2"])
    try {
      const compressed = execFileSync(program, ["-c"], { input: tar });
      const other = await it.importTar(compressed, `imp:${program}`);
      assert.deepEqual((await it.cases.imageInspect(other)).RootFS.Layers, [digestOf(tar)]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
});

test("imports that are refused leave nothing", async () => {
  const tar = layerOf({ name: "a" });
  await assert.rejects(
    it.importTar(tar, "x", ["RUN x"]),
    kind("invalidArgument", "RUN is not a valid change command"),
  );
  await assert.rejects(it.importTar(tar, "Upper"), kind("invalidArgument"));
  await assert.rejects(it.importTar(tar, `x@sha256:${"0".repeat(64)}`), kind("invalidArgument"));
  await assert.rejects(
    it.importTar(Buffer.from("no tar".repeat(200)), "x"),
    kind("invalidArgument", /malformed tar/),
  );
  await assert.rejects(it.importTar(layerOf({ name: "../../x" }), "x"), kind("invalidArgument", /outside/));
  await assert.rejects(it.importTar(tar.subarray(0, 700), "x"), kind("invalidArgument"));
  await it.assertNothingLeft();
});

test("an image saved and loaded again is byte by byte the same", async () => {
  await it.pull("gantry/busybox");
  await it.importTar(layerOf({ name: "a", text: "1" }), "other/image:1");
  await it.cases.imageTag("gantry/busybox", "second", "tag");
  const first = await it.save("first.tar", "gantry/busybox", "second:tag", "other/image:1");
  const before = it.images
    .list()
    .map(({ id, manifestDigest, repoTags }) => ({ id, manifestDigest, repoTags }));
  await it.snapshotter.idle();
  it.database.close();
  it.open(join(it.work, "other"));
  const messages = await it.load(first, false);
  assert.deepEqual(messages.flatMap(({ stream }) => stream ?? []).sort(), [
    "Loaded image: gantry/busybox:latest\n",
    "Loaded image: other/image:1\n",
    "Loaded image: second:tag\n",
  ]);
  assert.equal(messages.filter(({ status }) => status === "Loading layer").length, 2);
  const after = it.images
    .list()
    .map(({ id, manifestDigest, repoTags }) => ({ id, manifestDigest, repoTags }));
  const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1);
  assert.deepEqual(after.sort(byId), before.sort(byId));
  const second = await it.save("second.tar", "gantry/busybox", "second:tag", "other/image:1");
  assert.ok(readFileSync(second).equals(readFileSync(first)));
  const listing = execFileSync("tar", ["-tf", first], { encoding: "utf8" }).split("\n");
  for (const name of ["oci-layout", "index.json", "manifest.json", "repositories"])
    assert.ok(listing.includes(name), name);
  assert.deepEqual(
    (await it.load(first, false)).filter(({ status }) => status !== undefined),
    [],
  );
});

test("skopeo reads what is saved, and its archives of every form are loaded", async () => {
  await it.pull("gantry/busybox");
  const [image] = it.images.list();
  const saved = await it.save("saved.tar", "gantry/busybox:latest");
  const run = (...args: string[]): void => {
    execFileSync("skopeo", ["--insecure-policy", "--tmpdir", it.work, "copy", "-q", ...args], {
      stdio: "pipe",
    });
  };
  const forms: [string, string, string][] = [
    ["docker-archive", `docker-archive:${it.work}/docker.tar:gantry/busybox:copy`, "docker.tar"],
    ["oci-archive", `oci-archive:${it.work}/oci.tar:gantry/busybox:copy`, "oci.tar"],
  ];
  for (const source of [`docker-archive:${saved}`, `oci-archive:${saved}`])
    for (const [form, target, file] of forms) {
      rmSync(join(it.work, file), { force: true });
      run(source, target);
      const messages = await it.load(join(it.work, file));
      assert.deepEqual(messages, [{ stream: "Loaded image: gantry/busybox:copy\n" }], `${source} ${form}`);
      const copy = it.images.resolve("gantry/busybox:copy");
      assert.deepEqual(copy.config.rootfs, image!.config.rootfs);
      assert.deepEqual(copy.config.config?.Cmd, ["sh"]);
    }
  for (const program of ["gzip", "zstd"]) {
    const compressed = execFileSync(program, ["-c", join(it.work, "oci.tar")], { maxBuffer: 1e8 });
    assert.deepEqual(await it.load(compressed), [{ stream: "Loaded image: gantry/busybox:copy\n" }]);
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
  const tree = join(it.work, "old");
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
  assert.deepEqual(await it.load(archive), [
    { stream: "Loaded image: old:1\n" },
    { stream: "Loaded image: old:2\n" },
  ]);
  assert.equal(it.images.resolve("old:1").id, id);
  assert.equal(it.images.resolve("old:1").sizeBytes, 4);
  // a name that is taken moves
  const other = await it.importTar(lower, "old:1");
  assert.deepEqual(await it.load(archive), [
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
    await assert.rejects(it.load(archive), kind("invalidArgument", reason), String(reason));
    await it.assertNothingLeft();
  }
});

test("of an index, nested or not, the host's platform is taken", async () => {
  const tree = join(it.work, "layout");
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
  assert.deepEqual(await it.load(archive), [{ stream: "Loaded image: some/thing:1\n" }]);
  assert.equal(it.images.resolve("some/thing:1").manifestDigest, wanted.digest);
  assert.equal(it.content.list().length, 3, "blobs of other platforms do not stay");
});

test("a load that fails half-way does not take what another load is about to use", async () => {
  await it.pull("gantry/busybox");
  const archive = readFileSync(await it.save("a.tar", "gantry/busybox"));
  await it.cases.imageRemove("gantry/busybox", { force: false, noPrune: false });
  await it.assertNothingLeft();
  const broken = Buffer.concat([archive.subarray(0, archive.length - 3072), layerOf({ name: "../x" })]);
  const results = await Promise.allSettled([it.load(broken), it.load(archive), it.load(broken)]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["rejected", "fulfilled", "rejected"],
  );
  assert.deepEqual(it.images.resolve("gantry/busybox").repoTags, ["gantry/busybox:latest"]);
  assert.equal(it.content.list().length, 3);
  assert.equal(it.snapshotter.list().length, 1);
});
