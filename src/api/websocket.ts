/** `attach/ws`: the container's streams over a WebSocket (RFC 6455). Frames and handshake are the `ws` package's. */
import { Readable } from "node:stream";
import type { WebSocket } from "ws";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { StdioSession, StdioSink } from "../engine/engine.ts";
import type { Exchange, Upgrade } from "./exchange.ts";
import { loggedUrl } from "./logged-url.ts";
import { unlessAborted } from "./stream.ts";

/** Output that may wait in memory for a slow client before the container is asked to pause. */
const maxBufferedBytes = 256 * 1024;
const maxMessageBytes = 1024 * 1024;

/** Status codes of RFC 6455, section 7.4.1. */
const closeCodes = { normal: 1000, serverError: 1011 } as const;

/** Joins the client's WebSocket with `session` until output has ended or the client is gone. */
export async function serveWebSocket(
  exchange: Exchange,
  session: StdioSession,
  upgrade: Upgrade,
): Promise<void> {
  const socket = await acceptWebSocket(exchange, upgrade);
  const sink = new WebSocketSink(socket, upgrade, exchange);
  try {
    await unlessAborted(session.run(sink), exchange.signal);
    socket.close(closeCodes.normal);
  } catch (error) {
    if (exchange.signal.aborted) return;
    log.error("attached websocket failed", { url: loggedUrl(exchange.request.url), error });
    // The reason of a close frame has at most 123 bytes.
    socket.close(closeCodes.serverError, Buffer.from(errorText(error)).subarray(0, 120));
  } finally {
    sink.input.destroy();
  }
}

async function acceptWebSocket(exchange: Exchange, { stream, head }: Upgrade): Promise<WebSocket> {
  // Loaded on first use: hardly anybody attaches this way.
  const { WebSocketServer } = await import("ws");
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
    // Answers to pings of a client that does not read would pile up.
    autoPong: false,
  });
  const { response, request } = exchange;
  exchange.isHijacked = true;
  if (response.socket !== null) response.detachSocket(response.socket);
  stream.on("close", () => exchange.abort());
  return await new Promise((resolve, reject) => {
    // The server itself answers a bad handshake with 400 and closes.
    stream.once("close", () => reject(new Error("the websocket handshake failed")));
    server.handleUpgrade(request, stream, head, resolve);
  });
}

/** Output as binary messages, both streams in one, without frames of Docker's; messages of the client are input. */
class WebSocketSink implements StdioSink {
  readonly input: Readable;
  readonly signal: AbortSignal;
  readonly #socket: WebSocket;
  readonly #stream: Upgrade["stream"];

  constructor(socket: WebSocket, upgrade: Upgrade, exchange: Exchange) {
    this.#socket = socket;
    this.#stream = upgrade.stream;
    this.signal = exchange.signal;
    const input = new Readable({ read: () => socket.resume() });
    this.input = input;
    socket.on("message", (data: Buffer) => {
      if (!input.destroyed && !input.push(data)) socket.pause();
    });
    socket.on("ping", (data: Buffer) => {
      if (socket.readyState === socket.OPEN && socket.bufferedAmount < maxBufferedBytes) socket.pong(data);
    });
    socket.on("error", () => exchange.abort());
    socket.on("close", () => {
      exchange.abort();
      if (!input.destroyed) input.push(null);
    });
  }

  write(_name: "stdout" | "stderr" | "system", chunk: Buffer): boolean {
    if (this.#socket.readyState !== this.#socket.OPEN) return true;
    this.#socket.send(chunk, { binary: true });
    return this.#socket.bufferedAmount < maxBufferedBytes;
  }

  onDrain(listener: () => void): void {
    this.#stream.on("drain", listener);
  }
}
