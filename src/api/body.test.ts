import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { readJson, readOptionalJson } from "./body.ts";
import { HttpError } from "./http-error.ts";

function request(headers: Record<string, string>): IncomingMessage & PassThrough {
  return Object.assign(new PassThrough(), {
    headers: { "content-type": "application/json", ...headers },
  }) as unknown as IncomingMessage & PassThrough;
}

const asIs = (value: unknown): unknown => value;
const hasStatus =
  (status: number) =>
  (error: unknown): boolean =>
    error instanceof HttpError && error.status === status;

test("a body that does not come is given up after a minute", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const message = request({ "content-length": "10" });
  const body = readJson(message, asIs);
  message.write('{"a"');
  t.mock.timers.tick(59_000);
  message.write(":");
  t.mock.timers.tick(1_000);
  await assert.rejects(body, hasStatus(408));
});

test("a connection that ends within the body", async () => {
  const message = request({ "transfer-encoding": "chunked" });
  const body = readJson(message, asIs);
  message.write("{");
  message.destroy();
  await assert.rejects(body, hasStatus(400));
});

test("a body in pieces, and none", async () => {
  const message = request({ "transfer-encoding": "chunked" });
  const body = readJson(message, asIs);
  for (const byte of Buffer.from('{"a":"ü"}')) message.write(Buffer.from([byte]));
  message.end();
  assert.deepEqual(await body, { a: "ü" });
  assert.equal(message.listenerCount("data"), 0);
  assert.equal(await readOptionalJson(request({}), asIs), undefined);
});
