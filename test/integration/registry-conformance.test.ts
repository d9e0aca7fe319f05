/**
 * `gantry registry serve` against the statements of the OCI distribution specification 1.1, in the four categories of its
 * conformance suite: pull, push, content discovery, content management.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { digestOf } from "../../src/oci/digest.ts";
import { type GantryRegistry, startGantryRegistry } from "../helpers/gantry-registry.ts";

let registry: GantryRegistry;
before(async () => {
  registry = await startGantryRegistry();
});
after(() => registry[Symbol.asyncDispose]());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  json(): Record<string, unknown>;
}

async function ask(
  method: string,
  path: string,
  options: { readonly headers?: Record<string, string>; readonly body?: Buffer | string } = {},
): Promise<Answer> {
  const url = new URL(path, registry.origin);
  const { headers = {}, body } = options;
  const answer = await fetch(url, {
    method,
    headers,
    redirect: "manual",
    ...(body === undefined ? {} : { body }),
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  return {
    status: answer.status,
    headers: answer.headers,
    bytes,
    json: () => JSON.parse(bytes.toString()) as Record<string, unknown>,
  };
}

/** The code in the body of a refusal. */
function codeOf(answer: Answer): string {
  const { errors } = answer.json() as { errors: { code: string; message: string }[] };
  assert.equal(answer.headers.get("content-type"), "application/json");
  assert.ok(errors[0]?.message);
  return errors[0].code;
}

const octets = { "Content-Type": "application/octet-stream" };
const types = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
};

async function startUpload(repository: string): Promise<string> {
  const answer = await ask("POST", `/v2/${repository}/blobs/uploads/`);
  assert.equal(answer.status, 202);
  return answer.headers.get("location")!;
}

async function pushBlob(repository: string, bytes: Buffer): Promise<string> {
  const digest = digestOf(bytes);
  const answer = await ask("PUT", `${await startUpload(repository)}?digest=${digest}`, {
    headers: octets,
    body: bytes,
  });
  assert.equal(answer.status, 201);
  return digest;
}

interface ImageParts {
  readonly subject?: { mediaType: string; digest: string; size: number };
  readonly artifactType?: string;
  readonly annotations?: Record<string, string>;
  readonly layer?: Buffer;
}

async function makeManifest(repository: string, parts: ImageParts = {}): Promise<Buffer> {
  const config = Buffer.from(
    JSON.stringify({ architecture: "amd64", os: "linux", salt: randomBytes(8).toString("hex") }),
  );
  const layer = parts.layer ?? randomBytes(1000);
  const { subject, artifactType, annotations } = parts;
  const describe = (mediaType: string, bytes: Buffer): object => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  await pushBlob(repository, config);
  await pushBlob(repository, layer);
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: types.manifest,
      ...(artifactType === undefined ? {} : { artifactType }),
      config: describe(types.config, config),
      layers: [describe(types.layer, layer)],
      ...(subject === undefined ? {} : { subject }),
      ...(annotations === undefined ? {} : { annotations }),
    }),
  );
}

async function putManifest(
  repository: string,
  reference: string,
  bytes: Buffer,
  type = types.manifest,
): Promise<Answer> {
  return await ask("PUT", `/v2/${repository}/manifests/${reference}`, {
    headers: { "Content-Type": type },
    body: bytes,
  });
}

async function pushImage(
  repository: string,
  tag: string,
  parts: ImageParts = {},
): Promise<{ bytes: Buffer; digest: string }> {
  const bytes = await makeManifest(repository, parts);
  const answer = await putManifest(repository, tag, bytes);
  assert.equal(answer.status, 201, answer.bytes.toString());
  return { bytes, digest: digestOf(bytes) };
}

