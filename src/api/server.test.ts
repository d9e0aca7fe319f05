import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { conflict, EngineError, notFound } from "../base/errors.ts";
import { splitTarget } from "./server.ts";
import { readAll, readUntil, startApi } from "./test-support.ts";

test("ping", async () => {
  await using t = await startApi({});
  for (const method of ["GET", "HEAD"]) {
    for (const path of ["/_ping", "/v1.41/_ping"]) {
      const { status, headers, text } = await t.call(method, path);
      assert.equal(status, 200);
      assert.equal(text, method === "GET" ? "OK" : "");
      const { date: _date, connection: _connection, ...rest } = headers;
      assert.deepEqual(rest, {
        "api-version": "1.55",
        "builder-version": "2",
        "cache-control": "no-cache, no-store, must-revalidate",
        "content-length": method === "GET" ? "2" : "0",
        "content-type": "text/plain; charset=utf-8",
        "docker-experimental": "false",
        ostype: "linux",
        pragma: "no-cache",
        server: "Docker/0.1.0 (linux)",
        swarm: "inactive",
      });
    }
  }
});

test(
  "slow loris: who does not come to the end of a head is answered 408 and let go",
  { timeout: 60_000 },
  async () => {
    await using t = await startApi({}, {}, { headersTimeoutMs: 300 });
    for (const begun of ["", "GE", "GET /_ping HTTP/1.1\r\nHost: x\r\nA: "]) {
      const socket = t.connect();
      socket.write(begun);
      const drip = setInterval(() => begun.length > 2 && socket.write("x"), 50);
      const answer = (await readAll(socket)).toString();
      clearInterval(drip);
      socket.destroy();
      assert.match(answer, /^HTTP\/1\.1 408 Request Timeout\r\n.*Connection: close/s, JSON.stringify(begun));
    }
  },
);

test(
  "smuggling: where a body ends is said once and clearly, or nothing behind it is a request",
  { timeout: 60_000 },
  async () => {
    const started: string[] = [];
    await using t = await startApi({ containerStart: async (id) => void started.push(id) });
    const hidden = "POST /containers/hidden/start HTTP/1.1\r\nHost: x\r\n\r\n";
    const chunk = `${hidden.length.toString(16)}\r\n${hidden}\r\n`;
    const unclear: readonly (readonly [lines: readonly string[], body: string])[] = [
      [["Content-Length: 5", "Transfer-Encoding: chunked"], `0\r\n\r\n${hidden}`],
      [["Transfer-Encoding: chunked", "Content-Length: 5"], `0\r\n\r\n${hidden}`],
      [["Content-Length: 0", `Content-Length: ${hidden.length}`], hidden],
      [[`Content-Length: 0, ${hidden.length}`], hidden],
      [["Content-Length: +0"], hidden],
      [["Content-Length : 0"], hidden],
      [["Content-Length: 0x0"], hidden],
      [["Transfer-Encoding : chunked"], `0\r\n\r\n${hidden}`],
      [["Transfer-Encoding: xchunked"], `0\r\n\r\n${hidden}`],
      [["Transfer-Encoding: chunked, identity"], `0\r\n\r\n${hidden}`],
      [["Transfer-Encoding: chunked"], `0;\n\r\n\r\n${hidden}`],
      [["Transfer-Encoding: chunked"], `0x0\r\n\r\n${hidden}`],
      [["Transfer-Encoding: chunked"], `+0\r\n\r\n${hidden}`],
      [["A: b", " Content-Length: 0"], hidden],
      [["A: b\rContent-Length: 0"], hidden],
    ];
    for (const [lines, body] of unclear) {
      const socket = t.connect();
      const head = ["POST /containers/seen/start HTTP/1.1", "Host: x", ...lines].join("\r\n");
      socket.end(`${head}\r\n\r\n${body}`);
      const answer = (await readAll(socket)).toString();
      socket.destroy();
      // Refused, or a body without an end.
      assert.match(answer, /^(HTTP\/1\.1 400 Bad Request\r\n|$)/, lines.join(" / "));
      assert.ok(answer.split("HTTP/1.1 ").length <= 2, `one answer to ${lines.join(" / ")}`);
    }
    assert.deepEqual(
      started.filter((id) => id === "hidden"),
      [],
    );
    // In chunks that are chunks it is a body and nothing else.
    const socket = t.connect();
    socket.end(
      `POST /containers/seen/start HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}0\r\n\r\n`,
    );
    await readAll(socket);
    socket.destroy();
    assert.ok(!started.includes("hidden"));
  },
);

test("OPTIONS is 200 for anything", async () => {
  await using t = await startApi({});
  for (const path of ["/info", "/nothing", "/v1.41/containers/x/json"]) {
    assert.equal((await t.call("OPTIONS", path)).status, 200);
  }
});

test("thrown errors become Docker's answers; a plain Error is 500", async () => {
  const errors: readonly [unknown, number, string][] = [
    [notFound("No such container: c"), 404, '{"message":"No such container: c"}\n'],
    [conflict("in use"), 409, '{"message":"in use"}\n'],
    [new EngineError("notModified", "runs already"), 304, ""],
    [new TypeError("oops"), 500, '{"message":"oops"}\n'],
  ];
  for (const [error, status, text] of errors) {
    await using t = await startApi({ containerStart: () => Promise.reject(error) });
    const answer = await t.call("POST", "/v1.50/containers/c/start");
    assert.deepEqual([answer.status, answer.text], [status, text]);
  }
});

