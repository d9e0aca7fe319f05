/** `manifest create|annotate|inspect|push|rm`, ours and docker's, on a registry of ours: no daemon is asked. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { layerOf } from "../../src/snapshot/snapshot.fixture.ts";
import { gantryProgram } from "../helpers/daemon.ts";
import { type GantryRegistry, startGantryRegistry } from "../helpers/gantry-registry.ts";
import { run, type RunResult } from "../helpers/process.ts";

let registry: GantryRegistry;
let config = "";
before(async () => {
  registry = await startGantryRegistry();
  config = mkdtempSync(join(tmpdir(), "gantry-test-manifest-"));
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  rmSync(config, { recursive: true });
});

const programs = { gantry: [gantryProgram], docker: ["docker"] };
type Program = keyof typeof programs;

function manifest(program: Program, ...args: string[]): Promise<RunResult> {
  const env = {
    DOCKER_CONFIG: join(config, program),
    DOCKER_HOST: "unix:///nonexistent.sock",
    GANTRY_HOST: undefined,
  };
  return run([...programs[program], "manifest", ...args], { env, timeoutMs: 30_000 });
}

async function put(path: string, bytes: Buffer, type = "application/octet-stream"): Promise<void> {
  const answer = await fetch(registry.origin + path, {
    method: path.includes("/manifests/") ? "PUT" : "POST",
    headers: { "Content-Type": type },
    body: bytes,
  });
  assert.equal(answer.status, 201, await answer.text());
}

const sha = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** An image for one architecture. */
async function pushImage(repository: string, tag: string, architecture: string): Promise<void> {
  const tar = layerOf({ name: "arch", text: architecture });
  const layer = gzipSync(tar);
  const file = { architecture, os: "linux", config: {}, rootfs: { type: "layers", diff_ids: [sha(tar)] } };
  const bytes = Buffer.from(JSON.stringify(file));
  for (const blob of [layer, bytes]) await put(`/v2/${repository}/blobs/uploads/?digest=${sha(blob)}`, blob);
  const type = "application/vnd.docker.distribution.manifest.v2+json";
  const describe = (mediaType: string, blob: Buffer): object => ({
    mediaType,
    size: blob.length,
    digest: sha(blob),
  });
  const document = {
    schemaVersion: 2,
    mediaType: type,
    config: describe("application/vnd.docker.container.image.v1+json", bytes),
    layers: [describe("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
  };
  await put(`/v2/${repository}/manifests/${tag}`, Buffer.from(JSON.stringify(document)), type);
}

interface Index {
  readonly mediaType: string;
  readonly manifests: { readonly digest: string; readonly platform: Record<string, unknown> }[];
}

for (const program of ["gantry", "docker"] as const)
  test(`${program}: a list of two images, one of another repository, is made and pushed`, async () => {
    const name = `${registry.address}/${program}/app`;
    await pushImage(`${program}/app`, "amd64", "amd64");
    await pushImage(`${program}/arm`, "1", "arm64");
    const create = [
      "create",
      "--insecure",
      `${name}:all`,
      `${name}:amd64`,
      `${registry.address}/${program}/arm:1`,
    ];
    const created = await manifest(program, ...create);
    assert.equal(created.stdout, `Created manifest list ${name}:all\n`, created.stderr);
    const again = await manifest(program, ...create);
    assert.match(again.stderr, /refusing to amend an existing manifest list with no --amend flag/);
    const annotated = await manifest(
      program,
      "annotate",
      "--variant",
      "v8",
      "--os-version",
      "5",
      `${name}:all`,
      `${registry.address}/${program}/arm:1`,
    );
    assert.equal(annotated.code, 0, annotated.stderr);
    const local = JSON.parse((await manifest(program, "inspect", `${name}:all`)).stdout) as Index;
    assert.deepEqual(local.manifests.map(({ platform }) => String(platform["architecture"])).toSorted(), [
      "amd64",
      "arm64",
    ]);
    const pushed = await manifest(program, "push", "--insecure", "--purge", `${name}:all`);
    assert.match(pushed.stdout, /sha256:[0-9a-f]{64}\n$/, pushed.stderr);
    const stored = await fetch(`${registry.origin}/v2/${program}/app/manifests/all`);
    assert.equal(stored.headers.get("docker-content-digest"), pushed.stdout.trim().split("\n").at(-1));
    const index = (await stored.json()) as Index;
    const arm = index.manifests.find(({ platform }) => platform["architecture"] === "arm64");
    assert.deepEqual(arm?.platform, { architecture: "arm64", os: "linux", "os.version": "5", variant: "v8" });
    // What was of another repository is in this one now.
    assert.equal((await fetch(`${registry.origin}/v2/${program}/app/manifests/${arm.digest}`)).status, 200);
    // Ours reads what either has pushed.
    const missing = await manifest("gantry", "inspect", "--insecure", `${name}:none`);
    assert.deepEqual([missing.code, missing.stderr], [1, `no such manifest: ${name}:none\n`]);
    const inspected = await manifest("gantry", "inspect", "--insecure", `${name}:all`);
    assert.deepEqual(JSON.parse(inspected.stdout), index);
    const verbose = await manifest("gantry", "inspect", "--insecure", "-v", `${name}:all`);
    const shown = JSON.parse(verbose.stdout) as { Ref: string; SchemaV2Manifest: { layers: unknown[] } }[];
    assert.equal(shown.length, 2);
    assert.equal(shown[0]?.SchemaV2Manifest.layers.length, 1);
    // Purged: there is no list here any more.
    assert.match(
      (await manifest(program, "push", "--insecure", `${name}:all`)).stderr,
      /[Nn]o such manifest|not found/i,
    );
  });

test("lists are forgotten by rm; what is not there, or cannot be, is said", async () => {
  const name = `${registry.address}/rm/app`;
  await pushImage("rm/app", "amd64", "amd64");
  await manifest("gantry", "create", "--insecure", `${name}:all`, `${name}:amd64`);
  assert.equal((await manifest("gantry", "rm", `${name}:all`)).code, 0);
  assert.match((await manifest("gantry", "rm", `${name}:all`)).stderr, /No such manifest: .*\/rm\/app:all/);
  assert.match(
    (await manifest("gantry", "create", "--insecure", `${name}:x`, `${name}:none`)).stderr,
    /^no such manifest: 127\.0\.0\.1:\d+\/rm\/app:none\n$/,
  );
  await manifest("gantry", "create", "--insecure", "elsewhere.example:5000/x:1", `${name}:amd64`);
  assert.match(
    (await manifest("gantry", "push", "--insecure", "elsewhere.example:5000/x:1")).stderr,
    /cannot use source images from a different registry than the target image/,
  );
  assert.match(
    (await manifest("gantry", "annotate", "--arch", "arm", "elsewhere.example:5000/x:1", "y:1")).stderr,
    /manifest for image docker\.io\/library\/y:1 does not exist/,
  );
});