describe("pull", () => {
  test("the API is there (end-1)", async () => {
    for (const path of ["/v2/", "/v2"]) assert.equal((await ask("GET", path)).status, 200);
  });

  test("a manifest by tag and by digest, by GET and by HEAD, byte for byte (end-3)", async () => {
    const { bytes, digest } = await pushImage("pull/one", "v1");
    for (const reference of ["v1", digest])
      for (const method of ["GET", "HEAD"]) {
        const answer = await ask(method, `/v2/pull/one/manifests/${reference}`, {
          headers: { Accept: types.manifest },
        });
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get("docker-content-digest"), digest);
        assert.equal(answer.headers.get("content-type"), types.manifest);
        assert.equal(answer.headers.get("content-length"), String(bytes.length));
        assert.deepEqual(answer.bytes, method === "GET" ? bytes : Buffer.alloc(0));
      }
  });

  test("a blob by GET, by HEAD, in ranges, and under a condition (end-2)", async () => {
    const bytes = randomBytes(300_000);
    const digest = await pushBlob("pull/blob", bytes);
    const path = `/v2/pull/blob/blobs/${digest}`;
    const head = await ask("HEAD", path);
    assert.equal(head.status, 200);
    assert.equal(head.headers.get("content-length"), "300000");
    assert.equal(head.headers.get("docker-content-digest"), digest);
    assert.deepEqual((await ask("GET", path)).bytes, bytes);
    const ranges: [string, number, number][] = [
      ["bytes=0-99", 0, 100],
      ["bytes=299990-", 299_990, 300_000],
      ["bytes=-7", 299_993, 300_000],
      ["bytes=100-999999999", 100, 300_000],
    ];
    for (const [range, start, end] of ranges) {
      const answer = await ask("GET", path, { headers: { Range: range } });
      assert.equal(answer.status, 206, range);
      assert.equal(answer.headers.get("content-range"), `bytes ${start}-${end - 1}/300000`);
      assert.deepEqual(answer.bytes, bytes.subarray(start, end));
    }
    const outside = await ask("GET", path, { headers: { Range: "bytes=300000-" } });
    assert.equal(outside.status, 416);
    assert.equal(outside.headers.get("content-range"), "bytes */300000");
    // A range of another version is no range.
    const other = await ask("GET", path, { headers: { Range: "bytes=0-9", "If-Range": '"sha256:0"' } });
    assert.equal(other.status, 200);
    const etag = head.headers.get("etag")!;
    assert.equal((await ask("GET", path, { headers: { "If-None-Match": etag } })).status, 304);
    assert.equal((await ask("GET", path, { headers: { "If-None-Match": '"x"' } })).status, 200);
  });

  const missing = digestOf("nothing");
  const refusals: [method: string, path: string, status: number, code: string][] = [
    ["GET", `/v2/pull/one/manifests/none`, 404, "MANIFEST_UNKNOWN"],
    ["GET", `/v2/pull/one/manifests/${missing}`, 404, "MANIFEST_UNKNOWN"],
    ["GET", `/v2/pull/nowhere/manifests/v1`, 404, "NAME_UNKNOWN"],
    ["GET", `/v2/pull/one/blobs/${missing}`, 404, "BLOB_UNKNOWN"],
    ["GET", `/v2/pull/one/blobs/sha256:abc`, 400, "DIGEST_INVALID"],
    ["GET", `/v2/pull/one/blobs/md5:${"0".repeat(32)}`, 400, "DIGEST_INVALID"],
    ["GET", `/v2/pull/one/manifests/.bad`, 400, "TAG_INVALID"],
    ["GET", `/v2/pull/one/manifests/${"x".repeat(129)}`, 400, "TAG_INVALID"],
    ["GET", `/v2/Upper/case/manifests/v1`, 400, "NAME_INVALID"],
    ["GET", `/v2/a__b/c..d/manifests/v1`, 400, "NAME_INVALID"],
    ["GET", `/v2/%2e%2e%2fetc/blobs/${missing}`, 400, "NAME_INVALID"],
    ["GET", `/v2/${"n/".repeat(200)}x/manifests/v1`, 400, "NAME_INVALID"],
    ["GET", `/v2/pull/one/tags/list?n=many`, 400, "PAGINATION_NUMBER_INVALID"],
    ["PATCH", `/v2/pull/one/manifests/v1`, 405, "UNSUPPORTED"],
    ["GET", `/v2/pull/one/unknown`, 404, "NAME_UNKNOWN"],
    ["GET", `/v2/pull/one/blobs/uploads/00000000-0000-0000-0000-000000000000`, 404, "BLOB_UPLOAD_UNKNOWN"],
    ["GET", `/v2/pull/one/blobs/uploads/..%2f..%2fregistry.db`, 404, "NAME_UNKNOWN"],
  ];
  for (const [method, path, status, code] of refusals)
    test(`${method} ${path.slice(0, 60)} is refused with ${status} ${code}`, async () => {
      const answer = await ask(method, path);
      assert.equal(answer.status, status);
      assert.equal(codeOf(answer), code);
    });

  test("a blob of one repository is none of another", async () => {
    const digest = await pushBlob("pull/mine", randomBytes(10));
    assert.equal((await ask("GET", `/v2/pull/yours/blobs/${digest}`)).status, 404);
  });
});

