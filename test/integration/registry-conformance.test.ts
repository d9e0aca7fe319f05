/**
 * `gantry registry serve` against the statements of the OCI distribution specification 1.1, in the categories of its
 * conformance suite: pull, content discovery, content management. Push is in `registry-conformance-push.test.ts`.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { digestOf } from "../../src/oci/digest.ts";
import { type GantryRegistry, startGantryRegistry } from "../helpers/gantry-registry.ts";
import { type Answer, codeOf, RegistryApi, types } from "../helpers/registry-api.ts";

let registry: GantryRegistry;
before(async () => {
  registry = await startGantryRegistry();
});
after(() => registry[Symbol.asyncDispose]());
const api = new RegistryApi(() => registry.origin);

describe("pull", () => {
  test("the API is there (end-1)", async () => {
    for (const path of ["/v2/", "/v2"]) assert.equal((await api.ask("GET", path)).status, 200);
  });

  test("a manifest by tag and by digest, by GET and by HEAD, byte for byte (end-3)", async () => {
    const { bytes, digest } = await api.pushImage("pull/one", "v1");
    for (const reference of ["v1", digest])
      for (const method of ["GET", "HEAD"]) {
        const answer = await api.ask(method, `/v2/pull/one/manifests/${reference}`, {
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
    const digest = await api.pushBlob("pull/blob", bytes);
    const path = `/v2/pull/blob/blobs/${digest}`;
    const head = await api.ask("HEAD", path);
    assert.equal(head.status, 200);
    assert.equal(head.headers.get("content-length"), "300000");
    assert.equal(head.headers.get("docker-content-digest"), digest);
    assert.deepEqual((await api.ask("GET", path)).bytes, bytes);
    const ranges: [string, number, number][] = [
      ["bytes=0-99", 0, 100],
      ["bytes=299990-", 299_990, 300_000],
      ["bytes=-7", 299_993, 300_000],
      ["bytes=100-999999999", 100, 300_000],
    ];
    for (const [range, start, end] of ranges) {
      const answer = await api.ask("GET", path, { headers: { Range: range } });
      assert.equal(answer.status, 206, range);
      assert.equal(answer.headers.get("content-range"), `bytes ${start}-${end - 1}/300000`);
      assert.deepEqual(answer.bytes, bytes.subarray(start, end));
    }
    const outside = await api.ask("GET", path, { headers: { Range: "bytes=300000-" } });
    assert.equal(outside.status, 416);
    assert.equal(outside.headers.get("content-range"), "bytes */300000");
    // A range of another version is no range.
    const other = await api.ask("GET", path, { headers: { Range: "bytes=0-9", "If-Range": '"sha256:0"' } });
    assert.equal(other.status, 200);
    const etag = head.headers.get("etag")!;
    assert.equal((await api.ask("GET", path, { headers: { "If-None-Match": etag } })).status, 304);
    assert.equal((await api.ask("GET", path, { headers: { "If-None-Match": '"x"' } })).status, 200);
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
      const answer = await api.ask(method, path);
      assert.equal(answer.status, status);
      assert.equal(codeOf(answer), code);
    });

  test("a blob of one repository is none of another", async () => {
    const digest = await api.pushBlob("pull/mine", randomBytes(10));
    assert.equal((await api.ask("GET", `/v2/pull/yours/blobs/${digest}`)).status, 404);
  });
});

