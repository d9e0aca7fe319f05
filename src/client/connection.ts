import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { breakReason, type ClientTls, dial } from "./dial.ts";
import { ConnectionError } from "./errors.ts";
import type { Host } from "./host.ts";
import { ResponseParser, type ResponseHead } from "./response-parser.ts";

/** What a request sends after its head: nothing, a text, or a stream of unknown length (sent chunked). */
export type RequestBody = string | AsyncIterable<Uint8Array> | undefined;

export interface WireRequest {
  readonly method: string;
  /** Path with query, already encoded. */
  readonly target: string;
  /** A list makes a line of each of its values. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: RequestBody;
  readonly signal?: AbortSignal | undefined;
}

export interface WireResponse extends ResponseHead {
  /** The body. It must be read or destroyed, else its connection is never used again. */
  readonly body: Readable;
  /** After status 101: the raw stream in both directions. Half-closed with `end()`. */
  readonly upgraded: Socket | undefined;
}

/** Where a daemon is, and how the line to it is encrypted. */
export interface Endpoint {
  readonly host: Host;
  readonly tls: ClientTls | undefined;
}

/** One connection to a daemon. It serves one request at a time. */
export class Connection {
  readonly #host: Host;
  #hasTls = false;
  readonly #socket: Socket;
  readonly #onIdle: (connection: Connection) => void;
  #exchange: Exchange | undefined;
  /** Whether an answer has come over this connection before. */
  reused = false;

