/** `gantry registry serve` against what the OCI distribution specification 1.1 says of push. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { digestOf } from "../../src/oci/digest.ts";
import { type GantryRegistry, startGantryRegistry } from "../helpers/gantry-registry.ts";
import { codeOf, octets, RegistryApi, types } from "../helpers/registry-api.ts";

let registry: GantryRegistry;
before(async () => {
  registry = await startGantryRegistry();
});
after(() => registry[Symbol.asyncDispose]());
const api = new RegistryApi(() => registry.origin);

describe("push", () => {
  test("monolithic: POST, then PUT with all of it (end-4a, end-6)", async () => {
    const bytes = randomBytes(5000);
    const digest = digestOf(bytes);
    const answer = await api.ask("PUT", `${await api.startUpload("push/a")}?digest=${digest}`, {
      headers: octets,
      body: bytes,
    });
    assert.equal(answer.status, 201);
    assert.deepEqual((await api.ask("GET", answer.headers.get("location")!)).bytes, bytes);
  });

  test("monolithic: one POST (end-4b), also of nothing", async () => {
    for (const bytes of [randomBytes(5000), Buffer.alloc(0)]) {
      const digest = digestOf(bytes);
      const answer = await api.ask("POST", `/v2/push/b/blobs/uploads/?digest=${digest}`, {
        headers: octets,
        body: bytes,
      });
      assert.equal(answer.status, 201);
      assert.deepEqual((await api.ask("GET", answer.headers.get("location")!)).bytes, bytes);
    }
  });

  test("chunked: each where the last ended, out of order refused, status told (end-5, end-13)", async () => {
    const bytes = randomBytes(30_000);
    const first = await api.ask("PATCH", await api.startUpload("push/c"), {
      headers: { ...octets, "Content-Range": "0-9999" },
      body: bytes.subarray(0, 10_000),
    });
    assert.equal(first.status, 202);
    assert.equal(first.headers.get("range"), "0-9999");
    let location = first.headers.get("location")!;
    const wrong = await api.ask("PATCH", location, {
      headers: { ...octets, "Content-Range": "20000-29999" },
      body: bytes.subarray(20_000),
    });
    assert.equal(wrong.status, 416);
    assert.equal(wrong.headers.get("range"), "0-9999");
    assert.equal(wrong.headers.get("location"), location);
    const status = await api.ask("GET", location);
    assert.equal(status.status, 204);
    assert.equal(status.headers.get("range"), "0-9999");
    location = status.headers.get("location")!;
    const second = await api.ask("PATCH", location, {
      headers: { ...octets, "Content-Range": "10000-19999" },
      body: bytes.subarray(10_000, 20_000),
    });
    assert.equal(second.status, 202);
    // The last chunk may come with the PUT.
    const done = await api.ask("PUT", `${second.headers.get("location")}?digest=${digestOf(bytes)}`, {
      headers: { ...octets, "Content-Range": "20000-29999" },
      body: bytes.subarray(20_000),
    });
    assert.equal(done.status, 201);
    assert.deepEqual((await api.ask("GET", done.headers.get("location")!)).bytes, bytes);
    assert.equal((await api.ask("GET", location)).status, 404);
  });

  test("streamed: PATCH of unknown length (as Docker does)", async () => {
    const bytes = randomBytes(200_000);
    const location = new URL(await api.startUpload("push/d"), registry.origin);
    const status = await new Promise<number>((resolve, reject) => {
      const upload = request(
        location,
        { method: "PATCH", headers: { "Transfer-Encoding": "chunked" } },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        },
      );
      upload.on("error", reject);
      upload.write(bytes.subarray(0, 70_000));
      upload.end(bytes.subarray(70_000));
    });
    assert.equal(status, 202);
    const done = await api.ask("PUT", `${location.pathname}?digest=${digestOf(bytes, "sha512")}`);
    assert.equal(done.status, 201);
    assert.deepEqual((await api.ask("GET", `/v2/push/d/blobs/${digestOf(bytes, "sha512")}`)).bytes, bytes);
  });

  test("what was cut goes on where it broke", async () => {
    const bytes = randomBytes(400_000);
    const location = new URL(await api.startUpload("push/cut"), registry.origin);
    const upload = request(location, {
      method: "PATCH",
      headers: { "Content-Length": String(bytes.length) },
    });
    upload.on("error", () => {});
    await new Promise<void>((resolve) => upload.write(bytes.subarray(0, 100_000), () => resolve()));
    let arrived = 0;
    while (arrived < 100_000) {
      const range = (await api.ask("GET", location.pathname)).headers.get("range") ?? "0-0";
      arrived = Number(range.slice(2)) + 1;
      if (arrived >= 100_000) upload.destroy();
    }
    // The request that was cut ends in its own time; until then the upload is busy.
    for (;;) {
      const answer = await api.ask("PUT", `${location.pathname}?digest=${digestOf(bytes)}`, {
        headers: octets,
        body: bytes.subarray(arrived),
      });
      if (answer.status === 409) continue;
      assert.equal(answer.status, 201);
      break;
    }
    assert.deepEqual((await api.ask("GET", `/v2/push/cut/blobs/${digestOf(bytes)}`)).bytes, bytes);
  });

  test("mounted from another repository, or an upload in its place (end-11)", async () => {
    const bytes = randomBytes(1000);
    const digest = await api.pushBlob("push/from", bytes);
    const mounted = await api.ask("POST", `/v2/push/to/blobs/uploads/?mount=${digest}&from=push/from`);
    assert.equal(mounted.status, 201);
    assert.deepEqual((await api.ask("GET", mounted.headers.get("location")!)).bytes, bytes);
    for (const query of [
      `mount=${digestOf("none")}&from=push/from`,
      `mount=${digest}&from=push/never`,
      `mount=${digest}`,
    ]) {
      const answer = await api.ask("POST", `/v2/push/else/blobs/uploads/?${query}`);
      assert.equal(answer.status, 202, query);
      assert.ok(answer.headers.get("location"));
    }
  });

  test("an upload that is cancelled is gone (end-14)", async () => {
    const location = await api.startUpload("push/cancel");
    assert.equal((await api.ask("DELETE", location)).status, 204);
    assert.equal((await api.ask("GET", location)).status, 404);
  });

  test("bytes with another digest are refused, and nothing of them is there", async () => {
    const digest = digestOf("expected");
    for (const [method, path] of [
      ["PUT", `${await api.startUpload("push/wrong")}?digest=${digest}`],
      ["POST", `/v2/push/wrong/blobs/uploads/?digest=${digest}`],
    ] as const) {
      const answer = await api.ask(method, path, { headers: octets, body: "other" });
      assert.equal(answer.status, 400);
      assert.equal(codeOf(answer), "DIGEST_INVALID");
    }
    assert.equal((await api.ask("HEAD", `/v2/push/wrong/blobs/${digest}`)).status, 404);
    assert.equal((await api.ask("HEAD", `/v2/push/wrong/blobs/${digestOf("other")}`)).status, 404);
    const without = await api.ask("PUT", await api.startUpload("push/wrong"), { headers: octets, body: "x" });
    assert.equal(codeOf(without), "DIGEST_INVALID");
  });

  test("manifests by tag and by digest, sha512 too (end-7)", async () => {
    const bytes = await api.makeManifest("push/manifest");
    for (const reference of ["latest", digestOf(bytes), digestOf(bytes, "sha512")]) {
      const answer = await api.putManifest("push/manifest", reference, bytes);
      assert.equal(answer.status, 201);
      const digest = reference === "latest" ? digestOf(bytes) : reference;
      assert.equal(answer.headers.get("docker-content-digest"), digest);
      assert.deepEqual((await api.ask("GET", answer.headers.get("location")!)).bytes, bytes);
    }
  });

  test("an index of manifests that are there; one of those that are not is refused", async () => {
    const { bytes, digest } = await api.pushImage("push/index", "child");
    const index = (child: string): Buffer =>
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: types.index,
          manifests: [{ mediaType: types.manifest, digest: child, size: bytes.length }],
        }),
      );
    assert.equal((await api.putManifest("push/index", "all", index(digest), types.index)).status, 201);
    const refused = await api.putManifest("push/index", "all", index(digestOf("x")), types.index);
    assert.equal(refused.status, 404);
    assert.equal(codeOf(refused), "MANIFEST_BLOB_UNKNOWN");
  });

  const config = { mediaType: types.config, digest: digestOf("missing"), size: 7 };
  const bad: [string, unknown, string][] = [
    ["no JSON", undefined, "MANIFEST_INVALID"],
    ["a list", [], "MANIFEST_INVALID"],
    ["schema 1", { schemaVersion: 1, name: "x", tag: "y" }, "MANIFEST_INVALID"],
    ["no layers", { schemaVersion: 2, mediaType: types.manifest, config }, "MANIFEST_INVALID"],
    ["another type", { schemaVersion: 2, mediaType: types.index, manifests: [] }, "MANIFEST_INVALID"],
    [
      "two kinds at once",
      { schemaVersion: 2, mediaType: types.manifest, config, layers: [], manifests: [] },
      "MANIFEST_INVALID",
    ],
    [
      "a size below nothing",
      { schemaVersion: 2, mediaType: types.manifest, config: { ...config, size: -1 }, layers: [] },
      "MANIFEST_INVALID",
    ],
    [
      "a digest that is a path",
      {
        schemaVersion: 2,
        mediaType: types.manifest,
        config: { ...config, digest: "sha256:../../x" },
        layers: [],
      },
      "MANIFEST_INVALID",
    ],
    [
      "a missing blob",
      { schemaVersion: 2, mediaType: types.manifest, config, layers: [] },
      "MANIFEST_BLOB_UNKNOWN",
    ],
  ];
  for (const [what, document, code] of bad)
    test(`a manifest with ${what} is refused with ${code}`, async () => {
      const bytes = Buffer.from(document === undefined ? "{" : JSON.stringify(document));
      const answer = await api.putManifest("push/bad", "bad", bytes);
      assert.equal(answer.status, code === "MANIFEST_INVALID" ? 400 : 404);
      assert.equal(codeOf(answer), code);
      assert.equal((await api.ask("GET", "/v2/push/bad/manifests/bad")).status, 404);
    });

  test("a manifest under another digest, or of more than 4 MiB, is refused", async () => {
    const bytes = await api.makeManifest("push/size");
    const answer = await api.putManifest("push/size", digestOf("other"), bytes);
    assert.equal(answer.status, 400);
    assert.equal(codeOf(answer), "DIGEST_INVALID");
    const large = await api.makeManifest("push/size", {
      annotations: { filler: "x".repeat(4 * 1024 * 1024) },
    });
    assert.equal((await api.putManifest("push/size", "large", large)).status, 413);
    const fitting = await api.makeManifest("push/size", {
      annotations: { filler: "x".repeat(4 * 1024 * 1024 - 2000) },
    });
    assert.equal((await api.putManifest("push/size", "large", fitting)).status, 201);
  });
});
