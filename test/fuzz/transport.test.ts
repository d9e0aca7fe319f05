/** Bytes that are no request, requests that never end, and raw streams that keep to no protocol. */
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";
import { open, type RawAnswer, send } from "./raw-client.ts";
import { randomFrom } from "../crash/load.ts";

const isLong = process.env["GANTRY_FUZZ_REQUESTS"] !== undefined;
const answerMs = 60_000;

describe("bytes on the socket", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  const suite = useDaemon();
  const say = (text: string | Buffer, options: { halfClose?: boolean } = {}): Promise<RawAnswer> =>
    send(suite.daemon.socket, [Buffer.from(text)], { answerMs, ...options });
  const lives = async (): Promise<void> => {
    assert.ok(await suite.daemon.ping(), "the daemon answers");
    assert.doesNotMatch(await suite.daemon.log(), /level=(error|fatal)/);
  };
  const withHead = (...lines: string[]): string => `${lines.join("\r\n")}\r\n\r\n`;
  const create = (...lines: string[]): string =>
    withHead("POST /containers/create HTTP/1.1", "Host: x", "Content-Type: application/json", ...lines);

  const refused: readonly (readonly [what: string, bytes: string | Buffer])[] = [
    ["no request line", "\r\n\r\nx\r\n\r\n"],
    ["a line without a target", withHead("GET")],
    ["another protocol's greeting", Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0])],
    ["HTTP/2 without an upgrade", withHead("PRI * HTTP/2.0", "", "SM")],
    ["a version that is none", withHead("GET /_ping HTTP/9.9")],
    ["a header without a colon", withHead("GET /_ping HTTP/1.1", "nonsense")],
    ["a header with a NUL", withHead("GET /_ping HTTP/1.1", "A: b\0c")],
    ["a space before the colon", withHead("GET /_ping HTTP/1.1", "Content-Length : 5")],
    ["a head of two MiB", withHead("GET /_ping HTTP/1.1", `A: ${"x".repeat(2 * 1024 * 1024)}`)],
    ["a target of two MiB", withHead(`GET /${"x".repeat(2 * 1024 * 1024)} HTTP/1.1`)],
    ["a length below nothing", create("Content-Length: -1")],
    ["a length that is no number", create("Content-Length: 1e3")],
    ["a length past all numbers", create("Content-Length: 99999999999999999999999")],
    ["two lengths", create("Content-Length: 2", "Content-Length: 3")],
    ["a length and chunks", create("Content-Length: 2", "Transfer-Encoding: chunked")],
    ["chunks of an unknown sort", `${create("Transfer-Encoding: gzip")}abc`],
    ["a chunk past all numbers", `${create("Transfer-Encoding: chunked")}ffffffffffffffffff\r\nx\r\n`],
    ["a chunk that is no number", `${create("Transfer-Encoding: chunked")}zz\r\nx\r\n`],
  ];
  test("what is no request is refused, and the next one is served", async () => {
    for (const [what, bytes] of refused) {
      const { status } = await say(bytes);
      assert.ok(status === 0 || (status >= 400 && status < 500), `${what}: ${status}`);
    }
    await lives();
  });

  test("a thousand requests in one write are answered one by one", async () => {
    const socket = await open(suite.daemon.socket);
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.write(withHead("GET /_ping HTTP/1.1", "Host: x").repeat(1_000));
    await eventually(() => text.split("HTTP/1.1 200 OK").length === 1_001, { timeoutMs: answerMs });
    socket.destroy();
    await lives();
  });

  test("requests that end anywhere leave nothing", async () => {
    const body = JSON.stringify({ Image: busybox, Cmd: ["true"], Labels: { a: "b" } });
    const whole = Buffer.from(`${create(`Content-Length: ${body.length}`)}${body}`);
    const cuts = Array.from({ length: whole.length - 1 }, (_, index) => index + 1);
    for (let start = 0; start < cuts.length; start += 16)
      await Promise.all(
        cuts.slice(start, start + 16).map((cut) =>
          send(suite.daemon.socket, [whole.subarray(0, cut)], {
            answerMs,
            halfClose: cut % 2 === 0,
            leave: cut % 2 === 1,
          }),
        ),
      );
    assert.equal(await suite.daemon.dockerOk(["ps", "-aq"]), "");
    await lives();
  });

  test("slow loris: many that never finish keep nobody waiting", { timeout: 300_000 }, async () => {
    const sockets: Socket[] = [];
    const heads = ["", "G", "GET /_ping HTTP/1.1\r\nHost: x\r\nA: ", create("Content-Length: 1000")];
    try {
      for (let count = 0; count < 200; count += 1) {
        const socket = await open(suite.daemon.socket);
        sockets.push(socket);
        socket.resume().write(heads[count % heads.length]!);
      }
      for (let round = 0; round < 20; round += 1) {
        for (const socket of sockets) if (!socket.destroyed) socket.write("x");
        await lives();
        assert.equal((await say(withHead("GET /info HTTP/1.1", "Host: x", "Connection: close"))).status, 200);
      }
      // Heads and bodies have a minute each.
      if (isLong)
        await eventually(() => sockets.every((socket) => socket.readableEnded || socket.destroyed), {
          timeoutMs: 200_000,
          what: "the end of connections that never finished a request",
        });
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    await lives();
  });

  test("hijacked streams that keep to nothing", { timeout: 300_000 }, async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "600"]);
    await daemon.dockerOk(["run", "-di", "--name", "reads", busybox, "cat"]);
    const random = randomFrom(7);
    const noise = Buffer.from(Array.from({ length: 20_000 }, () => Math.floor(random() * 256)));
    const frame = (...bytes: number[]): Buffer => Buffer.from(bytes);
    const upgrade = (target: string, protocol: string, ...more: string[]): Buffer =>
      Buffer.from(
        withHead(`${target} HTTP/1.1`, "Host: x", "Connection: Upgrade", `Upgrade: ${protocol}`, ...more),
      );
    const webSocket = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const requests = [
      upgrade("POST /containers/box/attach?stream=1&stdin=1&stdout=1", "tcp"),
      upgrade("POST /containers/reads/attach?stream=1&stdin=1&stdout=1&stderr=1&logs=1", "tcp"),
      upgrade("POST /containers/reads/attach?stream=1&stdin=1", "nonsense"),
      upgrade("GET /containers/reads/attach/ws?stream=1&stdin=1&stdout=1", "websocket", ...webSocket),
      upgrade("GET /containers/box/attach/ws?stream=1&stdout=1", "websocket", ...webSocket),
      upgrade("GET /containers/box/attach/ws", "websocket", "Sec-WebSocket-Key: short"),
      upgrade("POST /session", "h2c", "X-Docker-Expose-Session-Uuid: a"),
      upgrade("POST /session", "h2c"),
      upgrade("POST /grpc", "h2c"),
    ];
    const streams: readonly Buffer[] = [
      Buffer.alloc(0),
      noise,
      preface,
      Buffer.concat([preface, noise]),
      // HTTP/2: a frame that claims 16 MiB, a window that overflows, a stream of number 0, a storm of resets.
      Buffer.concat([preface, frame(0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1)]),
      Buffer.concat([
        preface,
        frame(0, 0, 0, 4, 0, 0, 0, 0, 0),
        frame(0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff),
      ]),
      Buffer.concat([preface, frame(0, 0, 0, 4, 0, 0, 0, 0, 0), frame(0, 0, 1, 1, 4, 0, 0, 0, 0, 0x82)]),
      Buffer.concat([
        preface,
        ...Array.from({ length: 500 }, (_, n) =>
          frame(0, 0, 4, 3, 0, 0, 0, n >> 7, (n * 2 + 1) & 255, 0, 0, 0, 8),
        ),
      ]),
      // WebSocket: unmasked, an unknown sort, a fragmented ping, a length of 2^63, a close with half a code.
      frame(0x81, 2, 0x68, 0x69),
      frame(0x83, 0x80, 0, 0, 0, 0),
      frame(0x09, 0x80, 0, 0, 0, 0),
      frame(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
      frame(0x88, 0x81, 0, 0, 0, 0, 3),
    ];
    for (const request of requests)
      await Promise.all(
        streams.flatMap((stream) => [
          send(daemon.socket, [request], { answerMs, bodyMs: 100, afterUpgrade: stream }),
          // All at once, before any answer; and gone.
          send(daemon.socket, [Buffer.concat([request, stream])], { answerMs, leave: true }),
        ]),
      );
    await lives();
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Running}}", "box"]), "true");
  });
});
