import type { Socket } from "node:net";
import { Connection, type RequestBody, type WireRequest, type WireResponse } from "./connection.ts";
import { type ClientTls, dial } from "./dial.ts";
import { ClientError, ConnectionError } from "./errors.ts";
import type { Host } from "./host.ts";
import { readJsonLines } from "./json-lines.ts";
import { readText } from "./read-text.ts";

/** The newest version of the Engine API that this client speaks. */
export const newestApiVersion = "1.55";

/** What a daemon that names no version speaks (rule of Docker's clients). */
const fallbackApiVersion = "1.24";

export type QueryValue = string | number | boolean | readonly string[] | undefined;

export interface RequestOptions {
  /** `undefined` and `false` are left out, `true` is written as `1`, a list repeats its key. */
  readonly query?: Readonly<Record<string, QueryValue>>;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is, chunked; needs a Content-Type in `headers`. */
  readonly stream?: AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal | undefined;
  /** Ask on the path without a version, which every daemon has: spares the question which version it speaks. */
  readonly unversioned?: boolean;
  /** Ask in this version of the API where both sides speak a later one, whose answer has less. */
  readonly newestVersion?: string;
  /** The protocol that {@link Transport.hijack} asks the connection for; `tcp` when not said. */
  readonly upgrade?: string;
  /** Statuses that are no error beside 2xx, such as 304 of start and stop. */
  readonly accept?: readonly number[];
}

/** Facts from the daemon's answer to `/_ping`. */
export interface PingResult {
  /** Newest version the daemon speaks. */
  readonly apiVersion: string;
  readonly osType: string;
  readonly builderVersion: string | undefined;
  readonly swarm: string | undefined;
  readonly experimental: boolean;
}

/** Sends requests to one daemon over as few connections as possible, with the version that both sides speak. */
export class Transport {
  readonly host: Host;
  readonly #tls: ClientTls | undefined;
  readonly #idle: Connection[] = [];
  readonly #headers: Readonly<Record<string, string>>;
  #version: string | undefined;
  #ping: Promise<PingResult> | undefined;
  #closed = false;
  #onUnreachable: ((error: ConnectionError) => Promise<boolean>) | undefined;

  /** `apiVersion` pins the version, which is negotiated otherwise. */
  constructor(
    host: Host,
    options: {
      apiVersion?: string | undefined;
      tls?: ClientTls | undefined;
      userAgent: string;
      onUnreachable?: ((error: ConnectionError) => Promise<boolean>) | undefined;
    },
  ) {
    this.host = host;
    this.#tls = options.tls;
    this.#onUnreachable = options.onUnreachable;
    this.#version = options.apiVersion;
    this.#headers = { "User-Agent": options.userAgent };
  }

