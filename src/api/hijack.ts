/**
 * Hijacking: after its head the connection is no longer HTTP but a raw stream in both directions, for `attach` and
 * `exec` (Docker Engine API, "Hijacking"). With an `Upgrade` header the answer is 101; without one it is the older
 * "200 and then raw".
 *
 * The two directions end on their own. A client that has no (more) input half-closes at once, and output goes on until
 * the program ends.
 */
import { type Duplex, Readable } from "node:stream";
import { errorText } from "../base/errors.ts";
import { asMachineFault } from "../base/machine-fault.ts";
import { log } from "../base/log.ts";
import type { StdioSession, StdioSink } from "../engine/engine.ts";
import type { Exchange, Upgrade } from "./exchange.ts";
import { frameHeader, streamContentType } from "./frames.ts";
import { loggedUrl } from "./logged-url.ts";
import { unlessAborted } from "./stream.ts";

/** How long the client may take to close its side after we have closed ours. */
const lingerMs = 5_000;

/** Makes the connection raw and joins it with `session` until output has ended or the client is gone. */
export async function serveStdio(
  exchange: Exchange,
  session: StdioSession,
  options: { readonly hasInput: boolean },
): Promise<void> {
  const isFramed = !session.tty;
  const { stream, head } = takeConnection(exchange);
  // The older way names frames in no version, as with Docker.
  const isOlderWay = exchange.upgrade === undefined;
  stream.write(answerHead(exchange, streamContentType(isFramed && !isOlderWay, exchange.apiMinor)));
  const sink = new SocketSink(stream, {
    isFramed,
    head,
    hasInput: options.hasInput,
    signal: exchange.signal,
  });
  try {
    await unlessAborted(session.run(sink), exchange.signal);
  } catch (error) {
    if (!exchange.signal.aborted) {
      const told = asMachineFault(error);
      const url = loggedUrl(exchange.request.url);
      // What the machine refuses is no fault of ours.
      if (told === error) log.error("attached stream failed", { url, error });
      else log.warn("attached stream failed", { url, error: errorText(told) });
      sink.write("system", Buffer.from(`${errorText(told)}\r\n`));
    }
  }
  sink.input?.destroy();
  closeGracefully(stream);
}

/** The connection of `exchange`, out of the hands of the HTTP server. */
export function takeConnection(exchange: Exchange): Upgrade {
  const { request, response, upgrade } = exchange;
  exchange.isHijacked = true;
  if (response.socket !== null) response.detachSocket(response.socket);
  const stream = upgrade?.stream ?? takeFromParser(request.socket);
  stream.on("error", () => exchange.abort());
  stream.on("close", () => exchange.abort());
  if (stream.destroyed) exchange.abort();
  return upgrade ?? { stream, head: Buffer.alloc(0) };
}

/**
 * Node hands over the connection by itself only for a request with an `Upgrade` header. For one without, its listeners
 * are taken off here; its `close` listener stays, because that one gives the parser back. The parser lets go of the
 * connection as soon as anybody else listens for `data`. Whoever wants the input must listen in the same tick.
 */
function takeFromParser(socket: Duplex): Duplex {
  for (const event of ["data", "end", "drain", "error", "timeout"]) socket.removeAllListeners(event);
  socket.on("data", () => {});
  return socket;
}

function answerHead(exchange: Exchange, contentType: string): string {
  const lines = [
    exchange.upgrade === undefined ? "HTTP/1.1 200 OK" : "HTTP/1.1 101 UPGRADED",
    `Content-Type: ${contentType}`,
  ];
  if (exchange.upgrade !== undefined) lines.push("Connection: Upgrade", "Upgrade: tcp");
  for (const [name, value] of Object.entries(exchange.response.getHeaders())) {
    lines.push(`${name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase())}: ${String(value)}`);
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}

interface SinkOptions {
  readonly isFramed: boolean;
  /** Input that came together with the request. */
  readonly head: Buffer;
  /** False: what the client sends is read and dropped. */
  readonly hasInput: boolean;
  readonly signal: AbortSignal;
}

/** The client's end of a raw stream. Without a terminal output is in frames, with one it is as the program wrote it. */
class SocketSink implements StdioSink {
  readonly input: Readable | undefined;
  readonly signal: AbortSignal;
  readonly #stream: Duplex;
  readonly #isFramed: boolean;

  constructor(stream: Duplex, options: SinkOptions) {
    this.#stream = stream;
    this.#isFramed = options.isFramed;
    this.signal = options.signal;
    this.input = options.hasInput ? inputOf(stream, options.head) : undefined;
    if (this.input === undefined) stream.resume();
  }

  write(name: "stdout" | "stderr" | "system", chunk: Buffer): boolean {
    if (this.#stream.destroyed || this.#stream.writableEnded) return true;
    if (!this.#isFramed) return this.#stream.write(chunk);
    // Corked, header and payload leave in one system call without being copied together.
    this.#stream.cork();
    this.#stream.write(frameHeader(name, chunk.length));
    const isReady = this.#stream.write(chunk);
    this.#stream.uncork();
    return isReady;
  }

  onDrain(listener: () => void): void {
    this.#stream.on("drain", listener);
  }

  flushedFd(): number | undefined {
    if (this.#stream.destroyed) return -1;
    if (this.#stream.writableLength > 0) return undefined;
    return descriptorOf(this.#stream);
  }
}

/** A connection's descriptor, which Node does not tell; -1 for one that has none of its own, such as TLS. */
function descriptorOf(stream: Duplex): number {
  return (stream as { _handle?: { fd?: number } })._handle?.fd ?? -1;
}

/**
 * What the client sends, as a stream of its own: whoever reads it may destroy it without hurting output. When nobody
 * reads, the connection is not read either once the buffer is full, so that a client cannot fill the memory.
 */
function inputOf(stream: Duplex, head: Buffer): Readable {
  const input = new Readable({
    read: () => void stream.resume(),
    destroy: (error, callback) => {
      stream.resume();
      callback(error);
    },
  });
  const end = (): void => {
    if (!input.destroyed && !input.readableEnded) input.push(null);
  };
  if (head.length > 0) input.push(head);
  stream.on("data", (chunk: Buffer) => {
    if (!input.destroyed && !input.push(chunk)) stream.pause();
  });
  stream.once("end", end);
  stream.once("close", end);
  return input;
}

/**
 * Ends our side and reads on until the client ends its own: closing a socket with unread input would reset the
 * connection and could take output away that the client has not read yet.
 */
export function closeGracefully(stream: Duplex): void {
  if (stream.destroyed) return;
  const timer = setTimeout(() => stream.destroy(), lingerMs);
  stream.once("close", () => clearTimeout(timer));
  stream.end();
  stream.resume();
}