describe("push", () => {
  test("monolithic: POST, then PUT with all of it (end-4a, end-6)", async () => {
    const bytes = randomBytes(5000);
    const digest = digestOf(bytes);
    const answer = await ask("PUT", `${await startUpload("push/a")}?digest=${digest}`, {
      headers: octets,
      body: bytes,
    });
    assert.equal(answer.status, 201);
    assert.deepEqual((await ask("GET", answer.headers.get("location")!)).bytes, bytes);
  });

  test("monolithic: one POST (end-4b), also of nothing", async () => {
    for (const bytes of [randomBytes(5000), Buffer.alloc(0)]) {
      const digest = digestOf(bytes);
      const answer = await ask("POST", `/v2/push/b/blobs/uploads/?digest=${digest}`, {
        headers: octets,
        body: bytes,
      });
      assert.equal(answer.status, 201);
      assert.deepEqual((await ask("GET", answer.headers.get("location")!)).bytes, bytes);
    }
  });

  test("chunked: each where the last ended, out of order refused, status told (end-5, end-13)", async () => {
    const bytes = randomBytes(30_000);
    const first = await ask("PATCH", await startUpload("push/c"), {
      headers: { ...octets, "Content-Range": "0-9999" },
      body: bytes.subarray(0, 10_000),
    });
    assert.equal(first.status, 202);
    assert.equal(first.headers.get("range"), "0-9999");
    let location = first.headers.get("location")!;
    const wrong = await ask("PATCH", location, {
      headers: { ...octets, "Content-Range": "20000-29999" },
      body: bytes.subarray(20_000),
    });
    assert.equal(wrong.status, 416);
    assert.equal(wrong.headers.get("range"), "0-9999");
    assert.equal(wrong.headers.get("location"), location);
    const status = await ask("GET", location);
    assert.equal(status.status, 204);
    assert.equal(status.headers.get("range"), "0-9999");
    location = status.headers.get("location")!;
    const second = await ask("PATCH", location, {
      headers: { ...octets, "Content-Range": "10000-19999" },
      body: bytes.subarray(10_000, 20_000),
    });
    assert.equal(second.status, 202);
    // The last chunk may come with the PUT.
    const done = await ask("PUT", `${second.headers.get("location")}?digest=${digestOf(bytes)}`, {
      headers: { ...octets, "Content-Range": "20000-29999" },
      body: bytes.subarray(20_000),
    });
    assert.equal(done.status, 201);
    assert.deepEqual((await ask("GET", done.headers.get("location")!)).bytes, bytes);
    assert.equal((await ask("GET", location)).status, 404);
  });

  test("streamed: PATCH of unknown length (as Docker does)", async () => {
    const bytes = randomBytes(200_000);
    const location = new URL(await startUpload("push/d"), registry.origin);
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
    const done = await ask("PUT", `${location.pathname}?digest=${digestOf(bytes, "sha512")}`);
    assert.equal(done.status, 201);
    assert.deepEqual((await ask("GET", `/v2/push/d/blobs/${digestOf(bytes, "sha512")}`)).bytes, bytes);
  });

  test("what was cut goes on where it broke", async () => {
    const bytes = randomBytes(400_000);
    const location = new URL(await startUpload("push/cut"), registry.origin);
    const upload = request(location, {
      method: "PATCH",
      headers: { "Content-Length": String(bytes.length) },
    });
    upload.on("error", () => {});
    await new Promise<void>((resolve) => upload.write(bytes.subarray(0, 100_000), () => resolve()));
    let arrived = 0;
    while (arrived < 100_000) {
      const range = (await ask("GET", location.pathname)).headers.get("range") ?? "0-0";
      arrived = Number(range.slice(2)) + 1;
      if (arrived >= 100_000) upload.destroy();
    }
    // The request that was cut ends in its own time; until then the upload is busy.
    for (;;) {
      const answer = await ask("PUT", `${location.pathname}?digest=${digestOf(bytes)}`, {
        headers: octets,
        body: bytes.subarray(arrived),
      });
      if (answer.status === 409) continue;
      assert.equal(answer.status, 201);
      break;
    }
    assert.deepEqual((await ask("GET", `/v2/push/cut/blobs/${digestOf(bytes)}`)).bytes, bytes);
  });

  test("mounted from another repository, or an upload in its place (end-11)", async () => {
    const bytes = randomBytes(1000);
    const digest = await pushBlob("push/from", bytes);
    const mounted = await ask("POST", `/v2/push/to/blobs/uploads/?mount=${digest}&from=push/from`);
    assert.equal(mounted.status, 201);
    assert.deepEqual((await ask("GET", mounted.headers.get("location")!)).bytes, bytes);
    for (const query of [
      `mount=${digestOf("none")}&from=push/from`,
      `mount=${digest}&from=push/never`,
      `mount=${digest}`,
    ]) {
      const answer = await ask("POST", `/v2/push/else/blobs/uploads/?${query}`);
      assert.equal(answer.status, 202, query);
      assert.ok(answer.headers.get("location"));
    }
  });

  test("an upload that is cancelled is gone (end-14)", async () => {
    const location = await startUpload("push/cancel");
    assert.equal((await ask("DELETE", location)).status, 204);
    assert.equal((await ask("GET", location)).status, 404);
  });

  test("bytes with another digest are refused, and nothing of them is there", async () => {
    const digest = digestOf("expected");
    for (const [method, path] of [
      ["PUT", `${await startUpload("push/wrong")}?digest=${digest}`],
      ["POST", `/v2/push/wrong/blobs/uploads/?digest=${digest}`],
    ] as const) {
      const answer = await ask(method, path, { headers: octets, body: "other" });
      assert.equal(answer.status, 400);
      assert.equal(codeOf(answer), "DIGEST_INVALID");
    }
    assert.equal((await ask("HEAD", `/v2/push/wrong/blobs/${digest}`)).status, 404);
    assert.equal((await ask("HEAD", `/v2/push/wrong/blobs/${digestOf("other")}`)).status, 404);
    const without = await ask("PUT", await startUpload("push/wrong"), { headers: octets, body: "x" });
    assert.equal(codeOf(without), "DIGEST_INVALID");
  });

  test("manifests by tag and by digest, sha512 too (end-7)", async () => {
    const bytes = await makeManifest("push/manifest");
    for (const reference of ["latest", digestOf(bytes), digestOf(bytes, "sha512")]) {
      const answer = await putManifest("push/manifest", reference, bytes);
      assert.equal(answer.status, 201);
      const digest = reference === "latest" ? digestOf(bytes) : reference;
      assert.equal(answer.headers.get("docker-content-digest"), digest);
      assert.deepEqual((await ask("GET", answer.headers.get("location")!)).bytes, bytes);
    }
  });

  test("an index of manifests that are there; one of those that are not is refused", async () => {
    const { bytes, digest } = await pushImage("push/index", "child");
    const index = (child: string): Buffer =>
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: types.index,
          manifests: [{ mediaType: types.manifest, digest: child, size: bytes.length }],
        }),
      );
    assert.equal((await putManifest("push/index", "all", index(digest), types.index)).status, 201);
    const refused = await putManifest("push/index", "all", index(digestOf("x")), types.index);
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
      const answer = await putManifest("push/bad", "bad", bytes);
      assert.equal(answer.status, code === "MANIFEST_INVALID" ? 400 : 404);
      assert.equal(codeOf(answer), code);
      assert.equal((await ask("GET", "/v2/push/bad/manifests/bad")).status, 404);
    });

  test("a manifest under another digest, or of more than 4 MiB, is refused", async () => {
    const bytes = await makeManifest("push/size");
    const answer = await putManifest("push/size", digestOf("other"), bytes);
    assert.equal(answer.status, 400);
    assert.equal(codeOf(answer), "DIGEST_INVALID");
    const large = await makeManifest("push/size", { annotations: { filler: "x".repeat(4 * 1024 * 1024) } });
    assert.equal((await putManifest("push/size", "large", large)).status, 413);
    const fitting = await makeManifest("push/size", {
      annotations: { filler: "x".repeat(4 * 1024 * 1024 - 2000) },
    });
    assert.equal((await putManifest("push/size", "large", fitting)).status, 201);
  });
});

