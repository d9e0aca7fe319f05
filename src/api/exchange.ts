import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { invalidArgument } from "../base/errors.ts";
import type { Builder } from "../build/build.ts";
import type { Engine } from "../engine/engine.ts";
import type { BuildKit } from "./buildkit/buildkit.ts";
import { readJson, readJsonOrEmpty, readOptionalJson } from "./body.ts";
import type { Decoder } from "./decode.ts";
import type { Query } from "./query.ts";

/** A route of the API. Its handler answers the exchange or throws. */
export interface Route {
  readonly method: string;
  /** Without version; see `router.ts` for patterns. */
  readonly path: string;
  readonly handle: (exchange: Exchange) => void | Promise<void>;
  /**
   * What the route does with the connection after its head: `hijack` makes it a raw stream, `websocket` speaks that
   * protocol. For all others an `Upgrade` header is a wish that is not granted.
   */
  readonly upgrade?: "hijack" | "websocket";
}

/** The connection of a request with an `Upgrade` header, and what was read of it after the request. */
export interface Upgrade {
  readonly stream: Duplex;
  readonly head: Buffer;
}

interface ExchangeParts {
  readonly engine: Engine;
  readonly builder: Builder;
  readonly buildkit: BuildKit;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: Route;
  readonly params: ReadonlyMap<string, string>;
  readonly query: Query;
  readonly apiMinor: number;
  readonly upgrade: Upgrade | undefined;
}

/** One request and its answer: all that a handler needs. */
export class Exchange {
  readonly engine: Engine;
  readonly builder: Builder;
  readonly buildkit: BuildKit;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: Route;
  readonly query: Query;
  /** 41 when the client speaks API 1.41. */
  readonly apiMinor: number;
  /** Set when the client asked for an upgrade and the route has one. */
  readonly upgrade: Upgrade | undefined;
  /** True once the connection is no longer HTTP: nothing may be answered through {@link response}. */
  isHijacked = false;
  readonly #params: ReadonlyMap<string, string>;
  readonly #gone = new AbortController();

  constructor(parts: ExchangeParts) {
    this.engine = parts.engine;
    this.builder = parts.builder;
    this.buildkit = parts.buildkit;
    this.request = parts.request;
    this.response = parts.response;
    this.route = parts.route;
    this.query = parts.query;
    this.apiMinor = parts.apiMinor;
    this.upgrade = parts.upgrade;
    this.#params = parts.params;
  }

  /** Aborted when the client is gone, or the daemon ends. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  abort(): void {
    if (!this.signal.aborted) this.#gone.abort();
  }

  /** A `{name}` of the route's path. */
  param(name: string): string {
    const value = this.#params.get(name);
    if (value === undefined) throw new Error(`route ${this.route.path} has no {${name}}`);
    return value;
  }

  /** A query parameter that must be there. Throws `invalidArgument`. */
  requiredQuery(name: string): string {
    const value = this.query.text(name);
    if (value === undefined) throw invalidArgument(`query parameter ${name} is required`);
    return value;
  }

  readJson<T>(decode: Decoder<T>): Promise<T> {
    return readJson(this.request, decode);
  }

  readJsonOrEmpty<T>(decode: Decoder<T>): Promise<T> {
    return readJsonOrEmpty(this.request, decode);
  }

  readOptionalJson<T>(decode: Decoder<T>): Promise<T | undefined> {
    return readOptionalJson(this.request, decode);
  }

  json(status: number, value: unknown): void {
    const text = `${JSON.stringify(value)}\n`;
    this.response.writeHead(status, {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(text),
    });
    this.response.end(text);
  }

  empty(status: number): void {
    // 204 and 304 have no body by definition and must not announce one.
    if (status === 204 || status === 304) this.response.writeHead(status);
    else this.response.writeHead(status, { "Content-Length": 0 });
    this.response.end();
  }
}
