import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ClientError, connect, ConnectionError, type Client } from "./index.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-client-"));
after(() => rmSync(directory, { recursive: true, force: true }));
let counter = 0;

type Answer = (request: string, socket: Socket) => void;

/** A server that hands each request's head (and what came with it) to `answer`. Ping is answered by itself. */
async function serve(
  answer: Answer,
): Promise<{ client: Client; server: Server; requests: string[]; connections: () => number }> {
  const path = join(directory, `${++counter}.sock`);
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      if (text.startsWith("HEAD /_ping ")) {
        socket.write("HTTP/1.1 200 OK\r\nApi-Version: 1.47\r\nContent-Length: 0\r\n\r\n");
        return;
      }
      requests.push(text);
      answer(text, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const client = connect(`unix://${path}`);
  after(() => {
    client.close();
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { client, server, requests, connections: () => connections };
}

const json = (body: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

test("negotiates the version once and uses one connection again", async () => {
  const { client, requests, connections } = await serve((_request, socket) => socket.write(json("[]")));
  assert.deepEqual(await client.containerList({ all: true, filters: { label: ["a=b", "c"] } }), []);
  assert.deepEqual(await client.imageList(), []);
  assert.equal(await client.apiVersion(), "1.47");
  assert.equal(connections(), 1);
  const filters = encodeURIComponent('{"label":{"a=b":true,"c":true}}');
  assert.match(
    requests[0]!,
    new RegExp(`^GET /v1\\.47/containers/json\\?all=1&filters=${filters.replaceAll(".", "\\.")} HTTP`),
  );
});

test("errors carry the daemon's sentence and status", async () => {
  const body = '{"message":"No such container: x"}';
  const { client } = await serve((_request, socket) =>
    socket.write(
      `HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    ),
  );
  await assert.rejects(client.containerInspect("x"), (error) => {
    assert.ok(error instanceof ClientError);
    assert.equal(error.status, 404);
    assert.equal(error.message, "No such container: x");
    return true;
  });
});

test("a body in any cut of chunks is put together", async () => {
  const answer =
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{"Id\r\nA;x=y\r\n":"012345"\r\n2\r\n}]\r\n0\r\nX: y\r\n\r\n';
  for (const size of [1, 2, 7, answer.length]) {
    const { client } = await serve((_request, socket) => {
      void (async () => {
        for (let at = 0; at < answer.length; at += size) {
          socket.write(answer.slice(at, at + size));
          if (size < 7) await delay(0);
        }
      })();
    });
    assert.deepEqual(await client.imageList(), [{ Id: "012345" }]);
    assert.deepEqual(await client.imageList(), [{ Id: "012345" }]);
  }
});

test("a broken answer is an error, at every place that it can break", async () => {
  for (const answer of [
    "",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    "SSH-2.0-OpenSSH\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{x}",
  ]) {
    const { client } = await serve((_request, socket) => socket.end(answer));
    await assert.rejects(client.imageList(), ConnectionError, JSON.stringify(answer));
  }
});

test("a connection that the daemon closed while idle is replaced", async () => {
  const { client, connections } = await serve((_request, socket) => {
    socket.write(json("[]"));
    setTimeout(() => socket.destroy(), 5);
  });
  await client.imageList();
  await delay(30);
  await client.imageList();
  assert.equal(connections(), 2);
});

test("hijacked streams are framed, half-closed, and keep what came with the head", async () => {
  const frame = (stream: number, text: string): Buffer => {
    const head = Buffer.alloc(8);
    head[0] = stream;
    head.writeUInt32BE(text.length, 4);
    return Buffer.concat([head, Buffer.from(text)]);
  };
  let input = "";
  const { client } = await serve((request, socket) => {
    if (!request.startsWith("POST")) {
      input += request;
      return;
    }
    const head =
      "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nUpgrade: tcp\r\n\r\n";
    socket.write(Buffer.concat([Buffer.from(head), frame(1, "one\n"), frame(2, "two").subarray(0, 3)]));
    setTimeout(() => socket.write(frame(2, "two").subarray(3)), 5);
    socket.on("end", () => setTimeout(() => socket.end(frame(1, "after the half-close")), 15));
  });
  const stdio = await client.containerAttach("c", { stdin: true, stdout: true, stderr: true });
  stdio.input.end("input");
  const seen: string[] = [];
  for await (const { stream, data } of stdio.output()) seen.push(`${stream}:${data.toString()}`);
  assert.deepEqual(seen, ["stdout:one\n", "stderr:two", "stdout:after the half-close"]);
  assert.equal(input, "input");
});

test("a pending wait resolves later, and an abort ends a call", async () => {
  const { client } = await serve((request, socket) => {
    if (request.includes("/wait")) {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      setTimeout(() => socket.write('21\r\n{"StatusCode":3,"Error":null}\r\n\r\n\r\n0\r\n\r\n'), 20);
    }
  });
  const wait = await client.containerWait("c", "next-exit");
  assert.equal((await wait.result).StatusCode, 3);
  await assert.rejects(client.imageList({ signal: AbortSignal.timeout(20) }), { name: "TimeoutError" });
});

test("a stream is sent chunked, and an early refusal is heard", async () => {
  let received = 0;
  const { client } = await serve((request, socket) => {
    received += request.length;
    if (request.includes("\r\n0\r\n\r\n")) socket.write(json('{"stream":"Loaded image: x\\n"}\n'));
  });
  async function* archive(): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 20; index += 1) yield Buffer.alloc(50_000, index);
  }
  const messages = [];
  for await (const message of client.imageLoad(archive(), { quiet: true })) messages.push(message.stream);
  assert.deepEqual(messages, ["Loaded image: x\n"]);
  assert.ok(received > 1_000_000);

  const refusing = await serve((request, socket) => {
    if (!request.startsWith("POST")) return;
    socket.write(
      "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n" +
        '{"message":"bad"}',
    );
  });
  await assert.rejects(async () => {
    for await (const _ of refusing.client.imageLoad(archive())) void _;
  }, /^ClientError: bad$/);
});

test("an error object in a progress stream is thrown", async () => {
  const { client } = await serve((_request, socket) =>
    socket.write(
      json(
        '{"status":"Pulling from x"}\r\n{"errorDetail":{"code":7,"message":"denied"},"error":"denied"}\r\n',
      ),
    ),
  );
  const seen: unknown[] = [];
  await assert.rejects(
    async () => {
      for await (const message of client.imagePull({ image: "x", tag: "y" })) seen.push(message.status);
    },
    { name: "ClientError", message: "denied", code: 7, status: 0 },
  );
  assert.deepEqual(seen, ["Pulling from x"]);
});

test("a missing daemon is explained", async () => {
  const client = connect(join(directory, "none.sock"));
  await assert.rejects(client.ping(), {
    name: "ConnectionError",
    code: "ENOENT",
    message: /none\.sock.*gantry daemon/,
  });
  await assert.rejects(connect("tcp://127.0.0.1:1").ping(), {
    code: "ECONNREFUSED",
    message: /tcp:\/\/127\.0\.0\.1:1/,
  });
  assert.throws(() => connect("npipe://x"), /npipe:\/\/ is not supported/);
  assert.throws(() => connect("nonsense"), /invalid host "nonsense"/);
});
