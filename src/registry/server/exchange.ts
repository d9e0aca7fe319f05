/** One request of the registry and its answer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import type { ContentStore } from "../../content/content.ts";
import type { Collector } from "./garbage.ts";
import type { RegistryMetadata } from "./metadata.ts";
import type { Metrics } from "./metrics.ts";
import type { PullThrough } from "./pull-through.ts";
import { RequestError } from "./errors.ts";
import type { Uploads } from "./uploads.ts";

/** What handlers work with. */
export interface RegistryStores {
  readonly content: ContentStore;
  readonly metadata: RegistryMetadata;
  readonly uploads: Uploads;
  readonly collector: Collector;
  readonly metrics: Metrics;
  /** Set in a registry that fills itself from another one. */
  readonly upstream: PullThrough | undefined;
}

export interface Exchange {
  readonly stores: RegistryStores;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly repository: string;
  /** What the path names in the repository: a digest, a tag, an upload. */
  readonly reference: string;
  readonly signal: AbortSignal;
}

/** One header as text. */
export function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

export type Headers = Readonly<Record<string, string | number>>;

/** Answers without a body. */
export function answerEmpty({ response }: Exchange, status: number, headers: Headers): void {
  response.writeHead(status, { "Content-Length": 0, ...headers }).end();
}

/** Answers with bytes; HEAD gets their headers alone. */
export function answerBytes(
  { request, response }: Pick<Exchange, "request" | "response">,
  status: number,
  headers: Headers,
  body: Buffer | string,
): void {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  response.writeHead(status, { ...headers, "Content-Length": bytes.length });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

export function answerJson(exchange: Exchange, value: unknown, headers: Headers = {}): void {
  answerBytes(exchange, 200, { "Content-Type": "application/json", ...headers }, JSON.stringify(value));
}

/** Reads a body into memory. Throws `SIZE_INVALID` (413) for one that is longer than `maxBytes`. */
export async function readLimited(body: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes <= maxBytes) chunks.push(chunk);
  }
  if (sizeBytes > maxBytes)
    throw new RequestError(413, "SIZE_INVALID", `the manifest is larger than ${maxBytes} bytes`);
  return Buffer.concat(chunks);
}

/** True when `If-None-Match` names what there is. */
export function isUnchanged(request: IncomingMessage, etag: string): boolean {
  const asked = headerOf(request, "if-none-match");
  if (asked === undefined) return false;
  return asked.split(",").some((entry) => ["*", etag].includes(entry.trim().replace(/^W\//, "")));
}

/** `n` and `last` of a list; `n` at most `max`. Throws `PAGINATION_NUMBER_INVALID`. */
export function pageOf(url: URL, max = 1000): { readonly last: string; readonly limit: number } {
  const text = url.searchParams.get("n");
  const last = url.searchParams.get("last") ?? "";
  if (text === null || text === "") return { last, limit: max };
  if (!/^\d{1,9}$/.test(text))
    throw new RequestError(
      400,
      "PAGINATION_NUMBER_INVALID",
      `invalid number of entries ${JSON.stringify(text)}`,
    );
  return { last, limit: Math.min(Number(text), max) };
}

/**
 * Splits what was read with one more than the page's limit: the entries, and the `Link` header to the rest (RFC 5988),
 * where there is one.
 */
export function paged<T>(
  url: URL,
  found: readonly T[],
  limit: number,
  nameOf: (entry: T) => string,
): { readonly entries: T[]; readonly headers: Record<string, string> } {
  const entries = found.slice(0, limit);
  const last = entries.at(-1);
  if (found.length <= limit || last === undefined) return { entries, headers: {} };
  const query = new URLSearchParams(url.searchParams);
  query.set("n", String(limit));
  query.set("last", nameOf(last));
  return { entries, headers: { Link: `<${url.pathname}?${query.toString()}>; rel="next"` } };
}
