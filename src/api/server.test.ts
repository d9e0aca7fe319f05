import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Readable } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { conflict, EngineError, invalidArgument, notFound } from "../base/errors.ts";
import type { Engine, EventOptions, LogEntry, LogOptions } from "../engine/engine.ts";
import type { ProgressMessage } from "../wire/image.ts";
import type { EventMessage } from "../wire/system.ts";
import { splitTarget } from "./server.ts";
import { readAll, readUntil, startApi } from "./test-support.ts";

/** Records the calls of a method, and answers each with `result`. */
function recorder<T>(result: T): { calls: unknown[][]; method: (...args: never[]) => Promise<T> } {
  const calls: unknown[][] = [];
  return {
    calls,
    method: async (...args: unknown[]) => {
      calls.push(args);
      return result;
    },
  };
}

// what all routes share

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

// containers

test("create passes name, platform and request, and answers 201", async () => {
  const { calls, method } = recorder({ Id: "abc", Warnings: [] });
  await using t = await startApi({ containerCreate: method });
  const answer = await t.call("POST", "/v1.50/containers/create?name=n&platform=linux%2Famd64", {
    body: '{"Image":"i"}',
    headers: { "content-type": "application/json; charset=utf-8" },
  });
  assert.deepEqual([answer.status, answer.json()], [201, { Id: "abc", Warnings: [] }]);
  assert.deepEqual(calls, [
    [{ name: "n", platform: "linux/amd64", request: { Image: "i", HostConfig: {} } }],
  ]);
});

const actions: readonly {
  path: string;
  method: keyof Engine;
  args: unknown[];
  status?: number;
  verb?: string;
}[] = [
  { path: "/containers/c/start?detachKeys=x", method: "containerStart", args: ["c"] },
  { path: "/containers/c/stop", method: "containerStop", args: ["c", {}] },
  {
    path: "/containers/c/stop?t=-1&signal=INT",
    method: "containerStop",
    args: ["c", { timeoutSeconds: -1, signal: "INT" }],
  },
  { path: "/v1.41/containers/c/stop?signal=INT", method: "containerStop", args: ["c", {}] },
  { path: "/containers/c/restart?t=5", method: "containerRestart", args: ["c", { timeoutSeconds: 5 }] },
  { path: "/containers/c/kill", method: "containerKill", args: ["c", "KILL"] },
  { path: "/containers/c/kill?signal=15", method: "containerKill", args: ["c", "15"] },
  { path: "/containers/c/pause", method: "containerPause", args: ["c"] },
  { path: "/containers/c/unpause", method: "containerUnpause", args: ["c"] },
  { path: "/containers/c/rename?name=d", method: "containerRename", args: ["c", "d"] },
  { path: "/containers/c/resize?h=24&w=80", method: "containerResize", args: ["c", 24, 80], status: 200 },
  { path: "/exec/e/resize?h=24&w=80", method: "execResize", args: ["e", 24, 80], status: 200 },
  {
    path: "/containers/c?v=1&force=true",
    method: "containerRemove",
    args: ["c", { force: true, volumes: true, link: false }],
    verb: "DELETE",
  },
  {
    path: "/images/h:5/a/b:1/tag?repo=r&tag=t",
    method: "imageTag",
    args: ["h:5/a/b:1", "r", "t"],
    status: 201,
  },
];

for (const { path, method, args, status = 204, verb = "POST" } of actions) {
  test(`${verb} ${path}`, async () => {
    const { calls, method: call } = recorder(undefined);
    await using t = await startApi({ [method]: call });
    const answer = await t.call(verb, path);
    assert.deepEqual([answer.status, answer.text, calls], [status, "", [args]]);
  });
}

const refusedParameters: readonly [verb: string, path: string][] = [
  ["GET", "/containers/json?limit=x"],
  ["GET", "/containers/json?filters=x"],
  ["POST", "/containers/c/stop?t=soon"],
  ["POST", "/containers/c/resize?h=1"],
  ["POST", "/containers/c/resize?h=x&w=1"],
  ["POST", "/containers/c/resize?h=-1&w=1"],
  ["POST", "/exec/e/resize?h=65536&w=1"],
  ["POST", "/containers/c/wait?condition=later"],
  ["POST", "/containers/c/wait?condition=constructor"],
  ["GET", "/containers/c/logs"],
  ["GET", "/containers/c/logs?stdout=0&stderr=no"],
  ["GET", "/containers/c/logs?stdout=1&since=yesterday"],
  ["GET", "/events?until=x"],
  ["GET", "/containers/c/attach/ws"],
  ["POST", "/images/create"],
  ["POST", "/images/i/tag"],
];

