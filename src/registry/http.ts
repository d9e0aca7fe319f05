/** HTTP to one address of a registry: TLS as its certificates say, through a proxy where the environment names one. */
import {
  Agent as PlainAgent,
  type ClientRequest,
  type IncomingMessage,
  request as plainRequest,
} from "node:http";
import type { Agent as TlsAgent } from "node:https";
import { pipeline, type Readable } from "node:stream";
import { EngineError } from "../base/errors.ts";
import { machineAuthorities, type RegistryCertificates, registryCertificates } from "./certificates.ts";
import { RegistryConnectionError, silence } from "./errors.ts";
import type { RegistryEndpoint } from "./hosts.ts";
import { proxyFor } from "./proxy.ts";
import type { RegistryPlace } from "./registry.ts";

export interface HttpRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | Readable;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** `host[:port]` that answered, after redirects. */
  readonly host: string;
  readonly body: IncomingMessage;
}

/** An idle connection is kept for the next request of the same operation, not longer. */
const idleMs = 3_000;
const maxRedirects = 5;

/** Loaded with the first registry that is asked: TLS costs a start 15 ms and 5 MB. */
const https = () => process.getBuiltinModule("node:https");

/** Sends requests for one operation with one registry. Connections close by themselves soon after the last one. */
export class HttpSender {
  readonly #endpoint: RegistryEndpoint;
  readonly #place: RegistryPlace;
  readonly #agents = new Map<string, PlainAgent | TlsAgent>();
  #certificates: RegistryCertificates | undefined;

  constructor(endpoint: RegistryEndpoint, place: RegistryPlace) {
    this.#endpoint = endpoint;
    this.#place = place;
  }

  /**
   * Sends a request and follows redirects of what has no body. Credentials go to the origin that was asked and nowhere
   * else. Throws {@link RegistryConnectionError} when there is no answer, and the signal's reason when it is aborted.
   */
  async send(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    let target = url;
    for (let redirects = 0; ; redirects += 1) {
      const { Authorization: _secret, ...open } = request.headers;
      const headers = target.origin === url.origin ? request.headers : open;
      const body = await this.#exchange(target, { ...request, headers });
      const status = body.statusCode ?? 0;
      const location = body.headers.location;
      const isRedirect = [301, 302, 303, 307, 308].includes(status) && location !== undefined;
      if (!isRedirect || request.body !== undefined || redirects >= maxRedirects)
        return { status, headers: body.headers, host: target.host, body };
      body.resume();
      const next = new URL(location, target);
      if (next.protocol !== "https:" && target.protocol === "https:" && this.#endpoint.verifyTls)
        throw new RegistryConnectionError(target.host, new Error(`it sends us to ${next.host} in the clear`));
      target = next;
    }
  }

  async #exchange(url: URL, { method, headers, body, signal }: HttpRequest): Promise<IncomingMessage> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const agent = this.#agent(url);
    const send = url.protocol === "https:" ? https().request : plainRequest;
    const timeoutMs = this.#place.silenceTimeoutMs;
    const request: ClientRequest = send(url, { method, headers, agent, signal });
    request.setTimeout(timeoutMs, () => request.destroy(silence(timeoutMs)));
    request.on("response", resolve);
    request.on("error", reject);
    if (body === undefined || Buffer.isBuffer(body)) request.end(body);
    // An answer may come before everything was sent; what breaks then is the request's business, not the stream's.
    else pipeline(body, request, () => {});
    try {
      const response = await promise;
      // From here on a failure is seen by who reads the body.
      request.on("error", () => {});
      return response;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const proxy = proxyFor(url, this.#place.environment);
      throw new RegistryConnectionError(url.host, error, proxy === undefined ? undefined : proxyName(proxy));
    }
  }

  #agent(url: URL): PlainAgent | TlsAgent {
    const found = this.#agents.get(url.origin);
    if (found !== undefined) return found;
    const proxy = proxyFor(url, this.#place.environment);
    const common = {
      keepAlive: true,
      timeout: idleMs,
      ...(proxy === undefined ? {} : { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }),
    };
    const agent =
      url.protocol === "https:"
        ? new (https().Agent)({ ...common, ...this.#tls(url) })
        : new PlainAgent(common);
    this.#agents.set(url.origin, agent);
    return agent;
  }

  /** The registry's own certificates are for itself; where it sends us, the machine's authorities count. */
  #tls(url: URL): RegistryCertificates & { rejectUnauthorized: boolean } {
    const { verifyTls, host } = this.#endpoint;
    if (url.host !== host) return { ca: machineAuthorities(), rejectUnauthorized: verifyTls };
    this.#certificates ??= registryCertificates(this.#place.certsDirectory, host);
    return { ca: machineAuthorities(), ...this.#certificates, rejectUnauthorized: verifyTls };
  }
}

/** `host:port` of a proxy, without what is secret in its URL. */
function proxyName(proxy: string): string {
  return URL.canParse(proxy) ? new URL(proxy).host : "that is configured";
}

/** A header as one text. */
export function header(answer: Pick<HttpAnswer, "headers">, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** All of a small body. Throws `unavailable` when it is longer than `maxBytes`, `RegistryConnectionError` when it is cut. */
export async function readBody(answer: HttpAnswer, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes)
        throw new EngineError(
          "unavailable",
          `the registry ${answer.host} sent more than ${maxBytes} bytes where no honest answer is that long`,
        );
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof EngineError ? error : new RegistryConnectionError(answer.host, error);
  }
  return Buffer.concat(chunks);
}
