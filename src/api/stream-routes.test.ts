/** Logs and events: their form, when their headers come, and what ends them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { invalidArgument } from "../base/errors.ts";
import type { Engine, EventOptions, LogEntry, LogOptions } from "../engine/engine.ts";
import type { EventMessage } from "../wire/system.ts";
import { readUntil, startApi } from "./test-support.ts";

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
