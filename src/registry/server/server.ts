/** The registry over HTTP: finds the handler, asks who is there, answers refusals, counts. */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { ServerOptions as TlsOptions } from "node:https";
import { EngineError, errorText } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { errorBody, isOwnFault, RequestError, toRequestError } from "./errors.ts";
import { answerBytes, type Exchange, type RegistryStores } from "./exchange.ts";
import { type Htpasswd, parseBasic } from "./htpasswd.ts";
import { findRoute, type Route } from "./routes.ts";

export interface RegistryServerOptions {
  readonly stores: RegistryStores;
  /** Who may use it; everybody without it. */
  readonly users?: Htpasswd | undefined;
  /** With users: others may read. */
  readonly anonymousPull: boolean;
  /** Nothing can be pushed or deleted. */
  readonly readOnly: boolean;
  /** Nothing can be deleted. */
  readonly keepAll: boolean;
  readonly tls?: TlsOptions | undefined;
}

/** A client that sends or takes nothing for so long is gone. */
const silenceTimeoutMs = 5 * 60_000;

/** Makes the server; the caller lets it listen. */
export function createRegistryServer(options: RegistryServerOptions): Server {
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    void handle(options, request, response);
  };
  const server =
    options.tls === undefined
      ? createHttpServer(onRequest)
      : process
          .getBuiltinModule("node:https")
          .createServer({ minVersion: "TLSv1.2", ...options.tls }, onRequest);
  // A blob may take hours; who is silent is cut off by the socket's own time.
  server.requestTimeout = 0;
  server.headersTimeout = 60_000;
  server.timeout = silenceTimeoutMs;
  return server;
}

async function handle(
  options: RegistryServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const startedMs = performance.now();
  const { metrics } = options.stores;
  const abort = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) abort.abort(new Error("the client is gone"));
  });
  request.on("error", () => {});
  let route: Route | undefined;
  try {
    const url = requestUrl(request);
    route = findRoute(request.method ?? "GET", url.pathname);
    await authorize(options, request, route);
    refuseWrites(options, route);
    response.setHeader("X-Content-Type-Options", "nosniff");
    if (route.isApi) response.setHeader("Docker-Distribution-API-Version", "registry/2.0");
    const { repository, reference } = route;
    const exchange: Exchange = {
      stores: options.stores,
      request,
      response,
      url,
      repository,
      reference,
      signal: abort.signal,
    };
    await route.run(exchange);
  } catch (error) {
    refuse(request, response, error);
  }
  const labels = { method: knownMethod(request.method), route: route?.name ?? "none" };
  metrics.count("http_requests_total", { ...labels, status: String(response.statusCode) });
  metrics.count("http_request_seconds_total", labels, (performance.now() - startedMs) / 1000);
  const sentBytes = request.method === "HEAD" ? 0 : Number(response.getHeader("content-length") ?? 0);
  metrics.count("http_response_bytes_total", {}, sentBytes);
  log.debug("request", { method: request.method, path: request.url, status: response.statusCode });
}

/** A label must not grow by what strangers send. */
const knownMethod = (method = ""): string =>
  ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].includes(method) ? method : "other";

function requestUrl(request: IncomingMessage): URL {
  const text = request.url ?? "/";
  if (!text.startsWith("/") || !URL.canParse(text, "http://registry"))
    throw new RequestError(400, "NAME_INVALID", "the path cannot be read");
  // Not resolved against a base: `//x` would be a host.
  const url = new URL(`http://registry${text}`);
  return url;
}

async function authorize(
  { users, anonymousPull, stores }: RegistryServerOptions,
  request: IncomingMessage,
  route: Route,
): Promise<void> {
  if (users === undefined) return;
  const given = parseBasic(request.headers.authorization);
  if (given !== undefined) {
    if (await users.verify(given.user, given.password)) return;
    stores.metrics.count("auth_failures_total", {});
  } else if (anonymousPull && !route.isWrite && route.name !== "base") return;
  throw new RequestError(401, "UNAUTHORIZED", "authentication required", {
    headers: { "WWW-Authenticate": 'Basic realm="gantry registry", charset="UTF-8"' },
  });
}

function refuseWrites({ readOnly, keepAll, stores }: RegistryServerOptions, route: Route): void {
  if (!route.isWrite) return;
  const why =
    stores.upstream !== undefined
      ? "this registry is a cache of another one; push there"
      : readOnly
        ? "this registry is read-only"
        : keepAll && route.isDelete
          ? "this registry deletes nothing"
          : undefined;
  if (why !== undefined) throw new RequestError(405, "UNSUPPORTED", why, { headers: { Allow: "GET, HEAD" } });
}

function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (isOwnFault(error) && !isHangUp(error))
    log.error("a request failed", {
      method: request.method,
      path: request.url,
      error: error instanceof Error ? error : errorText(error),
    });
  else if (error instanceof EngineError && error.kind !== "notFound")
    log.warn("a request failed", { method: request.method, path: request.url, error: error.message });
  if (response.headersSent || response.destroyed) {
    // The client must not take what came so far for all of it.
    response.destroy();
    return;
  }
  const refusal = toRequestError(error);
  // What the client still sends is read and thrown away, so that it gets to the answer.
  request.resume();
  for (const name of response.getHeaderNames()) if (name !== "warning") response.removeHeader(name);
  answerBytes(
    { request, response },
    refusal.status,
    { "Content-Type": "application/json", "X-Content-Type-Options": "nosniff", ...refusal.headers },
    errorBody(refusal),
  );
}

function isHangUp(error: unknown): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return (
    ["ECONNRESET", "EPIPE", "ERR_STREAM_PREMATURE_CLOSE", "ERR_STREAM_DESTROYED"].includes(code ?? "") ||
    message === "aborted" ||
    message === "the client is gone"
  );
}