describe("content discovery", () => {
  test("tags in order, in pages, from a name on (end-8)", async () => {
    const names = ["v10", "v2", "A", "b", "_x", "latest"];
    const bytes = await api.makeManifest("list/tags");
    for (const name of names) await api.putManifest("list/tags", name, bytes);
    const sorted = names.toSorted((a, b) => (a < b ? -1 : 1));
    const all = await api.ask("GET", "/v2/list/tags/tags/list");
    assert.deepEqual(all.json(), { name: "list/tags", tags: sorted });
    assert.equal(all.headers.get("link"), null);
    const seen: string[] = [];
    for (let path: string | undefined = "/v2/list/tags/tags/list?n=4"; path !== undefined;) {
      const answer: Answer = await api.ask("GET", path);
      const tags = answer.json()["tags"] as string[];
      assert.ok(tags.length <= 4);
      seen.push(...tags);
      path = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get("link") ?? "")?.[1];
    }
    assert.deepEqual(seen, sorted);
    const none = await api.ask("GET", "/v2/list/tags/tags/list?n=0");
    assert.deepEqual(none.json()["tags"], []);
    assert.equal(none.headers.get("link"), null);
    const rest = await api.ask("GET", "/v2/list/tags/tags/list?last=c");
    assert.deepEqual(rest.json()["tags"], ["latest", "v10", "v2"]);
    assert.equal(codeOf(await api.ask("GET", "/v2/list/never/tags/list")), "NAME_UNKNOWN");
  });

  test("repositories, in pages", async () => {
    for (const name of ["catalog/b", "catalog/a", "catalog/c"]) await api.pushImage(name, "v1");
    const first = await api.ask("GET", "/v2/_catalog?n=2&last=catalog/");
    assert.deepEqual(first.json(), { repositories: ["catalog/a", "catalog/b"] });
    const next = /^<([^>]+)>/.exec(first.headers.get("link")!)![1]!;
    assert.deepEqual(
      (await api.ask("GET", next)).json()["repositories"],
      ["catalog/c", ...(await rest("catalog/c"))].slice(0, 2),
    );
  });
  const rest = async (last: string): Promise<string[]> =>
    (await api.ask("GET", `/v2/_catalog?last=${last}`)).json()["repositories"] as string[];

  test("referrers, also before the subject is there, filtered by type (end-12)", async () => {
    const subjectBytes = await api.makeManifest("refer/x");
    const subject = { mediaType: types.manifest, digest: digestOf(subjectBytes), size: subjectBytes.length };
    const path = `/v2/refer/x/referrers/${subject.digest}`;
    const empty = await api.ask("GET", path);
    assert.equal(empty.status, 200);
    assert.equal(empty.headers.get("content-type"), types.index);
    assert.deepEqual(empty.json(), { schemaVersion: 2, mediaType: types.index, manifests: [] });
    const made = new Map<string, { bytes: Buffer; digest: string }>();
    for (const [tag, parts] of [
      ["sbom", { subject, artifactType: "application/x.sbom", annotations: { by: "test" } }],
      ["signature", { subject, artifactType: "application/x.signature" }],
      ["plain", { subject }],
    ] as const) {
      const bytes = await api.makeManifest("refer/x", parts);
      const answer = await api.putManifest("refer/x", tag, bytes);
      assert.equal(answer.headers.get("oci-subject"), subject.digest);
      made.set(tag, { bytes, digest: digestOf(bytes) });
    }
    await api.putManifest("refer/x", "subject", subjectBytes);
    const all = (await api.ask("GET", path)).json()["manifests"] as Record<string, unknown>[];
    assert.deepEqual(
      all.map(({ digest }) => digest),
      [...made.values()].map(({ digest }) => digest).toSorted(),
    );
    const plain = all.find(({ digest }) => digest === made.get("plain")!.digest);
    // Without a type of its own the configuration's counts.
    assert.equal(plain?.["artifactType"], types.config);
    const filtered = await api.ask("GET", `${path}?artifactType=${encodeURIComponent("application/x.sbom")}`);
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
    const page = await api.ask("GET", `${path}?n=2`);
    assert.equal((page.json()["manifests"] as unknown[]).length, 2);
    const next = /^<([^>]+)>/.exec(page.headers.get("link")!)![1]!;
    assert.equal(((await api.ask("GET", next)).json()["manifests"] as unknown[]).length, 1);
    await api.ask("DELETE", `/v2/refer/x/manifests/${sbom.digest}`);
    assert.equal(((await api.ask("GET", path)).json()["manifests"] as unknown[]).length, 2);
    assert.equal(codeOf(await api.ask("GET", "/v2/refer/x/referrers/latest")), "DIGEST_INVALID");
  });
});

describe("content management", () => {
  test("a tag goes alone, a manifest with its tags (end-9)", async () => {
    const { bytes, digest } = await api.pushImage("manage/x", "one");
    await api.putManifest("manage/x", "two", bytes);
    assert.equal((await api.ask("DELETE", "/v2/manage/x/manifests/one")).status, 202);
    assert.equal((await api.ask("GET", "/v2/manage/x/manifests/one")).status, 404);
    assert.equal((await api.ask("GET", "/v2/manage/x/manifests/two")).status, 200);
    assert.equal((await api.ask("DELETE", `/v2/manage/x/manifests/${digest}`)).status, 202);
    assert.equal((await api.ask("GET", "/v2/manage/x/manifests/two")).status, 404);
    assert.equal((await api.ask("DELETE", `/v2/manage/x/manifests/${digest}`)).status, 404);
  });

  test("a blob goes (end-10)", async () => {
    const digest = await api.pushBlob("manage/blob", randomBytes(100));
    assert.equal((await api.ask("DELETE", `/v2/manage/blob/blobs/${digest}`)).status, 202);
    assert.equal((await api.ask("HEAD", `/v2/manage/blob/blobs/${digest}`)).status, 404);
    assert.equal(codeOf(await api.ask("DELETE", `/v2/manage/blob/blobs/${digest}`)), "BLOB_UNKNOWN");
  });
});