test("a connection serves request after request, also after errors, and leaks no listener", async () => {
  await using t = await startApi({
    containerStart: async (id) => {
      if (id === "bad") throw notFound("No such container: bad");
    },
  });
  const socket = t.connect();
  for (let i = 0; i < 30; i++) {
    socket.write(
      `POST /containers/${i % 2 === 0 ? "bad" : "good"}/start HTTP/1.1\r\nContent-Length: 0\r\n\r\n`,
    );
    assert.match(await readUntil(socket, i % 2 === 0 ? "}\n" : "\r\n\r\n"), i % 2 === 0 ? / 404 / : / 204 /);
  }
  socket.destroy();
});

test("a client that half-closes after its request gets the answer", async () => {
  await using t = await startApi({
    containerStart: async () => {
      await sleep(50);
    },
  });
  const socket = t.connect();
  socket.end("POST /containers/c/start HTTP/1.0\r\n\r\n");
  assert.match((await readAll(socket)).toString(), /^HTTP\/1.1 204 No Content\r\n/);
});

const malformed: readonly [what: string, bytes: string, answer: RegExp][] = [
  ["no HTTP", "\x16\x03\x01\x02\0\x01hello\r\n\r\n", /^HTTP\/1.1 400 Bad Request\r\n/],
  ["a bad length", "POST /info HTTP/1.1\r\nContent-Length: x\r\n\r\n", /^HTTP\/1.1 400 Bad Request\r\n/],
  [
    "a bad escape",
    "GET /v1.50/images/%zz/json HTTP/1.1\r\n\r\n",
    /^HTTP\/1.1 400 Bad Request\r\n.*bad % escape/s,
  ],
  ["huge headers", `GET /info HTTP/1.1\r\nX: ${"x".repeat(1_100_000)}\r\n\r\n`, /^HTTP\/1.1 431 /],
];

for (const [what, bytes, answer] of malformed) {
  test(`malformed request: ${what}`, async () => {
    await using t = await startApi({});
    const socket = t.connect();
    socket.on("error", () => {});
    socket.write(bytes);
    assert.match(await readUntil(socket, '{"message":'), answer);
    socket.destroy();
  });
}

test("request targets", () => {
  assert.deepEqual(splitTarget("/a/b?c=%20"), { path: "/a/b", query: "c=%20" });
  assert.deepEqual(splitTarget("/images/a%2Fb%3A1/json"), { path: "/images/a/b:1/json", query: "" });
  assert.deepEqual(splitTarget("http://host:1/info?x"), { path: "/info", query: "x" });
  assert.deepEqual(splitTarget("http://host"), { path: "", query: "" });
});

const json = { "content-type": "application/json" };
const badBodies: readonly {
  body: string;
  headers: Record<string, string>;
  status: number;
  message: RegExp;
}[] = [
  { body: "", headers: {}, status: 400, message: /^invalid JSON: got EOF while reading request body$/ },
  { body: " ", headers: json, status: 400, message: /^invalid JSON: got EOF while reading request body$/ },
  {
    body: "{}",
    headers: { "content-type": "text/plain" },
    status: 400,
    message: /^unsupported Content-Type header \(text\/plain\): must be 'application\/json'$/,
  },
  { body: "{", headers: json, status: 400, message: /^invalid JSON: / },
  { body: "{}{}", headers: json, status: 400, message: /^unexpected content after JSON$/ },
  {
    body: '{"Tty":1}',
    headers: json,
    status: 400,
    message: /^invalid JSON: field Tty must be true or false, not a number$/,
  },
  {
    body: `"${"x".repeat(4 * 1024 * 1024)}"`,
    headers: json,
    status: 413,
    message: /larger than 4194304 bytes/,
  },
];

for (const { body, headers, status, message } of badBodies) {
  test(`body ${body.slice(0, 20)} with ${JSON.stringify(headers)}: ${status}`, async () => {
    await using t = await startApi({});
    const answer = await t.call("POST", "/v1.50/containers/create", { body, headers });
    assert.equal(answer.status, status);
    assert.match((answer.json() as { message: string }).message, message);
  });
}

test("close() ends streams, refuses new connections and is quick", async () => {
  const t = await startApi({
    events: async function* () {
      await new Promise(() => {});
      yield* [];
    },
  });
  const socket = t.connect();
  socket.write("GET /events HTTP/1.1\r\n\r\n");
  await readUntil(socket, "\r\n\r\n");
  const idle = t.connect();
  await once(idle, "connect");
  const started = performance.now();
  const ended = readAll(socket);
  await t[Symbol.asyncDispose]();
  await ended;
  // What does not end by itself is cut off after three seconds.
  assert.ok(performance.now() - started < 2_900);
  socket.destroy();
  idle.destroy();
  const late = t.connect();
  const [error] = (await once(late, "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ENOENT");
});

test("no bytes from a client can hurt the server", async () => {
  await using t = await startApi({ containerAttach: async () => ({ tty: true, run: async () => {} }) });
  const heads = [
    "POST /containers/c/attach?stdin=1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n",
    "POST /containers/c/attach HTTP/1.1\r\n",
    "GET /containers/c/attach/ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    "POST /containers/create HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
    "CONNECT a:1 HTTP/1.1\r\n",
    "GET * HTTP/1.1\r\n",
    "",
  ];
  for (let i = 0; i < 60; i++) {
    const socket = t.connect();
    socket.on("error", () => {});
    socket.write(`${heads[i % heads.length]}${i % 3 === 0 ? "" : "\r\n"}`);
    socket.write(randomBytes(i * 7));
    if (i % 2 === 0) socket.end();
    await sleep(2);
    socket.destroy();
  }
  assert.equal((await t.call("GET", "/_ping")).text, "OK");
});
