import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { invalidArgument, notFound } from "../base/errors.ts";
import type { AttachOptions, StdioSession, StdioSink } from "../engine/engine.ts";
import type { ExecStartRequest } from "../wire/exec.ts";
import { readAll, readUntil, startApi } from "./test-support.ts";

/** A container whose program is `program`. */
function session(program: (sink: StdioSink) => Promise<void>, tty = false): StdioSession {
  return { tty, run: program };
}

async function inputText(sink: StdioSink): Promise<string> {
  let text = "";
  for await (const chunk of sink.input ?? []) text += String(chunk);
  return text;
}

const attachRequest = (version: string, headers = "Connection: Upgrade\r\nUpgrade: tcp\r\n"): string =>
  `POST /v${version}/containers/c/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\n` +
  `Host: api.moby.localhost\r\n${headers}Content-Length: 0\r\n\r\n`;

const commonHeaders =
  "Api-Version: 1.55\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/0.1.0 (linux)\r\n";

test("the answer to an upgrade, byte by byte, and frames after it", async () => {
  await using t = await startApi({
    containerAttach: async () =>
      session(async (sink) => {
        sink.write("stdout", Buffer.from("out\n"));
        sink.write("stderr", Buffer.from("err"));
        sink.write("system", Buffer.from("bad"));
      }),
  });
  const socket = t.connect();
  socket.write(attachRequest("1.41"));
  const received = await readAll(socket);
  const expected = Buffer.concat([
    Buffer.from(
      "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n" +
        `Connection: Upgrade\r\nUpgrade: tcp\r\n${commonHeaders}\r\n`,
    ),
    Buffer.from([1, 0, 0, 0, 0, 0, 0, 4, ...Buffer.from("out\n")]),
    Buffer.from([2, 0, 0, 0, 0, 0, 0, 3, ...Buffer.from("err")]),
    Buffer.from([3, 0, 0, 0, 0, 0, 0, 3, ...Buffer.from("bad")]),
  ]);
  assert.deepEqual(received.toString("latin1"), expected.toString("latin1"));
  socket.end();
});

const contentTypes: readonly { version: string; tty: boolean; type: string }[] = [
  { version: "1.41", tty: false, type: "application/vnd.docker.raw-stream" },
  { version: "1.42", tty: false, type: "application/vnd.docker.multiplexed-stream" },
  { version: "1.55", tty: false, type: "application/vnd.docker.multiplexed-stream" },
  { version: "1.55", tty: true, type: "application/vnd.docker.raw-stream" },
];

for (const { version, tty, type } of contentTypes) {
  test(`content type in API ${version}${tty ? " with a terminal" : ""}`, async () => {
    const program = async (sink: StdioSink): Promise<void> => void sink.write("stdout", Buffer.from("x"));
    await using t = await startApi({ containerAttach: async () => session(program, tty) });
    const socket = t.connect();
    socket.end(attachRequest(version));
    const received = (await readAll(socket)).toString("latin1");
    assert.match(received, new RegExp(`\r\nContent-Type: ${type}\r\n`));
    assert.equal(received.split("\r\n\r\n")[1], tty ? "x" : "\x01\0\0\0\0\0\0\x01x");
  });
}

test("without an Upgrade header the older answer is 200, and input works as well", async () => {
  await using t = await startApi({
    containerAttach: async () =>
      session(
        async (sink) => void sink.write("stdout", Buffer.from((await inputText(sink)).toUpperCase())),
        true,
      ),
  });
  const socket = t.connect();
  socket.write(attachRequest("1.50", ""));
  const head = await readUntil(socket, "\r\n\r\n");
  assert.equal(
    head,
    `HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n${commonHeaders}\r\n`,
  );
  socket.end("not http at all\r\n\r\n");
  assert.equal((await readAll(socket)).toString(), "NOT HTTP AT ALL\r\n\r\n");
});

test("a client's half-close ends its input, not the output", async () => {
  await using t = await startApi({
    containerAttach: async () =>
      session(async (sink) => {
        const text = await inputText(sink);
        await sleep(100);
        for (let i = 0; i < 3; i++) {
          sink.write("stdout", Buffer.from(`${text}${i}`));
          await sleep(10);
        }
        assert.equal(sink.signal.aborted, false);
      }, true),
  });
  const socket = t.connect();
  socket.write(attachRequest("1.50"));
  socket.end("in");
  assert.match((await readAll(socket)).toString(), /\r\n\r\nin0in1in2$/);
});

test("a half-close before the answer does not count as leaving", async () => {
  await using t = await startApi({
    containerAttach: async () => {
      await sleep(50);
      return session(async (sink) => void sink.write("stdout", Buffer.from("late")), true);
    },
  });
  const socket = t.connect();
  socket.end(attachRequest("1.50"));
  assert.match((await readAll(socket)).toString(), /101 UPGRADED.*\r\n\r\nlate$/s);
});