describe("content discovery", () => {
  test("tags in order, in pages, from a name on (end-8)", async () => {
    const names = ["v10", "v2", "A", "b", "_x", "latest"];
    const bytes = await makeManifest("list/tags");
    for (const name of names) await putManifest("list/tags", name, bytes);
    const sorted = names.toSorted((a, b) => (a < b ? -1 : 1));
    const all = await ask("GET", "/v2/list/tags/tags/list");
    assert.deepEqual(all.json(), { name: "list/tags", tags: sorted });
    assert.equal(all.headers.get("link"), null);
    const seen: string[] = [];
    for (let path: string | undefined = "/v2/list/tags/tags/list?n=4"; path !== undefined;) {
      const answer: Answer = await ask("GET", path);
      const tags = answer.json()["tags"] as string[];
      assert.ok(tags.length <= 4);
      seen.push(...tags);
      path = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get("link") ?? "")?.[1];
    }
    assert.deepEqual(seen, sorted);
    const none = await ask("GET", "/v2/list/tags/tags/list?n=0");
    assert.deepEqual(none.json()["tags"], []);
    assert.equal(none.headers.get("link"), null);
    const rest = await ask("GET", "/v2/list/tags/tags/list?last=c");
    assert.deepEqual(rest.json()["tags"], ["latest", "v10", "v2"]);
    assert.equal(codeOf(await ask("GET", "/v2/list/never/tags/list")), "NAME_UNKNOWN");
  });

  test("repositories, in pages", async () => {
    for (const name of ["catalog/b", "catalog/a", "catalog/c"]) await pushImage(name, "v1");
    const first = await ask("GET", "/v2/_catalog?n=2&last=catalog/");
    assert.deepEqual(first.json(), { repositories: ["catalog/a", "catalog/b"] });
    const next = /^<([^>]+)>/.exec(first.headers.get("link")!)![1]!;
    assert.deepEqual(
      (await ask("GET", next)).json()["repositories"],
      ["catalog/c", ...(await rest("catalog/c"))].slice(0, 2),
    );
  });
  const rest = async (last: string): Promise<string[]> =>
    (await ask("GET", `/v2/_catalog?last=${last}`)).json()["repositories"] as string[];

  test("referrers, also before the subject is there, filtered by type (end-12)", async () => {
    const subjectBytes = await makeManifest("refer/x");
    const subject = { mediaType: types.manifest, digest: digestOf(subjectBytes), size: subjectBytes.length };
    const path = `/v2/refer/x/referrers/${subject.digest}`;
    const empty = await ask("GET", path);
    assert.equal(empty.status, 200);
    assert.equal(empty.headers.get("content-type"), types.index);
    assert.deepEqual(empty.json(), { schemaVersion: 2, mediaType: types.index, manifests: [] });
    const made = new Map<string, { bytes: Buffer; digest: string }>();
    for (const [tag, parts] of [
      ["sbom", { subject, artifactType: "application/x.sbom", annotations: { by: "test" } }],
      ["signature", { subject, artifactType: "application/x.signature" }],
      ["plain", { subject }],
    ] as const) {
      const bytes = await makeManifest("refer/x", parts);
      const answer = await putManifest("refer/x", tag, bytes);
      assert.equal(answer.headers.get("oci-subject"), subject.digest);
      made.set(tag, { bytes, digest: digestOf(bytes) });
    }
    await putManifest("refer/x", "subject", subjectBytes);
    const all = (await ask("GET", path)).json()["manifests"] as Record<string, unknown>[];
    assert.deepEqual(
      all.map(({ digest }) => digest),
      [...made.values()].map(({ digest }) => digest).toSorted(),
    );
    const plain = all.find(({ digest }) => digest === made.get("plain")!.digest);
    // Without a type of its own the configuration's counts.
    assert.equal(plain?.["artifactType"], types.config);
    const filtered = await ask("GET", `${path}?artifactType=${encodeURIComponent("application/x.sbom")}`);
    assert.equal(filtered.headers.get("oci-filters-applied"), "artifactType");
    const sbom = made.get("sbom")!;
    assert.deepEqual(filtered.json()["manifests"], [
      {
        mediaType: types.manifest,
        digest: sbom.digest,
        size: sbom.bytes.length,
        artifactType: "application/x.sbom",
        annotations: { by: "test" },
      },
    ]);
    const page = await ask("GET", `${path}?n=2`);
    assert.equal((page.json()["manifests"] as unknown[]).length, 2);
    const next = /^<([^>]+)>/.exec(page.headers.get("link")!)![1]!;
    assert.equal(((await ask("GET", next)).json()["manifests"] as unknown[]).length, 1);
    await ask("DELETE", `/v2/refer/x/manifests/${sbom.digest}`);
    assert.equal(((await ask("GET", path)).json()["manifests"] as unknown[]).length, 2);
    assert.equal(codeOf(await ask("GET", "/v2/refer/x/referrers/latest")), "DIGEST_INVALID");
  });
});

