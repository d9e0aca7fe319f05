import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocket } from "ws";
import { notFound } from "../base/errors.ts";
import type { StdioSession, StdioSink } from "../engine/engine.ts";
import { startApi, type TestApi } from "./test-support.ts";

const query = "stream=1&stdin=1&stdout=1&stderr=1";

function open(t: TestApi): WebSocket {
  return new WebSocket(`ws+unix://${t.socketPath}:/v1.50/containers/c/attach/ws?${query}`);
}

function session(run: (sink: StdioSink) => Promise<void>): () => Promise<StdioSession> {
  return async () => ({ tty: false, run });
}

function collect(socket: WebSocket): { text: string; areBinary: boolean } {
  const seen = { text: "", areBinary: true };
  socket.on("message", (data: Buffer, isBinary) => {
    seen.text += data.toString();
    seen.areBinary &&= isBinary;
  });
  return seen;
}

test("echo: messages, fragments and text are input, output is binary, the end closes", async () => {
  await using t = await startApi({
    containerAttach: session(async (sink) => {
      let text = "";
      for await (const chunk of sink.input ?? []) {
        text += String(chunk);
        sink.write(text.length % 2 === 0 ? "stdout" : "stderr", chunk as Buffer);
        if (text.endsWith("end")) return;
      }
    }),
  });
  const socket = open(t);
  const seen = collect(socket);
  await once(socket, "open");
  socket.send(Buffer.from("bin,"));
  socket.send("text,");
  socket.send("frag", { fin: false });
  socket.send("ments,", { fin: true });
  socket.ping();
  await once(socket, "pong");
  socket.send("end");
  const [code] = (await once(socket, "close")) as [number];
  assert.equal(code, 1000);
  assert.deepEqual(seen, { text: "bin,text,fragments,end", areBinary: true });
});

test("a client that closes aborts the signal and ends input", async () => {
  const done = Promise.withResolvers<boolean>();
  await using t = await startApi({
    containerAttach: session(async (sink) => {
      for await (const _ of sink.input ?? []);
      done.resolve(sink.signal.aborted);
    }),
  });
  const socket = open(t);
  await once(socket, "open");
  socket.close();
  assert.equal(await done.promise, true);
});

test("a failing session closes with 1011 and the reason", async () => {
  await using t = await startApi({
    containerAttach: session(async () => {
      throw new Error("monitor is gone");
    }),
  });
  const socket = open(t);
  const [code, reason] = (await once(socket, "close")) as [number, Buffer];
  assert.deepEqual([code, reason.toString()], [1011, "monitor is gone"]);
});

test("a slow client holds output back", async () => {
  const total = 4 * 1024 * 1024;
  let pauses = 0;
  await using t = await startApi({
    containerAttach: session(async (sink) => {
      let wake = (): void => {};
      sink.onDrain(() => wake());
      for (let sent = 0; sent < total; sent += 65536) {
        if (sink.write("stdout", Buffer.alloc(65536, "x"))) continue;
        pauses++;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    }),
  });
  const socket = open(t);
  await once(socket, "open");
  const seen = collect(socket);
  socket.pause();
  setTimeout(() => socket.resume(), 100);
  await once(socket, "close");
  assert.equal(seen.text.length, total);
  assert.ok(pauses > 0);
});

test("an unknown container is an ordinary 404", async () => {
  await using t = await startApi({
    containerAttach: async () => {
      throw notFound("No such container: c");
    },
  });
  const [error] = (await once(open(t), "error")) as [Error];
  assert.match(error.message, /404/);
});

test("a bad handshake is 400", async () => {
  await using t = await startApi({ containerAttach: session(async () => {}) });
  const answer = await t.call("GET", `/containers/c/attach/ws?${query}`, {
    headers: { connection: "Upgrade", upgrade: "websocket", "sec-websocket-key": "short" },
  });
  assert.equal(answer.status, 400);
});