for (const [verb, path] of refusedParameters) {
  test(`${verb} ${path} is 400`, async () => {
    await using t = await startApi({});
    assert.equal((await t.call(verb, path)).status, 400);
  });
}

test("start refuses settings in its body", async () => {
  await using t = await startApi({ containerStart: async () => {} });
  assert.equal((await t.call("POST", "/containers/c/start", { body: "{}" })).status, 204);
  assert.equal((await t.call("POST", "/containers/c/start", { body: '{"Binds":null}' })).status, 400);
});

test("wait: headers at once, the body at the exit", async () => {
  const exit = Promise.withResolvers<{ StatusCode: number; Error: null }>();
  await using t = await startApi({ containerWait: () => ({ result: exit.promise }) });
  const socket = t.connect();
  socket.write("POST /v1.50/containers/c/wait?condition=removed HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  const head = await readUntil(socket, "\r\n\r\n");
  assert.match(head, /^HTTP\/1.1 200 OK\r\n/);
  assert.match(head, /\r\nTransfer-Encoding: chunked\r\n/);
  assert.match(head, /\r\nContent-Type: application\/json\r\n/);
  exit.resolve({ StatusCode: 7, Error: null });
  assert.match(await readUntil(socket, "\r\n0\r\n\r\n"), /{"StatusCode":7,"Error":null}\n/);
  socket.destroy();
});

test("wait: an unknown container is 404, a failure after the headers is in the body", async () => {
  await using t = await startApi({
    containerWait: (id) => {
      if (id === "none") throw notFound("No such container: none");
      return { result: Promise.reject(new Error("removal failed")) };
    },
  });
  assert.equal((await t.call("POST", "/containers/none/wait")).status, 404);
  assert.deepEqual((await t.call("POST", "/containers/c/wait")).json(), {
    StatusCode: -1,
    Error: { Message: "removal failed" },
  });
});

test("wait: a client that goes away aborts it", async () => {
  const gone = Promise.withResolvers<void>();
  await using t = await startApi({
    containerWait: (_id, _condition, signal) => {
      signal.addEventListener("abort", () => gone.resolve());
      return { result: new Promise(() => {}) };
    },
  });
  const socket = t.connect();
  socket.write("POST /containers/c/wait HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  await readUntil(socket, "\r\n\r\n");
  socket.destroy();
  await gone.promise;
});

// streams

function logsOf(entries: AsyncIterable<LogEntry[]>, tty = false): Partial<Engine> & { seen: LogOptions[] } {
  const seen: LogOptions[] = [];
  return {
    seen,
    containerLogs: async (_id, options) => {
      seen.push(options);
      return { tty, entries };
    },
  };
}

async function* entries(...lines: [stream: "stdout" | "stderr", text: string][]): AsyncGenerator<LogEntry[]> {
  const time = "2023-11-14T22:13:20.000000001Z";
  for (const [stream, text] of lines)
    yield [{ stream, time, line: Buffer.from(text), attributes: { tag: "a b", env: "x" } }];
}

test("logs: a frame a line, with time and details", async () => {
  const engine = logsOf(entries(["stdout", "a\n"], ["stderr", "b\n"]));
  await using t = await startApi(engine);
  const answer = await t.call(
    "GET",
    "/v1.50/containers/c/logs?stdout=1&stderr=1&timestamps=1&details=1&tail=5&since=1.5",
  );
  assert.equal(answer.headers["content-type"], "application/vnd.docker.multiplexed-stream");
  const time = "2023-11-14T22:13:20.000000001Z";
  assert.equal(
    answer.text,
    `\x01\0\0\0\0\0\0\x2f${time} env=x,tag=a+b a\n\x02\0\0\0\0\0\0\x2f${time} env=x,tag=a+b b\n`,
  );
  const { signal: _signal, ...options } = engine.seen[0]!;
  assert.deepEqual(options, {
    stdout: true,
    stderr: true,
    follow: false,
    tail: 5,
    sinceNs: 1_500_000_000n,
    untilNs: 0n,
  });
});

test("logs: raw with a terminal; no content type of its own before 1.42; any odd tail is all", async () => {
  const engine = logsOf(entries(["stdout", "a\r\n"]), true);
  await using t = await startApi(engine);
  const answer = await t.call("GET", "/v1.41/containers/c/logs?stdout=1&tail=-1");
  assert.deepEqual(
    [answer.headers["content-type"], answer.text],
    ["application/vnd.docker.raw-stream", "a\r\n"],
  );
  assert.equal(engine.seen[0]?.tail, undefined);
});

test("logs: headers come before the first line, and a client that leaves ends the source", async () => {
  const ended = Promise.withResolvers<void>();
  await using t = await startApi(
    logsOf({
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => {}),
        return: async () => {
          ended.resolve();
          return { done: true as const, value: undefined };
        },
      }),
    }),
  );
  const socket = t.connect();
  socket.write("GET /containers/c/logs?stdout=1&follow=1 HTTP/1.1\r\n\r\n");
  await readUntil(socket, "\r\n\r\n");
  socket.end();
  await ended.promise;
});

