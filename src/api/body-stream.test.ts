import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { BodyStream } from "./body-stream.ts";

const requestOf = (stream: PassThrough): IncomingMessage =>
  Object.assign(stream, { complete: false }) as unknown as IncomingMessage;

test("a client that breaks off before anybody reads is no unexpected error, and the reader is told", async () => {
  const source = new PassThrough();
  const body = new BodyStream(requestOf(source));
  source.write("half");
  source.destroy(new Error("reset"));
  // Without a listener this would end the process.
  await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(async () => {
    for await (const chunk of body) void chunk;
  }, /aborted/);
});

test("a use case that gives up lets the rest pass", async () => {
  const source = new PassThrough({ highWaterMark: 1024 });
  const body = new BodyStream(requestOf(source));
  source.write(Buffer.alloc(1024));
  for await (const chunk of body) {
    assert.ok(Buffer.isBuffer(chunk));
    break;
  }
  const passed = new Promise((resolve) => source.once("end", resolve));
  for (let n = 0; n < 1_000; n++) source.write(Buffer.alloc(1024));
  source.end();
  await passed;
});
