import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { extract } from "tar-stream";
import { compressLayer, ociArchive } from "./oci-archive.ts";
import { bootstrapPlan, mirrorOf, hostMirrors, type PlanOptions } from "./plan.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-bootstrap-test-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const mirrors = { main: "http://m/debian", security: "http://m/debian-security" };
const plan = (options: Partial<PlanOptions>): ReturnType<typeof bootstrapPlan> =>
  bootstrapPlan(
    {
      name: "debian:bookworm",
      suite: "",
      mirror: "",
      variant: "minbase",
      include: [],
      snapshot: "",
      ...options,
    },
    mirrors,
  );

test("names say the suite, the sources and whether it is slim", () => {
  const table: [name: string, suite: string, isSlim: boolean, image: string][] = [
    ["debian:bookworm", "bookworm", false, "debian:bookworm"],
    ["debian:12", "bookworm", false, "debian:12"],
    ["debian:trixie-slim", "trixie", true, "debian:trixie-slim"],
    ["debian", "stable", false, "debian:latest"],
    ["docker.io/library/debian:sid", "sid", false, "debian:sid"],
  ];
  for (const [name, suite, isSlim, image] of table) {
    const result = plan({ name });
    assert.deepEqual([result.suite, result.isSlim, result.image], [suite, isSlim, image], name);
  }
  assert.deepEqual(plan({}).sources, [
    "deb http://m/debian bookworm main",
    "deb http://m/debian bookworm-updates main",
    "deb http://m/debian-security bookworm-security main",
  ]);
  assert.deepEqual(plan({ name: "debian:sid" }).sources, ["deb http://m/debian sid main"]);
  assert.deepEqual(plan({ name: "ubuntu:noble", suite: "noble", mirror: "http://u/ubuntu" }).sources, [
    "deb http://u/ubuntu noble main",
  ]);
  assert.deepEqual(plan({ snapshot: "20260901" }).sources.map(mirrorOf), [
    "http://snapshot.debian.org/archive/debian/20260901T000000Z",
    "http://snapshot.debian.org/archive/debian/20260901T000000Z",
    "http://snapshot.debian.org/archive/debian-security/20260901T000000Z",
  ]);
  assert.deepEqual(plan({ snapshot: "20260901" }).sources, [
    "deb [check-valid-until=no] http://snapshot.debian.org/archive/debian/20260901T000000Z bookworm main",
    "deb [check-valid-until=no] http://snapshot.debian.org/archive/debian/20260901T000000Z bookworm-updates main",
    "deb [check-valid-until=no] http://snapshot.debian.org/archive/debian-security/20260901T000000Z bookworm-security main",
  ]);
  assert.equal(plan({ name: "my/base", suite: "bookworm" }).image, "my/base:latest");
});

test("what cannot be built is refused before any work", () => {
  const table: [Partial<PlanOptions>, RegExp][] = [
    [{ name: "debian:nope" }, /none of Debian's suites/],
    [{ name: "foo" }, /--suite and --mirror/],
    [{ name: "ubuntu", suite: "noble" }, /--mirror/],
    [{ name: "BAD" }, /must be lowercase/],
    [{ name: `debian@sha256:${"0".repeat(64)}` }, /no digest/],
    [{ variant: "x" }, /unknown variant/],
    [{ include: ["ok", "a;b"] }, /"a;b" is no name of a package/],
    [{ suite: "--hook" }, /no name of a suite/],
    [{ mirror: "mirror" }, /no address of a mirror/],
    [{ snapshot: "yesterday" }, /"yesterday" is no moment/],
    [{ snapshot: "20260901", mirror: "http://m/debian" }, /leave out --mirror/],
  ];
  for (const [options, message] of table) assert.throws(() => plan(options), message);
});

test("the mirrors of a Debian host are read from both formats of apt", () => {
  const root = join(directory, "host");
  mkdirSync(join(root, "etc/apt/sources.list.d"), { recursive: true });
  const defaults = hostMirrors(root);
  assert.equal(defaults.main, "http://deb.debian.org/debian");
  writeFileSync(
    join(root, "etc/apt/sources.list"),
    "# x\ndeb [arch=amd64] http://one/debian/ bookworm main\n",
  );
  assert.deepEqual(hostMirrors(root), defaults, "a host without os-release is no Debian");
  writeFileSync(join(root, "etc/os-release"), "ID=debian\n");
  writeFileSync(
    join(root, "etc/apt/sources.list.d/debian.sources"),
    "Types: deb\nURIs: http://two/debian-security\nSuites: bookworm-security\n",
  );
  assert.deepEqual(hostMirrors(root), { main: "http://one/debian", security: "http://two/debian-security" });
});

test("the archive is a whole image: every digest fits, and so does the configuration", async () => {
  const tar = join(directory, "rootfs.tar");
  const content = Buffer.alloc(200_000, "content");
  writeFileSync(tar, content);
  const description = {
    name: "debian:x",
    createdSeconds: 1_700_000_000,
    createdBy: "test",
    comment: "by hand",
    releases: ["x sha256:1", "x-updates sha256:2"],
  };
  const files = new Map<string, Buffer>();
  const unpack = extract();
  unpack.on("entry", (header, stream, next) => {
    const parts: Buffer[] = [];
    stream.on("data", (part: unknown) => parts.push(part as Buffer));
    stream.on("end", () => {
      files.set(header.name, Buffer.concat(parts));
      next();
    });
  });
  ociArchive(await compressLayer(tar), description).pipe(unpack);
  await new Promise<void>((resolve) => unpack.on("finish", () => resolve()));
  for (const [name, data] of files) {
    const digest = /^blobs\/sha256\/(\w+)$/.exec(name)?.[1];
    if (digest !== undefined) assert.equal(createHash("sha256").update(data).digest("hex"), digest);
  }
  const json = (name: string): Record<string, never> =>
    JSON.parse(files.get(name)!.toString()) as Record<string, never>;
  const blob = (digest: string): string => `blobs/${digest.replace(":", "/")}`;
  const index = json("index.json") as unknown as { manifests: { digest: string; annotations: object }[] };
  assert.deepEqual(index.manifests[0]!.annotations, {
    "io.containerd.image.name": "debian:x",
    "org.opencontainers.image.ref.name": "x",
  });
  const manifest = json(blob(index.manifests[0]!.digest)) as unknown as {
    config: { digest: string };
    layers: { digest: string; size: number }[];
  };
  const layer = files.get(blob(manifest.layers[0]!.digest))!;
  assert.equal(layer.length, manifest.layers[0]!.size);
  assert.deepEqual(gunzipSync(layer), content);
  const config = json(blob(manifest.config.digest)) as unknown as Record<string, unknown>;
  assert.deepEqual(config["config"], {
    Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    Cmd: ["bash"],
    Labels: { "io.gantry.bootstrap.releases": "x sha256:1\nx-updates sha256:2" },
  });
  assert.equal(config["created"], "2023-11-14T22:13:20Z");
  assert.deepEqual(config["rootfs"], {
    type: "layers",
    diff_ids: [`sha256:${createHash("sha256").update(content).digest("hex")}`],
  });
  assert.deepEqual(config["history"], [
    { created: "2023-11-14T22:13:20Z", created_by: "test", comment: "by hand" },
  ]);
});