test("logs: a failure in mid-stream breaks the connection off", async () => {
  await using t = await startApi(
    logsOf(
      (async function* () {
        yield* entries(["stdout", "a\n"]);
        throw new Error("disk is gone");
      })(),
    ),
  );
  await assert.rejects(t.call("GET", "/containers/c/logs?stdout=1"), /aborted|hang up/);
});

const event: EventMessage = {
  Type: "container",
  Action: "start",
  Actor: { ID: "abc", Attributes: { image: "busybox", name: "n" } },
  scope: "local",
  time: 1,
  timeNano: 1_000_000_001,
};

function eventsOf(...list: EventMessage[]): Partial<Engine> & { seen: EventOptions[] } {
  const seen: EventOptions[] = [];
  return {
    seen,
    events: (options) => {
      seen.push(options);
      if (options.filters.has("foo")) throw invalidArgument("invalid filter 'foo'");
      return (async function* () {
        yield* list;
      })();
    },
  };
}

test("events: shape and content type by version", async () => {
  await using t = await startApi(eventsOf(event));
  const old = await t.call("GET", "/v1.51/events?since=1&until=2.5");
  assert.equal(old.headers["content-type"], "application/json");
  assert.equal(
    old.text,
    '{"status":"start","id":"abc","from":"busybox","Type":"container","Action":"start",' +
      '"Actor":{"ID":"abc","Attributes":{"image":"busybox","name":"n"}},"scope":"local","time":1,"timeNano":1000000001}\n',
  );
  const formats: readonly [accept: string, type: string, prefix: string][] = [
    ["", "application/jsonl", ""],
    ["application/x-ndjson", "application/x-ndjson", ""],
    ["application/json-seq", "application/json-seq", "\x1e"],
    ["application/json", "application/jsonl", ""],
  ];
  for (const [accept, type, prefix] of formats) {
    const answer = await t.call("GET", "/v1.52/events", { headers: accept === "" ? {} : { accept } });
    assert.equal(answer.headers["content-type"], type);
    assert.equal(answer.text, `${prefix}${JSON.stringify(event)}\n`);
  }
});

test("events: options, and a bad filter is 400", async () => {
  const engine = eventsOf();
  await using t = await startApi(engine);
  await t.call("GET", '/events?since=1&until=2.5&filters={"type":{"container":true}}');
  assert.deepEqual(
    [engine.seen[0]?.sinceNs, engine.seen[0]?.untilNs, engine.seen[0]?.filters],
    [1_000_000_000n, 2_500_000_000n, new Map([["type", ["container"]]])],
  );
  const answer = await t.call("GET", '/events?filters={"foo":{"a":true}}');
  assert.deepEqual([answer.status, answer.json()], [400, { message: "invalid filter 'foo'" }]);
});

test("events: a slow client holds the source back", async () => {
  let produced = 0;
  await using t = await startApi({
    events: async function* () {
      for (;;) {
        produced++;
        yield { ...event, Actor: { ID: "x".repeat(10_000), Attributes: {} } };
      }
    },
  });
  const socket = t.connect();
  socket.pause();
  socket.write("GET /events HTTP/1.1\r\n\r\n");
  await sleep(100);
  const before = produced;
  await sleep(50);
  assert.equal(produced, before);
  socket.destroy();
});

// images

async function* messages(...list: (ProgressMessage | Error)[]): AsyncGenerator<ProgressMessage> {
  for (const message of list) {
    if (message instanceof Error) throw message;
    yield message;
  }
}

test("progress: objects with CRLF", async () => {
  await using t = await startApi({ imagePull: () => messages({ status: "a", id: "1" }, { status: "b" }) });
  const answer = await t.call("POST", "/v1.50/images/create?fromImage=i&tag=t", {
    headers: { "x-registry-auth": "%%%" },
  });
  assert.deepEqual(
    [answer.status, answer.headers["content-type"], answer.text],
    [200, "application/json", '{"status":"a","id":"1"}\r\n{"status":"b"}\r\n'],
  );
});