describe("content management", () => {
  test("a tag goes alone, a manifest with its tags (end-9)", async () => {
    const { bytes, digest } = await pushImage("manage/x", "one");
    await putManifest("manage/x", "two", bytes);
    assert.equal((await ask("DELETE", "/v2/manage/x/manifests/one")).status, 202);
    assert.equal((await ask("GET", "/v2/manage/x/manifests/one")).status, 404);
    assert.equal((await ask("GET", "/v2/manage/x/manifests/two")).status, 200);
    assert.equal((await ask("DELETE", `/v2/manage/x/manifests/${digest}`)).status, 202);
    assert.equal((await ask("GET", "/v2/manage/x/manifests/two")).status, 404);
    assert.equal((await ask("DELETE", `/v2/manage/x/manifests/${digest}`)).status, 404);
  });

  test("a blob goes (end-10)", async () => {
    const digest = await pushBlob("manage/blob", randomBytes(100));
    assert.equal((await ask("DELETE", `/v2/manage/blob/blobs/${digest}`)).status, 202);
    assert.equal((await ask("HEAD", `/v2/manage/blob/blobs/${digest}`)).status, 404);
    assert.equal(codeOf(await ask("DELETE", `/v2/manage/blob/blobs/${digest}`)), "BLOB_UNKNOWN");
  });
});
