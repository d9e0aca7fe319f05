/**
 * The use cases against Debian's docker-registry, on this machine's loopback and in this process, so that what goes over
 * the wire can be broken and looked at.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { layerOf } from "../../src/snapshot/snapshot.fixture.ts";
import { machine, makeImage, statuses } from "../helpers/image-machine.ts";
import { hasRegistry, startFaultProxy, startRegistry } from "../helpers/registry.ts";

const skip = (await hasRegistry()) ? false : "docker-registry is not installed";

const isBlobGet = (url: string | undefined, method: string | undefined): boolean =>
  method === "GET" && /\/blobs\/sha256:/.test(url ?? "");

test("what is pushed and pulled again is the same to the last byte", { skip }, async () => {
  await using registry = await startRegistry();
  using here = machine();
  using there = machine();
  const name = `${registry.address}/team/app`;
  await makeImage(here, `${name}:1`);
  const pushed = await here.push(name, "1");
  assert.equal(pushed[0], `The push refers to repository [${name}]`);
  assert.match(pushed.at(-1) ?? "", /^1: digest: sha256:[0-9a-f]{64} size: \d+$/);
  assert.ok(
    pushed.some((line) => /^[0-9a-f]{12}: Pushed$/.test(line)),
    pushed.join("\n"),
  );
  const pulled = await there.pull(name, { tag: "1" });
  assert.equal(pulled[0], "1: Pulling from team/app");
  assert.equal(pulled.at(-1), `Status: Downloaded newer image for ${name}:1`);
  const order = ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"];
  const seen = pulled.map((line) => line.slice(14)).filter((status) => order.includes(status));
  assert.deepEqual(seen, order);
  assert.deepEqual(there.blobs(), here.blobs());
  assert.equal((await there.pull(name, { tag: "1" })).at(-1), `Status: Image is up to date for ${name}:1`);
  assert.ok((await here.push(name, "1")).some((line) => line.endsWith("Layer already exists")));
  const [image] = await there.cases.imageList({ all: true, filters: new Map(), sharedSize: false });
  assert.deepEqual(image?.RepoDigests, [`${name}@${/sha256:\w+/.exec(pushed.at(-1) ?? "")?.[0]}`]);
});

test("a pull brings back a layer that is missing below one that is there", { skip }, async () => {
  await using registry = await startRegistry();
  using here = machine();
  using there = machine();
  const name = `${registry.address}/app`;
  await makeImage(here, `${name}:1`, 1000);
  const [{ Id: parentId } = { Id: "" }] = await here.cases.imageList({
    all: true,
    filters: new Map(),
    sharedSize: false,
  });
  await here.cases.imageCommit({
    parentId,
    name: `${name}:1`,
    layer: Readable.from([layerOf({ name: "above", text: "1" })]),
    config: {},
    author: "",
    comment: "",
    createdBy: "",
  });
  await here.push(name, "1");
  await there.pull(name, { tag: "1" });
  const { RootFS } = await there.cases.imageInspect(`${name}:1`);
  assert.equal(RootFS.Layers?.length, 2);
  const lower = RootFS.Layers[0]!;
  there.snapshotter.setAside(lower, join(there.root, "aside"));
  await there.pull(name, { tag: "1" });
  assert.ok(there.snapshotter.has(lower));
});

test("by digest, every tag, and into another repository by mounting", { skip }, async () => {
  await using registry = await startRegistry();
  using here = machine();
  using there = machine();
  const name = `${registry.address}/app`;
  await makeImage(here, `${name}:1`);
  await makeImage(here, `${name}:2`);
  const pushed = await here.push(name, undefined);
  const digest =
    /^2: digest: (\S+)/.exec(pushed.find((line) => line.startsWith("2: digest")) ?? "")?.[1] ?? "";
  const byDigest = await there.pull(name, { tag: digest });
  assert.equal(byDigest.at(-1), `Status: Downloaded newer image for ${name}@${digest}`);
  assert.deepEqual((await there.cases.imageInspect(`${name}@${digest}`)).RepoTags, []);
  const all = await there.pull(name);
  assert.deepEqual(all.filter((line) => /Pulling from|^Status/.test(line)).sort(), [
    "1: Pulling from app",
    "2: Pulling from app",
    `Status: Downloaded newer image for ${name}`,
  ]);
  await there.cases.imageTag(`${name}:1`, `${registry.address}/other/app`, "x");
  assert.ok(
    (await there.push(`${registry.address}/other/app`, "x")).some((line) =>
      line.endsWith("Mounted from app"),
    ),
  );
  await assert.rejects(there.push(`${registry.address}/nothing`, "1"), /does not exist locally with the tag/);
  await assert.rejects(there.push(name, "9"), /tag does not exist/);
});

test("a connection that is cut goes on where it was cut", { skip }, async () => {
  await using registry = await startRegistry();
  await using proxy = await startFaultProxy(registry.address);
  using here = machine();
  using there = machine();
  await makeImage(here, `${proxy.address}/app:1`);
  let cuts = 0;
  proxy.fault = (request, _response, forward) => {
    if (request.method !== "PATCH" || cuts > 1) return false;
    cuts += 1;
    // A megabyte gets through, then the line is dead.
    let seen = 0;
    request.on("data", (chunk: Buffer) => {
      seen += chunk.length;
      if (seen <= 1_000_000) return;
      request.unpipe();
      setTimeout(() => request.destroy(), 50);
    });
    forward();
    return true;
  };
  await here.push(`${proxy.address}/app`, "1");
  assert.ok(cuts > 0, "nothing was cut");
  assert.ok(
    proxy.seen.some((line) => line.startsWith("GET /v2/app/blobs/uploads/")),
    proxy.seen.join("\n"),
  );
  cuts = 0;
  proxy.fault = (request, _response, forward) => {
    if (!isBlobGet(request.url, request.method) || cuts > 2) return false;
    forward((chunk, offset) => {
      if (offset < 500_000) return chunk;
      cuts += 1;
      return "cut";
    });
    return true;
  };
  await there.pull(`${proxy.address}/app`, { tag: "1" });
  assert.ok(cuts > 1, `cut ${cuts} times`);
  assert.ok(
    proxy.headers.some(({ range }) => /^bytes=\d{6,}-$/.test(range ?? "")),
    "no range was asked for",
  );
  assert.deepEqual(there.blobs(), here.blobs());
});

test("a registry that is busy is asked again, when it says", { skip }, async () => {
  await using registry = await startRegistry();
  await using proxy = await startFaultProxy(registry.address);
  using here = machine();
  using there = machine();
  await makeImage(here, `${proxy.address}/app:1`);
  await here.push(`${proxy.address}/app`, "1");
  const refused = new Map<string, number>();
  const times: number[] = [];
  proxy.fault = (request, response) => {
    const key = `${request.method} ${request.url}`;
    const count = (refused.get(key) ?? 0) + 1;
    refused.set(key, count);
    if (count > 2) return false;
    if (request.url?.includes("/manifests/")) times.push(Date.now());
    response
      .writeHead(count === 1 ? 429 : 503, count === 1 ? { "Retry-After": "1" } : {})
      .end("<html>busy</html>");
    return true;
  };
  await there.pull(`${proxy.address}/app`, { tag: "1" });
  assert.ok(times[1]! - times[0]! >= 990, `it was asked again after ${times[1]! - times[0]!} ms`);
  assert.deepEqual(there.blobs(), here.blobs());
  proxy.fault = (_request, response) => {
    response.writeHead(429, { "Retry-After": "86400" }).end();
    return true;
  };
  using third = machine();
  await assert.rejects(third.pull(`${proxy.address}/app`, { tag: "1" }), /answered 429/);
});

test("bytes that are not what they should be are never kept", { skip }, async () => {
  await using registry = await startRegistry();
  await using proxy = await startFaultProxy(registry.address);
  using here = machine();
  await makeImage(here, `${proxy.address}/app:1`);
  await here.push(`${proxy.address}/app`, "1");
  const flip = (chunk: Buffer): Buffer => {
    const copy = Buffer.from(chunk);
    copy[10] = (copy[10] ?? 0) ^ 1;
    return copy;
  };
  const rows: [what: RegExp, change: (chunk: Buffer, offset: number) => Buffer | "cut", message: RegExp][] = [
    [/\/blobs\//, flip, /sent other bytes than it promised for blob sha256:\w{64}/],
    [/\/manifests\//, flip, /sent other bytes than it promised for manifest 1 of app/],
    [
      /\/blobs\//,
      () => "cut",
      /could not be fetched in 3 tries: cannot reach the registry .*: the connection was cut/,
    ],
  ];
  for (const [what, change, message] of rows) {
    using there = machine({ attempts: 3 });
    proxy.fault = (request, _response, forward) => {
      if (request.method !== "GET" || !what.test(request.url ?? "")) return false;
      forward(change);
      return true;
    };
    await assert.rejects(there.pull(`${proxy.address}/app`, { tag: "1" }), message);
    assert.deepEqual(there.blobs(), [], String(what));
    assert.deepEqual(await there.cases.imageList({ all: true, filters: new Map(), sharedSize: false }), []);
  }
  using silent = machine({ attempts: 2, silenceMs: 300 });
  proxy.fault = () => true;
  await assert.rejects(silent.pull(`${proxy.address}/app`, { tag: "1" }), /it said nothing for 0\.3 s/);
});

test(
  "two who ask for one blob at the same time fetch it once; the last to go ends it",
  { skip },
  async () => {
    await using registry = await startRegistry();
    await using proxy = await startFaultProxy(registry.address);
    using here = machine();
    using there = machine();
    await makeImage(here, `${proxy.address}/app:1`);
    await here.push(`${proxy.address}/app`, "1");
    await here.cases.imageTag(`${proxy.address}/app:1`, `${proxy.address}/app`, "2");
    await here.push(`${proxy.address}/app`, "2");
    const blobGets = (): number =>
      proxy.seen.filter((line) => line.startsWith("GET") && line.includes("/blobs/")).length;
    await Promise.all(["1", "2"].map((tag) => there.pull(`${proxy.address}/app`, { tag })));
    // The layer and the configuration.
    assert.equal(blobGets(), 2);
    assert.deepEqual(there.blobs(), here.blobs());

    using third = machine();
    let closed = 0;
    proxy.fault = (request, response, forward) => {
      if (!isBlobGet(request.url, request.method)) return false;
      response.on("close", () => (closed += response.writableFinished ? 0 : 1));
      forward((chunk, offset) => (offset > 100_000 ? Buffer.alloc(0) : chunk));
      return true;
    };
    const gone = new AbortController();
    setTimeout(() => gone.abort(), 300);
    await assert.rejects(
      statuses(
        third.cases.imagePull({
          image: `${proxy.address}/app`,
          tag: "1",
          platform: undefined,
          signal: gone.signal,
        }),
      ),
    );
    assert.deepEqual(third.blobs(), []);
    assert.ok(closed <= 2);
  },
);

test("the part of an index that fits", { skip }, async () => {
  await using registry = await startRegistry();
  using here = machine();
  const name = `${registry.address}/multi`;
  for (const tag of ["a", "b"]) await makeImage(here, `${name}:${tag}`);
  const digests = (await here.push(name, undefined)).flatMap(
    (line) => /digest: (\S+) size: (\d+)/.exec(line)?.slice(1) ?? [],
  );
  const platforms = [
    { os: "linux", architecture: "s390x" },
    { os: "linux", architecture: "amd64" },
  ];
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: platforms.map((platform, i) => ({
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest: digests[2 * i],
      size: Number(digests[2 * i + 1]),
      platform,
    })),
  });
  const put = await fetch(`http://${registry.address}/v2/multi/manifests/all`, {
    method: "PUT",
    headers: { "Content-Type": "application/vnd.oci.image.index.v1+json" },
    body: index,
  });
  assert.equal(put.status, 201);
  using there = machine();
  const pulled = await there.pull(name, { tag: "all", platform: "linux/amd64" });
  const digest = `sha256:${createHash("sha256").update(index).digest("hex")}`;
  assert.ok(pulled.includes(`Digest: ${digest}`), pulled.join("\n"));
  assert.deepEqual((await there.cases.imageInspect(`${name}:all`)).RepoDigests, [`${name}@${digest}`]);
  await assert.rejects(
    there.pull(name, { tag: "all", platform: "linux/riscv64" }),
    /no matching manifest for linux\/riscv64 in the manifest list entries/,
  );
  const { signal } = new AbortController();
  const inspected = await there.cases.distributionInspect({ name: `${name}:all`, credentials: {}, signal });
  assert.equal(inspected.Descriptor.digest, digest);
  assert.deepEqual(inspected.Platforms, platforms);
});
