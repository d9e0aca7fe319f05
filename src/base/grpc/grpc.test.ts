import assert from "node:assert/strict";
import { type Socket, connect, createServer } from "node:net";
import { after, before, test } from "node:test";
import { EngineError } from "../errors.ts";
import { GrpcConnection } from "./client.ts";
import { GrpcServer, method, serverStreaming, unary } from "./server.ts";
import { GrpcError, decodeMessage, encodeMessage, grpcCodes } from "./status.ts";

const text = {
  encode: (message: string): Uint8Array => Buffer.from(message),
  decode: (bytes: Uint8Array): string => Buffer.from(bytes).toString(),
};
const codecs = { incoming: text, outgoing: text };
const methodOf = (path: string) => ({ path, request: text, response: text });

let canceled: (() => void) | undefined;
const server = new GrpcServer({
  methods: new Map([
    method(
      "/t.T/Echo",
      unary(codecs, (request, call) => `${request} ${call.metadata.get("x-a")?.join("|")}`),
    ),
    method(
      "/t.T/Fail",
      unary(codecs, (request) => {
        if (request === "engine") throw new EngineError("notFound", "no such käse", { hint: "Buy one." });
        throw new GrpcError(grpcCodes.alreadyExists, "100% there\n", { details: Buffer.from([1, 2]) });
      }),
    ),
    method(
      "/t.T/Count",
      serverStreaming(codecs, async (request, call) => {
        for (let n = 0; n < Number(request); n++) {
          call.send(`${n} ${"x".repeat(1000)}`);
          if (call.isFull) await call.drained();
        }
      }),
    ),
    method("/t.T/Talk", {
      ...codecs,
      async handle(call) {
        for await (const message of call.messages()) call.send(message.toUpperCase());
        call.send("end");
      },
    }),
    method("/t.T/Hang", {
      ...codecs,
      async handle(call) {
        call.signal.addEventListener("abort", () => canceled?.());
        await new Promise(() => {});
      },
    }),
  ]),
});

const listener = createServer((socket) => void server.serve(socket));
let connection: GrpcConnection;

before(async () => {
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as { port: number };
  const socket: Socket = connect(port, "127.0.0.1");
  connection = new GrpcConnection(socket);
});
after(() => {
  connection.close();
  listener.close();
});

test("one message gets one answer, with metadata of several values", async () => {
  const metadata = new Map([["x-a", ["1", "2,3"]]]);
  assert.equal(await connection.call(methodOf("/t.T/Echo"), "hé", { metadata }), "hé 1|2,3");
});

test("failures come with their code, words and details", async () => {
  await assert.rejects(connection.call(methodOf("/t.T/Fail"), "engine"), {
    kind: "notFound",
    message: "no such käse. Buy one.",
  });
  const call = connection.open(methodOf("/t.T/Fail"));
  call.send("x");
  call.end();
  const outcome = await call.outcome;
  assert.equal(outcome?.code, grpcCodes.alreadyExists);
  assert.equal(outcome?.message, "100% there\n");
  assert.deepEqual(outcome?.details, Buffer.from([1, 2]));
  await assert.rejects(connection.call(methodOf("/t.T/None"), ""), { kind: "notImplemented" });
});

test("many messages come whole and in order, however fast they are read", async () => {
  const call = connection.open(methodOf("/t.T/Count"));
  call.send("20000");
  call.end();
  let next = 0;
  for await (const message of call.messages()) assert.equal(message.split(" ")[0], String(next++));
  await call.done();
  assert.equal(next, 20_000);
});

test("both sides may talk at once, and each may end", async () => {
  const call = connection.open(methodOf("/t.T/Talk"));
  call.send("a");
  assert.equal(await call.receive(), "A");
  call.send("b".repeat(3_000_000));
  assert.equal((await call.receive())?.length, 3_000_000);
  call.end();
  assert.equal(await call.receive(), "end");
  assert.equal(await call.receive(), undefined);
  await call.done();
});

test("a canceled call is seen at both ends", async () => {
  const seen = new Promise<void>((resolve) => (canceled = resolve));
  const abort = new AbortController();
  const call = connection.open(methodOf("/t.T/Hang"), { signal: abort.signal });
  call.send("x");
  setImmediate(() => abort.abort());
  assert.equal((await call.outcome)?.code, grpcCodes.canceled);
  await assert.rejects(call.receive(), GrpcError);
  await seen;
});

test("words survive the way through a header", () => {
  for (const words of ["plain", "100%", "ä\n\t", ""])
    assert.equal(decodeMessage(encodeMessage(words)), words);
});