  private constructor(host: Host, socket: Socket, onIdle: (connection: Connection) => void) {
    this.#host = host;
    this.#socket = socket;
    this.#onIdle = onIdle;
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  /** Opens a connection. `onIdle` is called each time that it could take one more request. */
  static async open(
    { host, tls }: Endpoint,
    onIdle: (connection: Connection) => void,
    signal?: AbortSignal,
  ): Promise<Connection> {
    const connection = new Connection(host, await dial(host, tls, signal), onIdle);
    connection.#hasTls = host.kind === "tcp" && tls !== undefined;
    return connection;
  }

  /** Says what may be behind a first request that was not answered. */
  async #explain(error: unknown): Promise<never> {
    if (!(error instanceof ConnectionError) || this.#host.kind === "unix") throw error;
    let hint = "Does it want TLS (--tlsverify)?";
    // With TLS 1.3 a server says no to a certificate after the client thinks that all is well.
    if (this.#hasTls) hint = "It may not accept the client's certificate: check --tlscert and --tlskey.";
    if (this.#host.kind === "ssh") hint = (await breakReason(this.#socket)) ?? "";
    const { message, code } = error;
    throw new ConnectionError(code, `${this.#host.url}: ${message}${hint === "" ? "" : ` ${hint}`}`, error);
  }

  /** True when it can take a request. */
  get usable(): boolean {
    return this.#exchange === undefined && !this.#socket.destroyed && this.#socket.writable;
  }

  /** An idle connection does not keep the process alive. */
  setIdle(idle: boolean): void {
    if (idle) this.#socket.unref();
    else this.#socket.ref();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Sends a request; resolves when the head of its answer is there. */
  send(request: WireRequest): Promise<WireResponse> {
    request.signal?.throwIfAborted();
    const exchange = new Exchange(this.#socket, request, (reusable, rest) => this.#finish(reusable, rest));
    this.#exchange = exchange;
    exchange.writeRequest(this.#host);
    return this.reused
      ? exchange.response
      : exchange.response.catch((error: unknown) => this.#explain(error));
  }

  readonly #onData = (chunk: Buffer): void => {
    // Bytes that nobody asked for: the line is not to be trusted any more.
    if (this.#exchange === undefined) this.#socket.destroy();
    else this.#exchange.take(chunk);
  };
  readonly #onEnd = (): void => {
    this.#exchange?.peerClosed();
    this.#socket.destroy();
  };
  readonly #onError = (error: Error): void => {
    this.#exchange?.fail(error);
  };
  readonly #onClose = (): void => {
    this.#exchange?.peerClosed();
  };

  #finish(reusable: boolean, rest: Buffer | undefined): void {
    this.#exchange = undefined;
    this.reused = true;
    if (rest !== undefined) {
      this.#socket.off("data", this.#onData);
      this.#socket.off("end", this.#onEnd);
      this.#socket.off("error", this.#onError);
      this.#socket.off("close", this.#onClose);
      this.#socket.pause();
      if (rest.length > 0) this.#socket.unshift(rest);
    } else if (reusable && !this.#socket.destroyed) {
      this.#socket.resume();
      this.#onIdle(this);
    } else {
      this.#socket.destroy();
    }
  }
}

/** One request and its answer on a connection. */
class Exchange {
  readonly response: Promise<WireResponse>;
  readonly #socket: Socket;
  readonly #request: WireRequest;
  readonly #finish: (reusable: boolean, rest: Buffer | undefined) => void;
  readonly #parser: ResponseParser;
  readonly #resolve: (response: WireResponse) => void;
  readonly #reject: (error: unknown) => void;
  #body: Readable | undefined;
  #head: ResponseHead | undefined;
  #bodySent = true;
  #done = false;

  constructor(
    socket: Socket,
    request: WireRequest,
    finish: (reusable: boolean, rest: Buffer | undefined) => void,
  ) {
    this.#socket = socket;
    this.#request = request;
    this.#finish = finish;
    const { promise, resolve, reject } = Promise.withResolvers<WireResponse>();
    this.response = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#parser = new ResponseParser(request.method, {
      onHead: (head) => this.#onHead(head),
      onBody: (part) => this.#onBody(part),
      onEnd: (rest) => this.#onEnd(rest),
    });
    request.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  writeRequest(host: Host): void {
    const { method, target, headers, body } = this.#request;
    const hostHeader = host.kind !== "tcp" ? "gantry" : `${bracketed(host.hostname)}:${host.port}`;
    let head = `${method} ${target} HTTP/1.1\r\nHost: ${hostHeader}\r\n`;
    for (const [name, values] of Object.entries(headers))
      for (const value of [values].flat()) head += `${name}: ${value}\r\n`;
    if (body === undefined) {
      if (method === "POST" || method === "PUT") head += "Content-Length: 0\r\n";
      this.#socket.write(`${head}\r\n`, "latin1");
    } else if (typeof body === "string") {
      const data = Buffer.from(body);
      this.#socket.write(Buffer.concat([Buffer.from(`${head}Content-Length: ${data.length}\r\n\r\n`), data]));
    } else {
      this.#socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`, "latin1");
      this.#bodySent = false;
      this.#sendStream(body).catch((error: unknown) => this.fail(error));
    }
  }

  take(chunk: Buffer): void {
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.fail(error);
    }
  }

  peerClosed(): void {
    if (this.#done) return;
    try {
      this.#parser.close();
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    if (this.#done) return;
    this.#end();
    const failure = asConnectionError(error, this.#parser.started);
    if (this.#body === undefined) this.#reject(failure);
    else this.#body.destroy(failure);
    this.#finish(false, undefined);
  }

  async #sendStream(body: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of body) {
      if (this.#done) return;
      if (chunk.length === 0) continue;
      this.#socket.cork();
      this.#socket.write(`${chunk.length.toString(16)}\r\n`, "latin1");
      this.#socket.write(chunk);
      const more = this.#socket.write("\r\n", "latin1");
      this.#socket.uncork();
      if (!more) await drained(this.#socket);
    }
    if (this.#done) return;
    this.#socket.write("0\r\n\r\n", "latin1");
    this.#bodySent = true;
  }

  #onHead(head: ResponseHead): void {
    this.#head = head;
    const upgraded = head.status === 101 ? this.#socket : undefined;
    this.#body = new Readable({
      read: () => {
        if (!this.#done) this.#socket.resume();
      },
      destroy: (error, callback) => {
        this.#abandon();
        callback(error);
      },
    });
    // A failure before somebody reads is kept for the reader.
    this.#body.on("error", () => {});
    if (upgraded === undefined) this.#resolve({ ...head, body: this.#body, upgraded });
  }

  #onBody(part: Buffer): void {
    if (!this.#body!.push(part)) this.#socket.pause();
  }

  #onEnd(rest: Buffer): void {
    this.#end();
    const head = this.#head!;
    this.#body!.push(null);
    if (head.status === 101) {
      this.#finish(false, rest);
      this.#resolve({ ...head, body: this.#body!, upgraded: this.#socket });
      return;
    }
    const keepAlive = !/\bclose\b/i.test(head.headers.get("connection") ?? "");
    this.#finish(keepAlive && this.#bodySent && rest.length === 0, undefined);
  }

  /** The reader lost interest in a body that is not complete: only closing the connection tells the daemon. */
  #abandon(): void {
    if (this.#done) return;
    this.#end();
    this.#finish(false, undefined);
  }

  readonly #onAbort = (): void => this.fail(this.#request.signal!.reason);

  #end(): void {
    this.#done = true;
    this.#request.signal?.removeEventListener("abort", this.#onAbort);
  }
}

function bracketed(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}

/** Resolves when the socket takes more, and also when it is closed. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      socket.off("drain", settle);
      socket.off("close", settle);
      resolve();
    };
    socket.on("drain", settle);
    socket.on("close", settle);
  });
}

function asConnectionError(error: unknown, started: boolean): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const code = (error as NodeJS.ErrnoException).code;
  if (error.name === "ProtocolError") {
    return new ConnectionError("EPROTO", `The daemon's answer cannot be read: ${error.message}.`, error);
  }
  if (code === "ECONNRESET" || code === "EPIPE") {
    const when = started ? "in the middle of its answer" : "before it answered";
    return new ConnectionError(code, `The daemon closed the connection ${when}.`, error);
  }
  return error;
}