  /** Asks the daemon who it is, once. */
  ping(): Promise<PingResult> {
    this.#ping ??= this.#askPing().catch((error: unknown) => {
      this.#ping = undefined;
      throw error;
    });
    return this.#ping;
  }

  /** The version of the API that requests are written in. */
  async apiVersion(): Promise<string> {
    this.#version ??= lowerVersion(newestApiVersion, (await this.ping()).apiVersion);
    return this.#version;
  }

  /** Sends a request and returns its answer, the body unread. Throws {@link ClientError} for an error status. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<WireResponse> {
    const response = await this.#send(await this.#wireRequest(method, path, options));
    if (isError(response.status, options.accept)) throw await errorOf(response);
    return response;
  }

  /** The answer's JSON body. */
  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.request(method, path, options);
    const text = await readText(response.body);
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new ConnectionError("EPROTO", `The daemon's answer to ${method} ${path} is no JSON.`, error);
    }
  }

  /** For answers without a body that matters: the status. */
  async empty(method: string, path: string, options: RequestOptions = {}): Promise<number> {
    const response = await this.request(method, path, options);
    await readText(response.body);
    return response.status;
  }

  /** The objects of a stream of JSON lines, as they arrive. Leaving the loop closes the connection. */
  async *jsonLines<T>(
    method: string,
    path: string,
    options: RequestOptions = {},
  ): AsyncGenerator<T, void, void> {
    const response = await this.request(method, path, options);
    yield* readJsonLines<T>(response.body);
  }

  /** Sends a request that asks for the connection itself, and returns it once the daemon has answered 101. */
  async hijack(
    path: string,
    options: RequestOptions = {},
  ): Promise<{ socket: Socket; headers: ReadonlyMap<string, string> }> {
    const headers = { ...options.headers, Connection: "Upgrade", Upgrade: options.upgrade ?? "tcp" };
    const wire = await this.#wireRequest("POST", path, { ...options, headers });
    const connection = await this.#open(() => {}, wire.signal);
    const response = await connection.send(wire);
    if (response.upgraded !== undefined) return { socket: response.upgraded, headers: response.headers };
    if (isError(response.status)) throw await errorOf(response);
    connection.close();
    throw new ConnectionError(
      "EPROTO",
      `The daemon answered ${response.status} instead of switching protocols (101).`,
    );
  }

  /** A line to the daemon with nothing on it yet, for those who speak for themselves. */
  async dial(): Promise<Socket> {
    const onUnreachable = this.#onUnreachable;
    this.#onUnreachable = undefined;
    try {
      return await dial(this.host, this.#tls);
    } catch (error) {
      if (onUnreachable === undefined || !(error instanceof ConnectionError)) throw error;
      if (!(await onUnreachable(error))) throw error;
      return await dial(this.host, this.#tls);
    }
  }

  /** Closes every idle connection, and those in use as soon as their answers are read. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  async #wireRequest(method: string, path: string, options: RequestOptions): Promise<WireRequest> {
    const json = options.json === undefined ? undefined : JSON.stringify(options.json);
    const body: RequestBody = json ?? options.stream;
    const contentType: Record<string, string> =
      json === undefined ? {} : { "Content-Type": "application/json" };
    return {
      method,
      target: `${this.#base()}${await this.#prefix(options)}${path}${queryText(options.query)}`,
      headers: { ...this.#headers, ...contentType, ...options.headers },
      body,
      signal: options.signal,
    };
  }

  async #prefix({ unversioned, newestVersion }: RequestOptions): Promise<string> {
    if (unversioned === true) return "";
    const version = await this.apiVersion();
    return `/v${newestVersion === undefined ? version : lowerVersion(version, newestVersion)}`;
  }

  #base(): string {
    return this.host.kind === "tcp" ? this.host.basePath : "";
  }

  async #send(request: WireRequest): Promise<WireResponse> {
    const idle = this.#takeIdle();
    if (idle !== undefined) {
      try {
        return await idle.send(request);
      } catch (error) {
        // The daemon may have closed an idle connection at the moment that it was used: then it has not seen the request.
        const replayable = request.body === undefined || typeof request.body === "string";
        if (!replayable || !isClosedBeforeAnswer(error)) throw error;
      }
    }
    const connection = await this.#open((it) => this.#release(it), request.signal);
    return await connection.send(request);
  }

  /** Opens a connection. Only the first failure is handed to `onUnreachable`, which may mend it. */
  async #open(
    onIdle: (connection: Connection) => void,
    signal: AbortSignal | undefined,
  ): Promise<Connection> {
    const onUnreachable = this.#onUnreachable;
    this.#onUnreachable = undefined;
    const endpoint = { host: this.host, tls: this.#tls };
    try {
      return await Connection.open(endpoint, onIdle, signal);
    } catch (error) {
      if (onUnreachable === undefined || !(error instanceof ConnectionError)) throw error;
      if (!(await onUnreachable(error))) throw error;
      return await Connection.open(endpoint, onIdle, signal);
    }
  }

  #takeIdle(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined) return undefined;
      if (!connection.usable) continue;
      connection.setIdle(false);
      return connection;
    }
  }

  #release(connection: Connection): void {
    if (this.#closed) {
      connection.close();
      return;
    }
    connection.setIdle(true);
    this.#idle.push(connection);
  }

  async #askPing(): Promise<PingResult> {
    const request = { target: `${this.#base()}/_ping`, headers: this.#headers };
    let response = await this.#send({ method: "HEAD", ...request });
    if (response.status !== 200 && response.status !== 500) {
      response = await this.#send({ method: "GET", ...request });
      if (isError(response.status)) throw await errorOf(response);
      await readText(response.body);
    } else {
      response.body.resume();
    }
    const { headers } = response;
    return {
      apiVersion: headers.get("api-version") ?? fallbackApiVersion,
      osType: headers.get("ostype") ?? "linux",
      builderVersion: headers.get("builder-version"),
      swarm: headers.get("swarm"),
      experimental: headers.get("docker-experimental") === "true",
    };
  }
}

/** One part of a path. Slashes and colons of image names stay as they are, as Docker's routes expect. */
export function pathPart(text: string): string {
  return encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%40", "@");
}

/** The name (with or without a slash before it) or id of a container as a part of a path. Throws `ClientError`, in the words of Docker's client, for an empty one. */
export function containerPart(text: string): string {
  const name = text.trim().replace(/^\/+/, "");
  if (name === "") throw new ClientError(0, "invalid container name or ID: value is empty");
  return pathPart(name);
}

/** The lower of two API versions such as `1.9` and `1.41`. */
export function lowerVersion(a: string, b: string): string {
  return compareVersions(a, b) <= 0 ? a : b;
}

/** Negative when API version `a` is older than `b`, 0 when they are the same. */
export function compareVersions(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split(".").map(Number);
  const [bMajor = 0, bMinor = 0] = b.split(".").map(Number);
  return aMajor - bMajor || aMinor - bMinor;
}

function queryText(query: RequestOptions["query"]): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined || value === false) continue;
    const values = Array.isArray(value)
      ? (value as readonly string[])
      : [value === true ? "1" : String(value)];
    for (const one of values) parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(one)}`);
  }
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

function isError(status: number, accepted: readonly number[] = []): boolean {
  return (status < 200 || status >= 300) && status !== 101 && !accepted.includes(status);
}

async function errorOf(response: WireResponse): Promise<ClientError> {
  const text = await readText(response.body);
  if ((response.headers.get("content-type") ?? "").startsWith("application/json")) {
    try {
      const { message } = JSON.parse(text) as { message?: unknown };
      if (typeof message === "string" && message !== "") return new ClientError(response.status, message);
    } catch {
      // Not what it says to be; shown as it is.
    }
  }
  const plain = text.trim();
  return new ClientError(
    response.status,
    plain === "" ? `${response.status} ${response.reason}`.trim() : plain,
  );
}

function isClosedBeforeAnswer(error: unknown): boolean {
  return (
    error instanceof ConnectionError &&
    (/before it answered/.test(error.message) || /without an answer/.test(error.message))
  );
}
