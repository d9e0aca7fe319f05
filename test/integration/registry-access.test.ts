/** Who may push and pull, and which registry is asked: against Debian's docker-registry, on this machine's loopback. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { isKind } from "../../src/base/errors.ts";
import type { RegistryAuth } from "../../src/wire/registry.ts";
import { machine, makeImage } from "../helpers/image-machine.ts";
import { hasRegistry, startRegistry } from "../helpers/registry.ts";
import { startTokenServer } from "../helpers/token-server.ts";

const skip = (await hasRegistry()) ? false : "docker-registry is not installed";
const robot = { username: "robot", password: "sesame" };
/** `htpasswd -nbB robot sesame`. */
const htpasswd = "robot:$2y$05$CbwP6Gxu4IJHnlEMYJCGEO3pOr5IrUI3X0N6jTkAyI/HpjCP9T4J.";

test("Basic authentication", { skip }, async () => {
  await using registry = await startRegistry({ htpasswd });
  using here = machine();
  const name = `${registry.address}/app`;
  await makeImage(here, `${name}:1`);
  await assert.rejects(here.push(name, "1"), /authentication required|no basic auth/i);
  await assert.rejects(
    here.pull(name, { tag: "1" }),
    /pull access denied for .*\/app, repository does not exist or may require 'docker login'/,
  );
  const { signal } = new AbortController();
  const login = (auth: RegistryAuth) =>
    here.cases.registryLogin({ ...auth, serveraddress: registry.address }, signal);
  assert.deepEqual(await login(robot), { Status: "Login Succeeded", IdentityToken: "" });
  await assert.rejects(login({ ...robot, password: "wrong" }), (error) => {
    assert.ok(isKind(error, "unauthenticated"));
    assert.equal(
      error.message,
      `login attempt to http://${registry.address}/v2/ failed with status: 401 Unauthorized`,
    );
    return true;
  });
  await here.push(name, "1", robot);
  using there = machine();
  await there.pull(name, { tag: "1", credentials: robot });
  assert.deepEqual(there.blobs(), here.blobs());
});

test("tokens: scopes, refresh, and what may not be done", { skip }, async () => {
  await using tokens = await startTokenServer();
  await using registry = await startRegistry({ config: tokens.config });
  using here = machine();
  const name = `${registry.address}/public/app`;
  await makeImage(here, `${name}:1`);
  await assert.rejects(here.push(name, "1"), /authentication required|denied/);
  await here.push(name, "1", robot);
  assert.ok(tokens.asked.includes("repository:public/app:pull,push"));
  using there = machine();
  await there.pull(name, { tag: "1" });
  const before = tokens.asked.length;
  await there.pull(name, { tag: "1" });
  assert.equal(tokens.asked.length, before, "the token was not kept");
  await here.cases.imageTag(`${name}:1`, `${registry.address}/secret/app`, "1");
  const { signal } = new AbortController();
  const { IdentityToken } = await here.cases.registryLogin(
    { ...robot, serveraddress: registry.address },
    signal,
  );
  assert.equal(IdentityToken, tokens.refreshToken);
  const byToken = { username: "<token>", identitytoken: IdentityToken };
  const secret = `${registry.address}/secret/app`;
  assert.ok((await here.push(secret, "1", byToken)).some((line) => line.endsWith("Mounted from public/app")));
  assert.ok(tokens.asked.includes("repository:public/app:pull"));
  await assert.rejects(there.pull(secret, { tag: "1" }), /pull access denied/);
  await there.pull(secret, { tag: "1", credentials: byToken });
  await assert.rejects(
    here.cases.registryLogin({ ...robot, password: "wrong", serveraddress: registry.address }, signal),
    (error) => isKind(error, "unauthenticated") && !error.message.includes("wrong"),
  );
});

test("what is no registry, no image, or not there says so", { skip }, async () => {
  const server = createServer((request, response) => {
    if (request.url === "/v2/") response.end("{}");
    else if (request.url?.endsWith("/huge")) {
      response.writeHead(200, { "Content-Type": "application/vnd.oci.image.manifest.v1+json" });
      response.end(Buffer.alloc(10 * 1024 * 1024, " "));
    } else if (request.url?.endsWith("/old")) {
      response
        .writeHead(200, { "Content-Type": "application/vnd.docker.distribution.manifest.v1+json" })
        .end("{}");
    } else response.writeHead(200, { "Content-Type": "text/html" }).end("<html>hello</html>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  using here = machine({ attempts: 1 });
  try {
    await assert.rejects(here.pull(`${address}/app`, { tag: "huge" }), /more than 4194304 bytes/);
    await assert.rejects(here.pull(`${address}/app`, { tag: "old" }), /manifest format 1/);
    await assert.rejects(
      here.pull(`${address}/app`, { tag: "html" }),
      /no image that can be read: its manifest is of type "text\/html"/,
    );
    await assert.rejects(here.pull("127.0.0.1:1/app", { tag: "1" }), (error) => {
      assert.ok(isKind(error, "unavailable"));
      assert.match(error.message, /^cannot reach the registry 127\.0\.0\.1:1: connection refused$/);
      assert.match(error.hint ?? "", /gantry image bootstrap/);
      return true;
    });
    assert.deepEqual(here.blobs(), []);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("a mirror is asked before Docker Hub, and passed over when it is gone", { skip }, async () => {
  await using registry = await startRegistry();
  using here = machine();
  await makeImage(here, `${registry.address}/library/tiny:1`);
  await here.push(`${registry.address}/library/tiny`, "1");
  using there = machine({
    mirrors: ["http://127.0.0.1:1", `http://${registry.address}`],
    env: { HTTPS_PROXY: "http://127.0.0.1:1" },
  });
  await there.pull("tiny", { tag: "1" });
  assert.deepEqual(there.blobs(), here.blobs());
  assert.deepEqual((await there.cases.imageInspect("tiny:1")).RepoTags, ["tiny:1"]);
});
