import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { test } from "node:test";
import { dropRest, type DropLimits } from "./rest-of-body.ts";
import { readAll, readUntil, startApi } from "./test-support.ts";

const generous: DropLimits = { idleMs: 60_000, totalMs: 60_000 };

/** A server that answers each request before it has read its body, and a client of it. */
async function startRefusing(
  limits: DropLimits,
  keepAlive = false,
): Promise<AsyncDisposable & { readonly client: Socket; readonly closed: Promise<unknown> }> {
  const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
    response.shouldKeepAlive = keepAlive;
    response.writeHead(409, { "Content-Length": 2 }).end("no");
    dropRest(request, response, limits);
  });
  Object.assign(server, { httpAllowHalfOpen: true });
  const accepted = once(server, "connection") as Promise<[Socket]>;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
  client.on("error", () => {});
  const [socket] = await accepted;
  return {
    client,
    // Not `once`, which an error before the close would reject.
    closed: new Promise((resolve) => socket.once("close", resolve)),
    async [Symbol.asyncDispose]() {
      client.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n";
const megabyte = Buffer.alloc(1_000_000);

test("a client that sends everything before it reads sees the answer, and the connection ends", async () => {
  await using t = await startRefusing(generous);
  t.client.write(head);
  for (let i = 0; i < 8; i++) t.client.write(megabyte);
  t.client.end();
  assert.match((await readAll(t.client)).toString(), /^HTTP\/1\.1 409 .*Connection: close.*no$/s);
  await t.closed;
});

test("a client that reads at once sees the answer while it is still sending", async () => {
  await using t = await startRefusing(generous);
  t.client.write(head);
  t.client.write(megabyte);
  assert.match(await readUntil(t.client, "\r\n\r\nno"), /^HTTP\/1\.1 409 /);
  t.client.end();
  await t.closed;
});

test("a client that stops sending and stays loses its connection", async () => {
  for (const keepAlive of [false, true]) {
    await using t = await startRefusing({ idleMs: 50, totalMs: 60_000 }, keepAlive);
    t.client.write(head);
    t.client.write(megabyte);
    await t.closed;
  }
});

test("so does one that goes on for too long", async () => {
  await using t = await startRefusing({ idleMs: 60_000, totalMs: 100 });
  t.client.write(head.replace("8000000", "8000000000000"));
  const timer = setInterval(() => t.client.write("more"), 5);
  await t.closed;
  clearInterval(timer);
});

test("a connection that may be kept takes the next request after a short rest", async () => {
  await using t = await startRefusing(generous, true);
  for (let i = 0; i < 3; i++) {
    t.client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
    assert.match(await readUntil(t.client, "\r\n\r\nno"), /^HTTP\/1\.1 409 /);
    t.client.write("cd");
  }
});

const bodies: readonly (readonly [what: string, headers: string, connection: string])[] = [
  ["a large body", "Content-Length: 9000000", "close"],
  ["a body of unknown length", "Transfer-Encoding: chunked", "close"],
  ["a small body", "Content-Length: 9000", "keep-alive"],
];
for (const [what, headers, connection] of bodies)
  test(`an error before the end of ${what}: Connection: ${connection}`, async () => {
    await using t = await startApi({});
    const socket = t.connect();
    socket.on("error", () => {});
    socket.write(`POST /containers/c/start HTTP/1.1\r\n${headers}\r\n\r\n`);
    const answer = await readUntil(socket, "non-empty request body");
    assert.match(answer, / 400 /);
    assert.match(answer, new RegExp(`^connection: ${connection}\r$`, "im"));
    socket.destroy();
  });

test("as for a page that is not there", async () => {
  await using t = await startApi({});
  const socket = t.connect();
  socket.on("error", () => {});
  socket.write("POST /nothing HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n");
  assert.match(await readUntil(socket, "page not found"), /^connection: close\r$/im);
  socket.end();
  await once(socket, "close");
});
