/** `gantry registry serve` as its users meet it: skopeo, docker, passwords, TLS, a cache. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gantryProgram } from "../helpers/daemon.ts";
import { startGantryRegistry } from "../helpers/gantry-registry.ts";
import { eventually, mustRun, run, start } from "../helpers/process.ts";
import { hasRegistry, startFaultProxy, startRegistry } from "../helpers/registry.ts";
import { skopeo, useImageLayout } from "../helpers/skopeo.ts";

const image = useImageLayout();

const status = async (url: string, init: RequestInit = {}): Promise<number> => {
  const answer = await fetch(url, init);
  await answer.arrayBuffer();
  return answer.status;
};

const basic = (user: string, password: string): Record<string, string> => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});

test("skopeo pushes, inspects, copies, lists and deletes; what comes back is what was sent", async () => {
  await using registry = await startGantryRegistry();
  await image.push(registry, "team/app:1");
  const at = (name: string): string => `docker://${registry.address}/${name}`;
  const inspected = JSON.parse(
    (await skopeo(["inspect", "--tls-verify=false", at("team/app:1")])).stdout,
  ) as {
    Digest: string;
    RepoTags: string[];
  };
  assert.deepEqual(inspected.RepoTags, ["1"]);
  const back = join(image.directory, "back");
  await skopeo(["copy", "--src-tls-verify=false", at("team/app:1"), `oci:${back}:latest`]);
  const blobs = readdirSync(join(image.layout, "blobs/sha256")).toSorted();
  assert.deepEqual(readdirSync(join(back, "blobs/sha256")).toSorted(), blobs);
  await skopeo([
    "copy",
    "--src-tls-verify=false",
    "--dest-tls-verify=false",
    at("team/app:1"),
    at("other/app:2"),
  ]);
  await skopeo(["delete", "--tls-verify=false", at("team/app:1")]);
  assert.deepEqual(await (await fetch(`${registry.origin}/v2/_catalog`)).json(), {
    repositories: ["other/app"],
  });
  const again = JSON.parse((await skopeo(["inspect", "--tls-verify=false", at("other/app:2")])).stdout) as {
    Digest: string;
  };
  assert.equal(again.Digest, inspected.Digest);
});

test("users of a file alone, and everybody for pulls where that is allowed", async () => {
  const users = join(image.directory, "users");
  const line = await mustRun([gantryProgram, "registry", "htpasswd", "--password-stdin", "mia"], {
    input: "sesame\n",
  });
  assert.match(line.stdout, /^mia:\$2b\$10\$/);
  await writeFile(users, line.stdout);
  await using registry = await startGantryRegistry({ args: ["--htpasswd", users] });
  const url = `${registry.origin}/v2/`;
  const refused = await fetch(url);
  assert.equal(refused.status, 401);
  assert.match(refused.headers.get("www-authenticate") ?? "", /^Basic realm="/);
  assert.equal(((await refused.json()) as { errors: { code: string }[] }).errors[0]?.code, "UNAUTHORIZED");
  assert.equal(await status(url, { headers: basic("mia", "sesame") }), 200);
  assert.equal(await status(url, { headers: basic("mia", "other") }), 401);
  assert.equal(await status(url, { headers: basic("nobody", "sesame") }), 401);
  for (const path of ["/", "/metrics", "/v2/_catalog"])
    assert.equal(await status(registry.origin + path), 401);
  await assert.rejects(image.push(registry, "app:1"));
  await image.push(registry, "app:1", ["--dest-creds", "mia:sesame"]);
  // The file is read anew when it changes.
  await writeFile(users, line.stdout.replace("mia:", "leo:"));
  assert.equal(await status(url, { headers: basic("mia", "sesame") }), 401);
  assert.equal(await status(url, { headers: basic("leo", "sesame") }), 200);
  await using open = await startGantryRegistry({ args: ["--htpasswd", users, "--anonymous-pull"] });
  await image.push(open, "app:1", ["--dest-creds", "leo:sesame"]);
  assert.equal(await status(`${open.origin}/v2/app/manifests/1`), 200);
  assert.equal(await status(`${open.origin}/v2/app/manifests/1`, { method: "DELETE" }), 401);
  assert.ok(!registry.log().includes("sesame"));
  await writeFile(users, "mia:{SHA}nothing\n");
  await assert.rejects(
    startGantryRegistry({ args: ["--htpasswd", users] }),
    /line 1: want USER:HASH with a bcrypt hash/,
  );
});

test("TLS, with a certificate that is renewed", async () => {
  const [cert, key] = [join(image.directory, "cert.pem"), join(image.directory, "key.pem")];
  const make = (name: string): Promise<unknown> =>
    mustRun(
      [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
      ].concat([
        "-keyout",
        key,
        "-out",
        cert,
        "-subj",
        `/CN=${name}`,
        "-addext",
        "subjectAltName=IP:127.0.0.1",
      ]),
    );
  await make("first");
  const certs = join(image.directory, "certs");
  await mkdir(certs, { recursive: true });
  await writeFile(join(certs, "ca.crt"), await readFile(cert));
  await using registry = await startGantryRegistry({ args: ["--tls-cert", cert, "--tls-key", key] });
  assert.match(registry.origin, /^https:/);
  await skopeo([
    "copy",
    "--dest-cert-dir",
    certs,
    `oci:${image.layout}:latest`,
    `docker://${registry.address}/app:1`,
  ]);
  const subject = async (): Promise<string> =>
    (
      await run([
        "sh",
        "-c",
        `openssl s_client -connect ${registry.address} </dev/null 2>/dev/null | openssl x509 -noout -subject`,
      ])
    ).stdout;
  assert.match(await subject(), /first/);
  await make("second");
  registry.process.kill("SIGHUP");
  await eventually(async () => (await subject()).includes("second"), { what: "the renewed certificate" });
});

test("read-only and keep-all refuse, and a second registry on the same directory", async () => {
  const root = join(image.directory, "readonly");
  {
    await using registry = await startGantryRegistry({ root, args: ["--keep-all"] });
    await image.push(registry, "app:1");
    assert.equal(await status(`${registry.origin}/v2/app/manifests/1`, { method: "DELETE" }), 405);
    await assert.rejects(startGantryRegistry({ root }), /another registry serves/);
  }
  await using registry = await startGantryRegistry({ root, args: ["--read-only"] });
  assert.equal(await status(`${registry.origin}/v2/app/manifests/1`), 200);
  for (const [method, path] of [
    ["POST", "/v2/app/blobs/uploads/"],
    ["PUT", "/v2/app/manifests/2"],
    ["DELETE", "/v2/app/manifests/1"],
  ] as const)
    assert.equal(await status(registry.origin + path, { method }), 405);
});

test("the page and the metrics say what there is", async () => {
  await using registry = await startGantryRegistry();
  const page = async (path: string): Promise<string> => (await fetch(registry.origin + path)).text();
  assert.match(await page("/"), /No repositories/);
  await image.push(registry, "team/app:v1");
  assert.match(
    await page("/"),
    /<a href="\/repositories\/team\/app">team\/app<\/a><\/td><td class="number">1</,
  );
  assert.match(await page("/repositories/team/app"), /<td>v1<\/td>.*sha256:[0-9a-f]{64}/);
  const metrics = await page("/metrics");
  assert.match(metrics, /^gantry_registry_tags 1$/m);
  assert.match(
    metrics,
    /^gantry_registry_http_requests_total\{method="PUT",route="manifest",status="201"\} 1$/m,
  );
  assert.match(metrics, /^gantry_registry_uploads_total 2$/m);
});

test(
  "a cache of another registry fetches once, streams, and goes on without it",
  { skip: !(await hasRegistry()) },
  async () => {
    await using foreign = await startRegistry();
    await using watched = await startFaultProxy(foreign.address);
    await skopeo([
      "copy",
      "--dest-tls-verify=false",
      `oci:${image.layout}:latest`,
      `docker://${foreign.address}/team/app:1`,
    ]);
    await using cache = await startGantryRegistry({ args: ["--proxy", `http://${watched.address}`] });
    const at = `docker://${cache.address}/team/app:1`;
    const copy = async (name: string): Promise<unknown> =>
      skopeo(["copy", "--src-tls-verify=false", at, `oci:${join(image.directory, name)}:latest`]);
    const blobGets = (): number => watched.seen.filter((line) => /^GET .*\/blobs\//.test(line)).length;
    // Several at once share one fetch.
    await Promise.all([copy("cached-1"), copy("cached-2"), copy("cached-3")]);
    assert.equal(blobGets(), 2, watched.seen.join("\n"));
    await copy("cached-4");
    assert.equal(blobGets(), 2);
    assert.deepEqual(
      readdirSync(join(image.directory, "cached-4/blobs/sha256")).toSorted(),
      readdirSync(join(image.layout, "blobs/sha256")).toSorted(),
    );
    assert.deepEqual(await (await fetch(`${cache.origin}/v2/team/app/tags/list`)).json(), {
      name: "team/app",
      tags: ["1"],
    });
    assert.equal(await status(`${cache.origin}/v2/team/app/manifests/none`), 404);
    await assert.rejects(image.push(cache, "team/app:2"));
    assert.equal(await status(`${cache.origin}/v2/team/app/blobs/sha256:${"0".repeat(64)}`), 404);
    watched.fault = (_request, response) => {
      response.writeHead(503).end();
      return true;
    };
    await using offline = await startGantryRegistry({ args: ["--proxy", "http://127.0.0.1:1"] });
    assert.equal(await status(`${offline.origin}/v2/x/manifests/1`), 502);
    // The registry behind is gone: what is here is served, and said to be stale.
    const stale = await fetch(`${cache.origin}/v2/team/app/manifests/1`);
    assert.equal(stale.status, 200);
    assert.match(stale.headers.get("warning") ?? "", /^111 /);
  },
);

test("a cache does not keep what has other bytes", { skip: !(await hasRegistry()) }, async () => {
  await using foreign = await startRegistry();
  await using watched = await startFaultProxy(foreign.address);
  await skopeo([
    "copy",
    "--dest-tls-verify=false",
    `oci:${image.layout}:latest`,
    `docker://${foreign.address}/app:1`,
  ]);
  watched.fault = (incoming, _response, forward) => {
    if (incoming.method !== "GET" || !/\/blobs\//.test(incoming.url ?? "")) return false;
    forward((chunk) => Buffer.from(chunk.map((byte) => byte ^ 1)));
    return true;
  };
  await using cache = await startGantryRegistry({ args: ["--proxy", `http://${watched.address}`] });
  await assert.rejects(
    skopeo([
      "copy",
      "--src-tls-verify=false",
      `docker://${cache.address}/app:1`,
      `oci:${join(image.directory, "bad")}:x`,
    ]),
  );
  // The manifest is right and was kept, the blobs were not.
  assert.equal(readdirSync(join(cache.root, "content/blobs/sha256")).length, 1);
  assert.deepEqual(readdirSync(join(cache.root, "uploads")), []);
});

test("it ends by SIGTERM, and its help says what it does", async () => {
  const registry = await startGantryRegistry();
  await registry[Symbol.asyncDispose]();
  assert.equal(registry.process.exitCode, 0);
  assert.ok(!existsSync(registry.root));
  const bad = start([
    gantryProgram,
    "registry",
    "serve",
    "--address",
    "nowhere",
    "--root",
    join(image.directory, "none"),
  ]);
  const { code, stderr } = await bad.wait();
  assert.equal(code, 1);
  assert.match(stderr, /want HOST:PORT/);
});
