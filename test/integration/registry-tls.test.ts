/** A registry behind TLS that wants a client's certificate, and behind a proxy: the way that a company's registry is. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer as createProxy, request as plainRequest } from "node:http";
import { createServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RegistryClient } from "../../src/registry/client.ts";
import { fetchTags } from "../../src/registry/manifests.ts";
import { mustRun, run } from "../helpers/process.ts";
import { hasRegistry, startRegistry } from "../helpers/registry.ts";

const isReady = (await hasRegistry()) && (await run(["sh", "-c", "command -v openssl"])).code === 0;
const skip = isReady ? false : "docker-registry or openssl is not installed";

/** An authority, and certificates of it for the registry and for a client. */
async function makeCertificates(directory: string): Promise<void> {
  const script = `
cd "$1"
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj "/CN=test authority" -days 2
for name in registry.test client; do
  openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj "/CN=$name"
  printf 'subjectAltName=DNS:%s\n' $name > $name.ext
  openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out $name.cert -days 2 -extfile $name.ext
done`;
  await mustRun(["sh", "-ec", script, "certificates", directory], { timeoutMs: 60_000 });
}

test("certificates of certs.d and a proxy lead to a registry", { skip }, async () => {
  const directory = await mkdtemp(join(tmpdir(), "gantry-test-tls-"));
  await using registry = await startRegistry();
  await makeCertificates(directory);
  const file = (name: string): Promise<string> => readFile(join(directory, name), "utf8");
  const front = createServer(
    {
      cert: await file("registry.test.cert"),
      key: await file("registry.test.key"),
      ca: await file("ca.crt"),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (incoming, response) => {
      const url = new URL(incoming.url ?? "/", `http://${registry.address}`);
      const outgoing = plainRequest(url, { method: incoming.method, headers: incoming.headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      incoming.pipe(outgoing);
    },
  );
  const asked: (string | undefined)[] = [];
  const proxy = createProxy((_request, response) => response.writeHead(403).end());
  proxy.on("connect", (request, socket) => {
    asked.push(request.url, request.headers["proxy-authorization"]);
    const target = connect((front.address() as AddressInfo).port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      target.pipe(socket);
      socket.pipe(target);
    });
    target.on("error", () => socket.destroy());
    socket.on("error", () => target.destroy());
  });
  for (const server of [front, proxy]) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  }
  const { port } = proxy.address() as AddressInfo;
  const certsDirectory = join(directory, "certs.d");
  const ask = async (
    environment: Record<string, string>,
    insecureRegistries: string[] = [],
  ): Promise<string[]> => {
    const settings = { insecureRegistries, registryMirrors: [], maxDownloadAttempts: 1 };
    const client = new RegistryClient(settings, { certsDirectory, environment, silenceTimeoutMs: 5000 });
    const { signal } = new AbortController();
    const reference = { domain: "registry.test", path: "app" };
    const session = await client.openOwn({ reference, action: "pull", credentials: {}, signal });
    return await fetchTags(session, signal);
  };
  const environment = { HTTPS_PROXY: `http://me:hidden@127.0.0.1:${port}` };
  try {
    await assert.rejects(ask(environment), (error: Error & { hint?: string }) => {
      assert.match(error.message, /its certificate is not to be trusted/);
      assert.match(error.hint ?? "", /\/etc\/docker\/certs\.d\/registry\.test\/ca\.crt/);
      assert.ok(!error.message.includes("hidden"), error.message);
      return true;
    });
    await mkdir(join(certsDirectory, "registry.test"), { recursive: true });
    await mustRun(["cp", join(directory, "ca.crt"), join(certsDirectory, "registry.test")]);
    // Trusted now, but the registry wants to know who we are.
    await assert.rejects(
      ask(environment),
      /cannot reach the registry registry\.test through the proxy 127\.0\.0\.1/,
    );
    await mustRun(["cp", join(directory, "client.cert"), join(certsDirectory, "registry.test")]);
    await assert.rejects(ask(environment), /missing key client\.key for client certificate client\.cert/);
    await mustRun(["cp", join(directory, "client.key"), join(certsDirectory, "registry.test")]);
    // The repository is not there: it is the registry that says so.
    await assert.rejects(ask(environment), /tags of app at registry\.test: name unknown/);
    assert.ok(asked.includes("registry.test:443"), asked.join());
    assert.ok(
      asked.includes(`Basic ${Buffer.from("me:hidden").toString("base64")}`),
      "no credentials for the proxy",
    );
    await assert.rejects(
      ask({ ...environment, NO_PROXY: "registry.test" }),
      /cannot reach the registry registry\.test: (no such host|its name cannot be looked up)/,
    );
    await rm(join(certsDirectory, "registry.test", "ca.crt"));
    await assert.rejects(ask(environment, ["registry.test"]), /name unknown/);
  } finally {
    for (const server of [front, proxy]) {
      server.closeAllConnections();
      server.close();
    }
    await rm(directory, { recursive: true, force: true });
  }
});
