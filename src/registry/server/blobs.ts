/** Blobs: reading, whole or in ranges, and deleting (distribution specification 1.1, end-2 and end-10). */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { RequestError } from "./errors.ts";
import { answerEmpty, type Exchange, headerOf, isUnchanged } from "./exchange.ts";
import { checkDigest } from "./names.ts";

const blobUnknown = (digest: string): RequestError =>
  new RequestError(404, "BLOB_UNKNOWN", "blob unknown to registry", { detail: { digest } });

/** GET and HEAD. */
export async function readBlob(exchange: Exchange): Promise<void> {
  const { stores, repository } = exchange;
  const digest = checkDigest(exchange.reference);
  if (!hasBlob(exchange, digest)) {
    if (stores.upstream === undefined) throw blobUnknown(digest);
    return await stores.upstream.serveBlob(exchange, digest);
  }
  if (stores.upstream !== undefined)
    stores.metrics.count("proxy_requests_total", { kind: "blob", result: "hit" });
  // Before a push: what is there is not sent, and must then stay until the manifest comes.
  if (exchange.request.method === "HEAD") stores.metadata.touchBlob(repository, digest);
  await sendStored(exchange, digest);
}

/** The record says that it is there, and so does the disk. */
function hasBlob({ stores, repository }: Exchange, digest: string): boolean {
  return stores.metadata.hasBlob(repository, digest) && stores.content.has(digest);
}

export function blobHeaders(digest: string): Record<string, string> {
  return {
    "Content-Type": "application/octet-stream",
    "Docker-Content-Digest": digest,
    ETag: `"${digest}"`,
    "Accept-Ranges": "bytes",
    "Cache-Control": "max-age=31536000, immutable",
  };
}

async function sendStored(exchange: Exchange, digest: string): Promise<void> {
  const { request, response, stores } = exchange;
  const headers = blobHeaders(digest);
  if (isUnchanged(request, `"${digest}"`)) {
    response.writeHead(304, headers).end();
    return;
  }
  const { sizeBytes } = stores.content.info(digest);
  const range = wantedRange(exchange, digest, sizeBytes);
  const [start, end] = range ?? [0, sizeBytes - 1];
  response.writeHead(range === undefined ? 200 : 206, {
    ...headers,
    "Content-Length": end - start + 1,
    ...(range === undefined ? {} : { "Content-Range": `bytes ${start}-${end}/${sizeBytes}` }),
  });
  if (request.method === "HEAD" || sizeBytes === 0) {
    response.end();
    return;
  }
  const file = createReadStream(stores.content.path(digest), { start, end, highWaterMark: 256 * 1024 });
  await pipeline(file, response);
}

/**
 * The one range that is asked for (RFC 9110, section 14); several at once are answered with all of it, as are ranges of
 * an older version. Throws 416.
 */
function wantedRange({ request }: Exchange, digest: string, sizeBytes: number): [number, number] | undefined {
  const text = headerOf(request, "range");
  if (text === undefined) return undefined;
  const condition = headerOf(request, "if-range");
  if (condition !== undefined && condition !== `"${digest}"`) return undefined;
  const match = /^bytes=(?:(\d{1,15})-(\d{1,15})?|-(\d{1,15}))$/.exec(text.trim());
  if (match === null) return undefined;
  const [, from, to, lastBytes] = match;
  const start = from === undefined ? Math.max(0, sizeBytes - Number(lastBytes)) : Number(from);
  const end = Math.min(sizeBytes - 1, to === undefined ? sizeBytes - 1 : Number(to));
  if (start > end)
    throw new RequestError(416, "SIZE_INVALID", "the range is not within the blob", {
      headers: { "Content-Range": `bytes */${sizeBytes}` },
    });
  return [start, end];
}

/** DELETE: the repository has it no longer; the bytes go with the next collection, if nobody else has it. */
export async function deleteBlob(exchange: Exchange): Promise<void> {
  const digest = checkDigest(exchange.reference);
  if (!exchange.stores.metadata.unlinkBlob(exchange.repository, digest)) throw blobUnknown(digest);
  answerEmpty(exchange, 202, { "Docker-Content-Digest": digest });
}
