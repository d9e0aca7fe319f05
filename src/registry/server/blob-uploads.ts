/** Uploads over HTTP: in one request or many, resumed, mounted (distribution specification 1.1, end-4 to end-6, end-11 to end-14). */
import { RequestError } from "./errors.ts";
import { answerEmpty, type Exchange, headerOf } from "./exchange.ts";
import { checkDigest, checkRepository } from "./names.ts";
import { parseContentRange, rangeHeader } from "./uploads.ts";

/** POST: begins an upload; with `mount` and `from` tries to spare it, with `digest` the body is all of it. */
export async function startUpload(exchange: Exchange): Promise<void> {
  const { stores, repository, url, request } = exchange;
  const mount = url.searchParams.get("mount");
  if (mount !== null && mountBlob(exchange, checkDigest(mount))) return;
  const digest = url.searchParams.get("digest");
  if (digest !== null) checkDigest(digest);
  const id = await stores.uploads.start(repository);
  if (digest === null) {
    request.resume();
    return answerProgress({ ...exchange, reference: id }, 202);
  }
  await appendOrForget({ ...exchange, reference: id });
  await complete({ ...exchange, reference: id }, digest);
}

/** Another repository of this registry has the blob: from then on this one has it too. */
function mountBlob(exchange: Exchange, digest: string): boolean {
  const { stores, repository, url, request } = exchange;
  const from = url.searchParams.get("from");
  // Without a repository the client has not said that it may read it somewhere.
  if (from === null || from === "") return false;
  if (!stores.metadata.hasBlob(checkRepository(from), digest) || !stores.content.has(digest)) return false;
  stores.metadata.linkBlob(repository, digest);
  request.resume();
  answerBlob(exchange, digest);
  return true;
}

/** A body that was to be all of the blob and broke off is no upload to go on with: nobody knows its name. */
async function appendOrForget(exchange: Exchange): Promise<void> {
  const { stores, repository, reference, request } = exchange;
  try {
    await stores.uploads.append(repository, reference, request);
  } catch (error) {
    stores.uploads.cancel(repository, reference);
    throw error;
  }
}

/** GET: how far it got. */
export async function uploadStatus(exchange: Exchange): Promise<void> {
  answerProgress(exchange, 204);
}

/** PATCH: a chunk with its `Content-Range`, or a stream of any length. */
export async function patchUpload(exchange: Exchange): Promise<void> {
  const { stores, repository, reference, request } = exchange;
  const range = parseContentRange(headerOf(request, "content-range"), headerOf(request, "content-length"));
  try {
    await stores.uploads.append(repository, reference, request, range);
  } catch (error) {
    if (!(error instanceof RequestError) || error.status !== 416) throw error;
    // The client learns where to go on.
    throw new RequestError(416, error.code, error.message, {
      headers: { ...error.headers, Location: uploadPath(exchange) },
    });
  }
  answerProgress(exchange, 202);
}

/** PUT: the last chunk, or everything, or nothing more; then the blob is there. */
export async function putUpload(exchange: Exchange): Promise<void> {
  const { stores, repository, reference, request, url } = exchange;
  const digest = url.searchParams.get("digest");
  if (digest === null || digest === "")
    throw new RequestError(400, "DIGEST_INVALID", "the digest of the blob is missing: add ?digest=…");
  checkDigest(digest);
  const range = parseContentRange(headerOf(request, "content-range"), headerOf(request, "content-length"));
  await stores.uploads.append(repository, reference, request, range);
  await complete(exchange, digest);
}

async function complete(exchange: Exchange, digest: string): Promise<void> {
  const { stores, repository, reference } = exchange;
  const sizeBytes = await stores.uploads.finish(repository, reference, digest);
  stores.metrics.count("uploads_total", {});
  stores.metrics.count("upload_bytes_total", {}, sizeBytes);
  answerBlob(exchange, digest);
}

/** DELETE: the client does not want to go on. */
export async function cancelUpload(exchange: Exchange): Promise<void> {
  exchange.stores.uploads.cancel(exchange.repository, exchange.reference);
  exchange.response.writeHead(204, { "Docker-Upload-UUID": exchange.reference }).end();
}

const uploadPath = ({ repository, reference }: Exchange): string =>
  `/v2/${repository}/blobs/uploads/${reference}`;

function answerProgress(exchange: Exchange, status: 202 | 204): void {
  const { stores, repository, reference, response } = exchange;
  const sizeBytes = stores.uploads.sizeBytes(repository, reference);
  const headers = {
    Location: uploadPath(exchange),
    Range: rangeHeader(sizeBytes),
    "Docker-Upload-UUID": reference,
  };
  if (status === 204) response.writeHead(204, headers).end();
  else answerEmpty(exchange, status, headers);
}

function answerBlob(exchange: Exchange, digest: string): void {
  answerEmpty(exchange, 201, {
    Location: `/v2/${exchange.repository}/blobs/${digest}`,
    "Docker-Content-Digest": digest,
  });
}
