/** `gantry registry serve` that is cut off, and its garbage: no half image is seen, nothing that an image needs goes. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gantryProgram } from "../helpers/daemon.ts";
import { startGantryRegistry } from "../helpers/gantry-registry.ts";
import { eventually, mustRun } from "../helpers/process.ts";
import { skopeo, useImageLayout } from "../helpers/skopeo.ts";

const image = useImageLayout();

const status = async (url: string, init: RequestInit = {}): Promise<number> => {
  const answer = await fetch(url, init);
  await answer.arrayBuffer();
  return answer.status;
};

test("a kill in the middle of an upload leaves nothing to be seen, and the upload goes on", async () => {
  const root = await mkdtemp(join(tmpdir(), "gantry-test-cut-"));
  try {
    const bytes = randomBytes(500_000);
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    let path = "";
    {
      const registry = await startGantryRegistry({ root });
      const begun = await fetch(`${registry.origin}/v2/app/blobs/uploads/`, { method: "POST" });
      path = begun.headers.get("location") ?? "";
      const upload = request(registry.origin + path, {
        method: "PATCH",
        headers: { "Content-Length": "500000" },
      });
      upload.on("error", () => {});
      upload.write(bytes.subarray(0, 200_000));
      await eventually(
        async () => (await fetch(registry.origin + path)).headers.get("range") === "0-199999",
        { what: "the first part" },
      );
      await registry.kill();
      upload.destroy();
    }
    {
      await using registry = await startGantryRegistry({ root });
      assert.equal(await status(`${registry.origin}/v2/app/blobs/${digest}`), 404);
      assert.deepEqual(await (await fetch(`${registry.origin}/v2/_catalog`)).json(), { repositories: [] });
      assert.deepEqual(readdirSync(join(root, "content/blobs/sha256")), []);
      assert.equal((await fetch(registry.origin + path)).headers.get("range"), "0-199999");
      const rest = bytes.subarray(200_000);
      const done = await fetch(`${registry.origin}${path}?digest=${digest}`, { method: "PUT", body: rest });
      assert.equal(done.status, 201);
      assert.equal(await status(`${registry.origin}/v2/app/blobs/${digest}`), 200);
    }
  } finally {
    await rm(root, { recursive: true });
  }
});

for (const point of ["registry-upload.before-commit", "registry-upload.before-link", "content-before-commit"])
  test(`a power cut at ${point} shows no half image; the push is done again`, async () => {
    const root = await mkdtemp(join(tmpdir(), "gantry-test-cut-"));
    try {
      const dying = await startGantryRegistry({ root, env: { GANTRY_FAILPOINTS: `${point}=exit` } });
      await assert.rejects(image.push(dying, "app:1"));
      await dying.kill();
      await using registry = await startGantryRegistry({ root });
      assert.equal(await status(`${registry.origin}/v2/app/manifests/1`), 404);
      await image.push(registry, "app:1");
      assert.equal(await status(`${registry.origin}/v2/app/manifests/1`), 200);
      assert.deepEqual(readdirSync(join(root, "content/ingest")), []);
    } finally {
      await rm(root, { recursive: true });
    }
  });

const collect = async (root: string, args: readonly string[] = []): Promise<string> =>
  (await mustRun([gantryProgram, "registry", "gc", "--root", root, "--gc-grace", "0s", ...args])).stdout;

test("garbage goes, beside requests and without a server; what an image needs stays", async () => {
  const root = await mkdtemp(join(tmpdir(), "gantry-test-gc-"));
  const blobs = (): number => readdirSync(join(root, "content/blobs/sha256")).length;
  try {
    {
      await using registry = await startGantryRegistry({ root });
      await image.push(registry, "app:1");
      assert.equal(blobs(), 3);
      await fetch(`${registry.origin}/v2/app/blobs/uploads/`, { method: "POST" });
      // A blob without a manifest: kept while it may be part of a push.
      const bytes = Buffer.from("orphan");
      const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
      await fetch(`${registry.origin}/v2/app/blobs/uploads/?digest=${digest}`, {
        method: "POST",
        body: bytes,
      });
      assert.match(await collect(root, ["--gc-grace", "1h"]), /^Removed 0 manifests, 0 blobs/);
      assert.match(await collect(root, ["--dry-run"]), /^Would remove 0 manifests, 1 blobs/);
      assert.equal(blobs(), 4);
      assert.match(
        await collect(root, ["--upload-expiry", "0s"]),
        /^Removed 0 manifests, 1 blobs and 1 unfinished/,
      );
      assert.equal(blobs(), 3);
      assert.equal(await status(`${registry.origin}/v2/app/manifests/1`), 200);
      await skopeo(["inspect", "--tls-verify=false", `docker://${registry.address}/app:1`]);
      const digestOfImage = (await fetch(`${registry.origin}/v2/app/manifests/1`)).headers.get(
        "docker-content-digest",
      );
      // Without its tag an image stays, unless it is not wanted.
      await fetch(`${registry.origin}/v2/app/manifests/1`, { method: "DELETE" });
      assert.match(await collect(root), /^Removed 0 manifests, 0 blobs/);
      assert.equal(await status(`${registry.origin}/v2/app/manifests/${digestOfImage}`), 200);
    }
    assert.match(await collect(root, ["--gc-untagged"]), /^Removed 1 manifests, 3 blobs/);
    assert.equal(blobs(), 0);
  } finally {
    await rm(root, { recursive: true });
  }
});

test("pushes while garbage is collected all the time come out whole", async () => {
  await using registry = await startGantryRegistry();
  const done = new AbortController();
  const collecting = (async () => {
    while (!done.signal.aborted) await collect(registry.root, ["--gc-grace", "2s", "--gc-untagged"]);
  })();
  try {
    for (let n = 0; n < 6; n += 1) await image.push(registry, `app:${n}`);
  } finally {
    done.abort();
    await collecting;
  }
  for (let n = 0; n < 6; n += 1)
    await skopeo(["inspect", "--tls-verify=false", `docker://${registry.address}/app:${n}`]);
});

test("without its records, and with blobs, it does not start: all of them would be garbage", async () => {
  const root = await mkdtemp(join(tmpdir(), "gantry-test-records-"));
  try {
    const blob = Buffer.from("kept");
    const digest = `sha256:${createHash("sha256").update(blob).digest("hex")}`;
    {
      await using registry = await startGantryRegistry({ root });
      const begun = await fetch(`${registry.origin}/v2/app/blobs/uploads/`, { method: "POST" });
      const place = new URL(begun.headers.get("location") ?? "", registry.origin);
      place.searchParams.set("digest", digest);
      assert.equal(await status(String(place), { method: "PUT", body: blob }), 201);
    }
    await rename(join(root, "registry.db"), join(root, "backup.db"));
    await assert.rejects(
      startGantryRegistry({ root, args: ["--gc-grace", "0s"] }),
      /records in .*registry\.db are missing, and there are 1 blobs[^]*Nothing was changed or removed\. Bring the file back/,
    );
    assert.equal(readdirSync(join(root, "content/blobs/sha256")).length, 1);
    await rename(join(root, "backup.db"), join(root, "registry.db"));
    await using registry = await startGantryRegistry({ root });
    assert.equal(await status(`${registry.origin}/v2/app/blobs/${digest}`), 200);
  } finally {
    await rm(root, { recursive: true });
  }
});
