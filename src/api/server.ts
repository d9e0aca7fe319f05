/**
 * The daemon's face: takes requests, finds their route, and turns whatever is thrown into Docker's answer. What the
 * routes do is in `routes/`; this file has what all of them share.
 */
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { EngineError, errorText } from "../base/errors.ts";
import { isLogged, log as daemonLog } from "../base/log.ts";
import type { Builder } from "../build/build.ts";
import type { Engine } from "../engine/engine.ts";
import { BuildKit } from "./buildkit/buildkit.ts";
import { DescriptorGuard } from "./descriptor-guard.ts";
import { Exchange, type Route, type Upgrade } from "./exchange.ts";
import { loggedUrl } from "./logged-url.ts";
import { closeGracefully } from "./hijack.ts";
import { errorAnswer, HttpError } from "./http-error.ts";
import {
  canEncrypt,
  closeListener,
  expandInherited,
  type ListenOptions,
  openListener,
  type ServerTls,
} from "./listen.ts";
import { createTlsServer } from "./tls.ts";
import { Query } from "./query.ts";
import { dropRest, isMuchLeft } from "./rest-of-body.ts";
import { type Match, Router } from "./router.ts";
import { routes } from "./routes.ts";
import { type ServerVersion, splitVersion, VersionRange } from "./version.ts";

/** As Go's server: requests carry settings and credentials in headers, some of them long. */
const maxHeaderBytes = 1024 * 1024;
const usualHeadersTimeoutMs = 60_000;
/** How often connections are looked at that have not sent a head. */
const usualLookMs = 30_000;
/** How long {@link ApiServer.close} lets answers that are under way end by themselves. */
const closeGraceMs = 3_000;
const closePollMs = 20;

export interface ApiServerOptions {
  readonly engine: Engine;
  readonly builder: Builder;
  readonly versionInfo: ServerVersion;
  readonly log?: typeof daemonLog;
  /** For how long a client may send its request's head; a minute when not given. */
  readonly headersTimeoutMs?: number;
  /** How many files the daemon may have open; without it nobody looks. */
  readonly descriptorLimit?: () => number;
}

export interface ApiServer {
  /**
   * Listens on each of `specs` (`unix:///path`, `tcp://host:port`) and returns them as they are, with real port
   * numbers. Throws `invalidArgument` for a bad spec, `unavailable` when one cannot be had; then none is open.
   */
  listen(specs: readonly string[], options?: ListenOptions): Promise<string[]>;
  /** Closes all listeners, gives answers a moment to end, then closes all connections. Socket files are removed. */
  close(): Promise<void>;
}

/** The API for one engine. Nothing is open before {@link ApiServer.listen}. */
export function createApiServer(options: ApiServerOptions): ApiServer {
  return new DockerApiServer(options);
}

interface Located {
  readonly match: Match<Route> | undefined;
  readonly version: string | undefined;
  readonly query: string;
}

class DockerApiServer implements ApiServer {
  readonly #engine: Engine;
  readonly #builder: Builder;
  readonly #buildkit: BuildKit;
  readonly #log: typeof daemonLog;
  readonly #headersTimeoutMs: number;
  readonly #descriptors: DescriptorGuard;
  readonly #router = new Router<Route>(routes);
  readonly #versions: VersionRange;
  readonly #headers: ReadonlyMap<string, string>;
  readonly #listeners: Server[] = [];
  readonly #connections = new Set<Socket>();
  readonly #exchanges = new Set<Exchange>();
  /** The exchange that a connection is busy with. */
  readonly #busy = new WeakMap<Duplex, Exchange>();