test("progress: an error before the first byte is a status, later an object", async () => {
  await using t = await startApi({
    imagePull: ({ image }) =>
      image === "early"
        ? messages(notFound("no such image"))
        : messages({ status: "a" }, conflict("cannot unpack")),
  });
  assert.equal((await t.call("POST", "/images/create?fromImage=early")).status, 404);
  const late = await t.call("POST", "/images/create?fromImage=late");
  assert.equal(late.status, 200);
  assert.equal(
    late.text,
    '{"status":"a"}\r\n{"errorDetail":{"message":"cannot unpack"},"error":"cannot unpack"}\r\n',
  );
});

test("import reads the body, or names an address", async () => {
  let options: Record<string, unknown> = {};
  await using t = await startApi({
    imageImport: async function* ({ source, signal: _signal, ...rest }) {
      let text = typeof source === "string" ? source : "";
      if (typeof source !== "string") for await (const chunk of source) text += String(chunk);
      options = { ...rest, text };
      yield { status: "sha256:1" };
    },
  });
  const path =
    "/images/create?fromSrc=-&repo=r&tag=t&message=m&changes=CMD%20a&changes=ENV%20b&platform=linux";
  const answer = await t.call("POST", path, { body: "tar", headers: { "content-type": "text/plain" } });
  assert.equal(answer.text, '{"status":"sha256:1"}\r\n');
  assert.deepEqual(options, {
    repository: "r",
    tag: "t",
    message: "m",
    changes: ["CMD a", "ENV b"],
    platform: "linux",
    text: "tar",
  });
  assert.equal((await t.call("POST", "/images/create?fromSrc=http://x/y.tar")).status, 200);
  assert.equal(options["text"], "http://x/y.tar");
});

test("load: a client that breaks off fails the source", async () => {
  const failed = Promise.withResolvers<unknown>();
  await using t = await startApi({
    imageLoad: async function* (archive) {
      try {
        for await (const _ of archive);
      } catch (error) {
        failed.resolve(error);
      }
      yield { stream: "Loaded image: x\n" };
    },
  });
  const socket = t.connect();
  socket.write("POST /images/load?quiet=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  await sleep(20);
  socket.destroy();
  assert.ok((await failed.promise) instanceof Error);
});

test("save: names, content type, and a source that fails", async () => {
  const { calls, method } = recorder(undefined);
  await using t = await startApi({
    imageSave: async (names) => {
      await (method as (names: unknown) => Promise<unknown>)(names);
      if (names[0] === "none") throw notFound("No such image: none");
      if (names[0] === "broken") {
        return Readable.from(
          (async function* () {
            yield Buffer.from("x");
            throw new Error("read error");
          })(),
        );
      }
      return Readable.from([Buffer.from("ta"), Buffer.from("r")]);
    },
  });
  const answer = await t.call("GET", "/images/get?names=a&names=b/c:1");
  assert.deepEqual([answer.text, answer.headers["content-type"]], ["tar", "application/x-tar"]);
  assert.equal((await t.call("GET", "/images/h:5/a/b/get")).text, "tar");
  assert.deepEqual(calls, [[["a", "b/c:1"]], [["h:5/a/b"]]]);
  assert.equal((await t.call("GET", "/images/none/get")).status, 404);
  await assert.rejects(t.call("GET", "/images/broken/get"), /aborted|hang up/);
});

test("networks and volumes", async () => {
  const network = {
    Name: "bridge",
    Id: "n",
    Created: "",
    Scope: "local",
    Driver: "bridge",
    EnableIPv6: false,
    IPAM: { Driver: "default", Options: null, Config: [] },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: {},
    Options: {},
    Labels: {},
  };
  await using t = await startApi({
    networkList: async () => [network],
    networkInspect: async () => network,
    volumeList: async () => ({ volumes: [], warnings: [] }),
  });
  const [listed] = (await t.call("GET", "/v1.50/networks")).json() as Record<string, unknown>[];
  assert.ok(listed !== undefined && !("Containers" in listed) && listed["EnableIPv4"] === true);
  const inspected = (await t.call("GET", "/v1.47/networks/bridge")).json() as object;
  assert.ok("Containers" in inspected && !("EnableIPv4" in inspected));
  assert.equal((await t.call("GET", "/volumes?filters=")).text, '{"Volumes":[],"Warnings":null}\n');
});

test("close() ends streams, refuses new connections and is quick", async () => {
  const t = await startApi({
    events: async function* () {
      await new Promise(() => {});
      yield event;
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