test("input that comes in one packet with the request is not lost", async () => {
  const seen: string[] = [];
  await using t = await startApi({
    containerAttach: async () => session(async (sink) => void seen.push(await inputText(sink)), true),
  });
  const socket = t.connect();
  socket.end(`${attachRequest("1.50")}early input`);
  await readAll(socket);
  assert.deepEqual(seen, ["early input"]);
});

for (const cut of [0, 1, 7]) {
  test(`exec start: body and input ${cut === 0 ? "in one packet" : `cut ${cut} bytes before the body's end`}`, async () => {
    const seen: unknown[] = [];
    await using t = await startApi({
      execStart: async (_id: string, request: ExecStartRequest) => {
        seen.push(request);
        return session(async (sink) => void seen.push(await inputText(sink)));
      },
    });
    const socket = t.connect();
    const body = '{"Detach":false,"Tty":true}';
    const request =
      `POST /v1.50/exec/e/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}stdin`;
    const at = request.length - "stdin".length - cut;
    socket.write(request.slice(0, at));
    if (cut > 0) await sleep(50);
    socket.write(request.slice(at));
    await sleep(20);
    socket.end(" and more");
    const received = (await readAll(socket)).toString();
    assert.match(received, /^HTTP\/1.1 101 UPGRADED\r\n/);
    assert.deepEqual(seen, [{ Detach: false, Tty: true }, "stdin and more"]);
  });
}

test("errors before the hijack are ordinary answers", async () => {
  await using t = await startApi({
    containerAttach: async (_id: string, options: AttachOptions) => {
      throw options.detachKeys === undefined
        ? notFound("No such container: c")
        : invalidArgument(`invalid detach keys`);
    },
  });
  const socket = t.connect();
  socket.write(attachRequest("1.50"));
  const received = (await readAll(socket)).toString();
  assert.match(received, /^HTTP\/1.1 404 Not Found\r\n/);
  assert.match(received, /\r\nContent-Type: application\/json\r\n/);
  assert.match(received, /\r\n\r\n{"message":"No such container: c"}\n$/);
  socket.end();
});

test("detached exec is a plain 200 without body", async () => {
  await using t = await startApi({ execStart: async () => undefined });
  const answer = await t.call("POST", "/v1.50/exec/e/start", { body: '{"Detach":true}' });
  assert.deepEqual([answer.status, answer.text, answer.headers["content-length"]], [200, "", "0"]);
});

test("a slow client makes write() answer false, and drain follows", async () => {
  const total = 8 * 1024 * 1024;
  let pauses = 0;
  await using t = await startApi({
    containerAttach: async () =>
      session(async (sink) => {
        let wake = (): void => {};
        sink.onDrain(() => wake());
        for (let sent = 0; sent < total; sent += 65536) {
          if (sink.write("stdout", Buffer.alloc(65536, "x"))) continue;
          pauses++;
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }, true),
  });
  const socket = t.connect();
  socket.write(attachRequest("1.50"));
  socket.pause();
  await sleep(50);
  socket.resume();
  const received = await readAll(socket);
  assert.equal(received.length - received.indexOf("\r\n\r\n") - 4, total);
  assert.ok(pauses > 0);
  socket.end();
});

test("a client that vanishes aborts the signal; nothing is thrown", async () => {
  const gone = Promise.withResolvers<void>();
  await using t = await startApi({
    containerAttach: async () =>
      session(async (sink) => {
        while (!sink.signal.aborted) {
          sink.write("stdout", Buffer.alloc(65536));
          await sleep(5);
        }
        sink.write("stdout", Buffer.from("into the void"));
        gone.resolve();
      }),
  });
  const socket = t.connect();
  socket.write(attachRequest("1.50"));
  await once(socket, "data");
  socket.destroy();
  await gone.promise;
});

test("a session that fails says so in the stream", async () => {
  await using t = await startApi({
    containerAttach: async () =>
      session(async () => {
        throw new Error("monitor is gone");
      }),
  });
  const socket = t.connect();
  socket.end(attachRequest("1.50"));
  const received = await readAll(socket);
  assert.equal(received.toString("latin1").split("\r\n\r\n")[1], "\x03\0\0\0\0\0\0\x11monitor is gone\r\n");
});

test("an Upgrade header on another route is not granted, and the connection goes on", async () => {
  await using t = await startApi({ containerRename: async () => {} });
  const socket = t.connect();
  const request =
    "Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n";
  socket.write(`POST /containers/c/rename?name=d HTTP/1.1\r\n${request}`);
  assert.match(await readUntil(socket, "\r\n\r\n"), /^HTTP\/1.1 204 No Content\r\n/);
  socket.write("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.match(await readUntil(socket, "OK\r\n"), /^HTTP\/1.1 200 OK\r\n/);
  socket.destroy();
});

test("closing the server ends attached clients", async () => {
  const t = await startApi({
    containerAttach: async () =>
      session((sink) => new Promise((resolve) => sink.signal.addEventListener("abort", () => resolve()))),
  });
  const socket = t.connect();
  socket.write(attachRequest("1.50"));
  await readUntil(socket, "\r\n\r\n");
  const ended = readAll(socket).then(() => socket.end());
  await t[Symbol.asyncDispose]();
  await ended;
});