  constructor(options: ApiServerOptions) {
    this.#engine = options.engine;
    this.#builder = options.builder;
    this.#log = options.log ?? daemonLog;
    this.#headersTimeoutMs = options.headersTimeoutMs ?? usualHeadersTimeoutMs;
    this.#descriptors = new DescriptorGuard(options.descriptorLimit ?? (() => Number.POSITIVE_INFINITY));
    this.#buildkit = new BuildKit(options.builder, this.#log, async () => options.engine.hostGateways()[0]);
    this.#versions = new VersionRange(options.versionInfo);
    this.#headers = new Map([
      ["Api-Version", this.#versions.newest],
      ["Docker-Experimental", "false"],
      ["Ostype", "linux"],
      // Clients read the operating system out of the words in brackets, after exactly this name.
      ["Server", `Docker/${options.versionInfo.version} (linux)`],
    ]);
  }

  async listen(specs: readonly string[], options: ListenOptions = {}): Promise<string[]> {
    const addresses: string[] = [];
    const opened: Server[] = [];
    try {
      for (const spec of expandInherited(specs, options.inherited)) {
        const server = this.#createServer(canEncrypt(spec, options.inherited) ? options.tls : undefined);
        addresses.push(await openListener(server, spec, { log: this.#log, ...options }));
        opened.push(server);
        this.#log.info("API listens", { address: addresses.at(-1) });
      }
    } catch (error) {
      await Promise.all(opened.map(closeListener));
      throw error;
    }
    this.#listeners.push(...opened);
    return addresses;
  }

  async close(): Promise<void> {
    const closed = Promise.all(this.#listeners.splice(0).map(closeListener));
    for (const exchange of this.#exchanges) exchange.abort();
    const deadlineMs = performance.now() + closeGraceMs;
    const timer = setInterval(() => {
      const isLate = performance.now() > deadlineMs;
      for (const connection of this.#connections) {
        if (isLate) connection.destroy();
        else if (!this.#busy.has(connection)) connection.destroySoon();
      }
    }, closePollMs);
    await closed;
    clearInterval(timer);
  }

  #createServer(tls: ServerTls | undefined): Server {
    const settings = {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: this.#headersTimeoutMs,
      connectionsCheckingInterval: Math.min(usualLookMs, this.#headersTimeoutMs),
      // Bodies may take their time (an image of many gigabytes), and a client may keep a connection as long as it likes.
      requestTimeout: 0,
      keepAliveTimeout: 0,
      keepAlive: true,
      requireHostHeader: false,
      shouldUpgradeCallback: (request: IncomingMessage) => this.#hasUpgrade(request),
    };
    const server: Server = tls === undefined ? createServer(settings) : createTlsServer(tls, settings);
    // A client that half-closes after its request still gets the answer.
    Object.assign(server, { httpAllowHalfOpen: true });
    server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => this.#watch(socket));
    server.on("request", (request, response) => void this.#serve(request, response, undefined));
    server.on("upgrade", (request, stream, head) => this.#serveUpgrade(request, stream, head));
    server.on("clientError", (error: NodeJS.ErrnoException, stream) => this.#refuse(error, stream));
    return server;
  }

  /** A client that ends its side while it waits for an answer is gone, unless the stream is its to half-close. */
  #watch(socket: Socket): void {
    this.#descriptors.watch(socket);
    socket.on("end", () => {
      const exchange = this.#busy.get(socket);
      if (exchange?.route.upgrade === undefined) exchange?.abort();
    });
    this.#connections.add(socket);
    socket.on("close", () => {
      this.#connections.delete(socket);
      this.#busy.get(socket)?.abort();
    });
  }

  /** Called by the parser, where nothing may be thrown. */
  #hasUpgrade(request: IncomingMessage): boolean {
    try {
      return this.#locate(request).match?.route.upgrade !== undefined;
    } catch {
      return false;
    }
  }

  #serveUpgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    stream.on("error", () => stream.destroy());
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(stream as Socket);
    // An answer without upgrade ends the connection: what comes after the request need not be HTTP.
    response.on("finish", () => closeGracefully(stream));
    void this.#serve(request, response, { stream, head });
  }

  /** Never rejects: everything that is thrown becomes an answer. */
  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    upgrade: Upgrade | undefined,
  ): Promise<void> {
    const startedMs = isLogged("debug") ? performance.now() : 0;
    response.on("error", () => {});
    for (const [name, value] of this.#headers) response.setHeader(name, value);
    let exchange: Exchange | undefined;
    try {
      exchange = this.#begin(request, response, upgrade);
      await exchange?.route.handle(exchange);
    } catch (error) {
      this.#answerError(error, response, exchange);
    } finally {
      if (exchange !== undefined) this.#finish(exchange);
      if (upgrade === undefined && exchange?.isHijacked !== true) dropRest(request, response);
    }
    if (isLogged("debug")) {
      this.#log.debug("request", {
        method: request.method,
        url: loggedUrl(request.url),
        status: exchange?.isHijacked === true ? 101 : response.statusCode,
        ms: Math.round((performance.now() - startedMs) * 100) / 100,
      });
    }
  }

  /** The exchange of a request that has a route; undefined when the request is answered already. */
  #begin(
    request: IncomingMessage,
    response: ServerResponse,
    upgrade: Upgrade | undefined,
  ): Exchange | undefined {
    const { match, version, query } = this.#locate(request);
    if (request.method === "OPTIONS") {
      response.writeHead(200, { "Content-Length": 0 }).end();
      return undefined;
    }
    if (match === undefined) throw new HttpError(404, "page not found");
    const apiMinor = this.#versions.minorOf(version);
    const { route, params } = match;
    if (this.#descriptors.isLate(request.socket)) response.shouldKeepAlive = false;
    this.#descriptors.check(route);
    const exchange = new Exchange({
      engine: this.#engine,
      builder: this.#builder,
      buildkit: this.#buildkit,
      request,
      response,
      route,
      params,
      query: new Query(query),
      apiMinor,
      upgrade,
    });
    this.#exchanges.add(exchange);
    this.#busy.set(request.socket, exchange);
    return exchange;
  }

  #finish(exchange: Exchange): void {
    this.#exchanges.delete(exchange);
    if (this.#busy.get(exchange.request.socket) === exchange) this.#busy.delete(exchange.request.socket);
  }

  #locate(request: IncomingMessage): Located {
    const { path, query } = splitTarget(request.url ?? "/");
    const versioned = splitVersion(path);
    const match = this.#router.find(request.method ?? "", versioned.path);
    return { match, version: versioned.version, query };
  }

  #answerError(error: unknown, response: ServerResponse, exchange: Exchange | undefined): void {
    const isGone = exchange?.signal.aborted ?? false;
    const { status, message, isBug } = errorAnswer(
      isGone && !(error instanceof EngineError) ? gone() : error,
    );
    const fields = { method: response.req.method, url: loggedUrl(response.req.url), status };
    // The client is told what failed first; what an undo left behind is for whoever looks after the machine.
    if (error instanceof SuppressedError)
      this.#log.warn("what failed could not be undone at once", {
        ...fields,
        error: errorText(error.error),
      });
    if (isBug) this.#log.error("request failed", { ...fields, error });
    else this.#log.debug("request refused", { ...fields, message });
    if (exchange?.isHijacked === true) {
      // No longer HTTP, and nobody else has it any more.
      closeGracefully(exchange.upgrade?.stream ?? exchange.request.socket);
      return;
    }
    if (response.headersSent) {
      // The status is gone; a connection that breaks off is the only way left to say that the answer is not whole.
      if (!response.writableEnded) response.destroy();
      return;
    }
    const text = `${JSON.stringify({ message })}\n`;
    if (status === 408 || status === 413 || isMuchLeft(response.req)) response.shouldKeepAlive = false;
    if (status === 304) {
      response.writeHead(304).end();
      return;
    }
    response.writeHead(status, {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(text),
    });
    response.end(text);
  }

  /** Bytes that are no HTTP request. */
  #refuse(error: NodeJS.ErrnoException, stream: Duplex): void {
    const exchange = this.#busy.get(stream);
    if (exchange !== undefined || !stream.writable || error.code === "ECONNRESET") {
      exchange?.abort();
      stream.destroy();
      return;
    }
    const status = {
      HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
      ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
    }[error.code ?? ""];
    const text = `${JSON.stringify({ message: `malformed HTTP request: ${error.message}` })}\n`;
    stream.write(
      `HTTP/1.1 ${status ?? "400 Bad Request"}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
    );
    closeGracefully(stream);
  }
}

/** What was under way is given up when the client goes, or the daemon. Nobody reads it but a proxy in between. */
const gone = (): HttpError => new HttpError(499, "the request was given up before its answer");

/**
 * Path and query of a request target. The path is decoded as a whole, as Docker's router has it: `%2F` in a name is a
 * slash. A target in absolute form, as proxies send it, loses its scheme and host. Throws 400 for bad escapes.
 */
export function splitTarget(target: string): { path: string; query: string } {
  const local = target.startsWith("/") ? target : target.replace(/^[a-z]+:\/\/[^/?]*/i, "");
  const mark = local.indexOf("?");
  const path = mark < 0 ? local : local.slice(0, mark);
  const query = mark < 0 ? "" : local.slice(mark + 1);
  if (!path.includes("%")) return { path, query };
  try {
    return { path: decodeURIComponent(path), query };
  } catch {
    throw new HttpError(400, `malformed path: ${path} has a bad % escape`);
  }
}
