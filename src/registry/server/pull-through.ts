/**
 * A registry that fills itself from another one. A tag is asked for upstream each time, by HEAD, so that a new image is
 * seen at once; what has a digest is asked for once. Without an answer from there, what is here is good enough.
 */
import { createHash, randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { EngineError, errorText, invalidArgument } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import type { BlobInfo } from "../../content/content.ts";
import { parseDigest } from "../../oci/digest.ts";
import { mediaTypes } from "../../oci/image-spec.ts";
import type { RegistryClient } from "../client.ts";
import { downloadBlob } from "../download.ts";
import { RegistryResponseError } from "../errors.ts";
import { header, readBody } from "../http.ts";
import { fetchManifest, fetchTags } from "../manifests.ts";
import type { RegistryCredentials } from "../registry.ts";
import type { RegistrySession } from "../session.ts";
import { blobHeaders } from "./blobs.ts";
import { RequestError } from "./errors.ts";
import { answerBytes, answerEmpty, type Exchange, type RegistryStores } from "./exchange.ts";
import { GrowingFile } from "./growing-file.ts";
import { parseManifestDocument } from "./manifest-document.ts";
import { parseManifestReference } from "./names.ts";

export interface PullThroughOptions {
  readonly client: RegistryClient;
  /** Domain of the registry behind, as a reference has it. */
  readonly domain: string;
  readonly credentials: RegistryCredentials;
  /** Directory for what is being fetched. */
  readonly directory: string;
}

interface Fetch {
  readonly file: GrowingFile;
  readonly sizeBytes: number;
}

const acceptedTypes = [
  mediaTypes.ociIndex,
  mediaTypes.dockerManifestList,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
].join(", ");

/** A session is kept for so long, with its token and the knowledge that the registry is there. */
const sessionMs = 60_000;

export class PullThrough {
  readonly #options: PullThroughOptions;
  readonly #fetches = new Map<string, Promise<Fetch>>();
  readonly #sessions = new Map<
    string,
    { readonly session: Promise<RegistrySession>; readonly untilMs: number }
  >();

  constructor(options: PullThroughOptions) {
    this.#options = options;
  }

  #session(repository: string, signal: AbortSignal): Promise<RegistrySession> {
    const known = this.#sessions.get(repository);
    if (known !== undefined && known.untilMs > Date.now()) return known.session;
    const { client, domain, credentials } = this.#options;
    const session = client.openOwn({
      reference: { domain, path: repository },
      action: "pull",
      credentials,
      signal,
    });
    this.#sessions.set(repository, { session, untilMs: Date.now() + sessionMs });
    session.catch(() => this.#sessions.delete(repository));
    return session;
  }

  /** Brings what a tag or digest names up to date here, if it can; what is not there upstream is not there here. */
  async freshen(exchange: Exchange, reference: string): Promise<void> {
    const { stores, repository, signal } = exchange;
    const asked = parseManifestReference(reference);
    const local = "digest" in asked ? asked.digest : stores.metadata.tag(repository, asked.tag);
    const isHere =
      local !== undefined &&
      stores.metadata.manifest(repository, local) !== undefined &&
      stores.content.has(local);
    const count = (result: string): void =>
      stores.metrics.count("proxy_requests_total", { kind: "manifest", result });
    if (isHere && "digest" in asked) return count("hit");
    try {
      const session = await this.#session(repository, signal);
      if (isHere && (await remoteDigest(session, reference, signal)) === local) return count("hit");
      await this.#fetchManifest(exchange, session, reference);
      count("miss");
    } catch (error) {
      signal.throwIfAborted();
      const isGone = error instanceof RegistryResponseError && error.status === 404;
      if (isGone && "tag" in asked && local !== undefined) stores.metadata.deleteTag(repository, asked.tag);
      if (isGone) return count("miss");
      if (!isHere) throw refusal(error);
      count("stale");
      log.warn("the registry behind does not answer; what is stored here is served", {
        repository,
        reference,
        error: errorText(error),
      });
      exchange.response.setHeader("Warning", '111 - "revalidation failed"');
    }
  }

  async #fetchManifest(exchange: Exchange, session: RegistrySession, reference: string): Promise<void> {
    const { stores, repository, signal } = exchange;
    const asked = parseManifestReference(reference);
    const fetched = await fetchManifest(session, reference, signal);
    const document = parseManifestDocument(fetched.bytes, fetched.mediaType);
    using _hold = stores.collector.hold(fetched.digest);
    await stores.content.ingest(fetched.bytes, { digest: fetched.digest });
    stores.metadata.putManifest(
      repository,
      { ...document, digest: fetched.digest, sizeBytes: fetched.bytes.length, pushedAtMs: Date.now() },
      document.links,
      "tag" in asked ? asked.tag : undefined,
    );
  }

  /** Sends a blob that is not here yet: as it comes, while it is stored. Many readers share one fetch. */
  async serveBlob(exchange: Exchange, digest: string): Promise<void> {
    const { request, response, stores, repository } = exchange;
    stores.metrics.count("proxy_requests_total", { kind: "blob", result: "miss" });
    const session = await this.#session(repository, exchange.signal).catch((error: unknown) => {
      throw refusal(error);
    });
    if (request.method === "HEAD") {
      const sizeBytes = await remoteSize(session, digest, exchange.signal);
      return answerEmpty(exchange, 200, { ...blobHeaders(digest), "Content-Length": sizeBytes });
    }
    const { bytes, sizeBytes } = await this.#fetch(exchange, session, digest);
    const body = Readable.from(bytes, { objectMode: false });
    response.writeHead(200, { ...blobHeaders(digest), "Content-Length": sizeBytes });
    await pipeline(body, response);
  }

  /** What the fetch of a blob brings that is under way, or a new one. */
  async #fetch(
    exchange: Exchange,
    session: RegistrySession,
    digest: string,
  ): Promise<{ readonly bytes: AsyncGenerator<Buffer>; readonly sizeBytes: number }> {
    const key = `${exchange.repository}@${digest}`;
    for (;;) {
      const running = this.#fetches.get(key);
      if (running !== undefined) {
        const { file, sizeBytes } = await running;
        // It is taken out before its file is closed, so what is still there can be read.
        if (this.#fetches.get(key) === running) return { bytes: file.read(), sizeBytes };
        continue;
      }
      const { promise, resolve, reject } = Promise.withResolvers<Fetch>();
      this.#fetches.set(key, promise);
      try {
        resolve(await this.#start(exchange.stores, session, digest, () => this.#fetches.delete(key)));
      } catch (error) {
        this.#fetches.delete(key);
        // Those who joined meanwhile fail with it; there may be none.
        promise.catch(() => {});
        reject(error);
        throw error;
      }
    }
  }

  async #start(
    stores: RegistryStores,
    session: RegistrySession,
    digest: string,
    onEnd: () => void,
  ): Promise<Fetch> {
    // Nobody's request: it goes on when the first reader hangs up, for the next one.
    const sizeBytes = await remoteSize(session, digest, new AbortController().signal);
    const path = join(this.#options.directory, randomUUID());
    const file = new GrowingFile(await open(path, "wx+", 0o600));
    setImmediate(() => void transfer({ stores, session, digest, sizeBytes, path, file, onEnd }));
    return { file, sizeBytes };
  }

  /** The tags upstream; undefined where it gives no answer, so that those that are known here are shown. */
  async tags({ repository, signal }: Exchange): Promise<string[] | undefined> {
    try {
      const tags = await fetchTags(await this.#session(repository, signal), signal);
      return tags.sort((a, b) => (a < b ? -1 : 1));
    } catch (error) {
      signal.throwIfAborted();
      log.debug("the registry behind lists no tags", { repository, error: errorText(error) });
      return undefined;
    }
  }

  /** Hands on what upstream says about a manifest. False where it gives no answer. */
  async passReferrers(exchange: Exchange, digest: string): Promise<boolean> {
    const { repository, signal, url } = exchange;
    try {
      const session = await this.#session(repository, signal);
      const answer = await session.send({
        what: `referrers of ${digest}`,
        method: "GET",
        path: `/referrers/${digest}${url.search}`,
        accept: [200],
        signal,
      });
      const filters = header(answer, "oci-filters-applied");
      const body = await readBody(answer, 4 * 1024 * 1024);
      answerBytes(
        exchange,
        200,
        {
          "Content-Type": mediaTypes.ociIndex,
          ...(filters === undefined ? {} : { "OCI-Filters-Applied": filters }),
        },
        body,
      );
      return true;
    } catch (error) {
      signal.throwIfAborted();
      log.debug("the registry behind knows no referrers", { repository, error: errorText(error) });
      return false;
    }
  }
}

interface Transfer extends Fetch {
  readonly stores: RegistryStores;
  readonly session: RegistrySession;
  readonly digest: string;
  readonly path: string;
  /** Called before the file is closed. */
  readonly onEnd: () => void;
}

/** Fetches a blob into a file that others read meanwhile, then makes it a blob of the store. Never throws. */
async function transfer({ stores, session, digest, sizeBytes, path, file, onEnd }: Transfer): Promise<void> {
  using _hold = stores.collector.hold(digest);
  const store = {
    ingest: async (source: Readable | Uint8Array | string): Promise<BlobInfo> => {
      await fill(file, source as Readable, { digest, sizeBytes });
      return { digest, sizeBytes };
    },
  };
  try {
    await downloadBlob(session, store, {
      descriptor: { digest, size: sizeBytes },
      signal: new AbortController().signal,
      onProgress: () => {},
      onRetry: () => {},
    });
    stores.metrics.count("proxy_bytes_total", {}, sizeBytes);
    await stores.content.adopt(path, digest);
    stores.metadata.linkBlob(session.options.repository, digest);
    onEnd();
    await file.end();
  } catch (error) {
    log.warn("a blob could not be fetched from the registry behind", { digest, error: errorText(error) });
    rmSync(path, { force: true });
    onEnd();
    await file.end({ error });
  }
}

/** Shows readers what has been written, but the last piece only when the digest is right. */
async function fill(
  file: GrowingFile,
  source: Readable,
  expect: { readonly digest: string; readonly sizeBytes: number },
): Promise<void> {
  const { algorithm } = parseDigest(expect.digest);
  const hash = createHash(algorithm);
  file.restart();
  for await (const chunk of source as AsyncIterable<Buffer>) {
    hash.update(chunk);
    const before = file.writtenBytes;
    await file.write(chunk);
    file.show(before);
  }
  const actual = `${algorithm}:${hash.digest("hex")}`;
  if (file.writtenBytes !== expect.sizeBytes || actual !== expect.digest)
    throw invalidArgument(`content does not match its digest: expected ${expect.digest}, got ${actual}`);
  file.show(expect.sizeBytes);
}

async function remoteDigest(
  session: RegistrySession,
  reference: string,
  signal: AbortSignal,
): Promise<string> {
  const answer = await session.send({
    what: `manifest ${reference}`,
    method: "HEAD",
    path: `/manifests/${reference}`,
    headers: { Accept: acceptedTypes },
    accept: [200],
    // What is here will do, so nobody waits for a second try.
    once: true,
    signal,
  });
  answer.body.resume();
  return header(answer, "docker-content-digest") ?? "";
}

async function remoteSize(session: RegistrySession, digest: string, signal: AbortSignal): Promise<number> {
  try {
    const answer = await session.send({
      what: `blob ${digest}`,
      method: "HEAD",
      path: `/blobs/${digest}`,
      accept: [200],
      signal,
    });
    answer.body.resume();
    const length = Number(header(answer, "content-length") ?? Number.NaN);
    if (Number.isSafeInteger(length)) return length;
    throw new EngineError(
      "unavailable",
      `the registry ${session.host} does not say how large blob ${digest} is`,
    );
  } catch (error) {
    throw refusal(error);
  }
}

/** What upstream refuses, in our own code: not found stays so, and a login that it wants is no fault of the client's. */
function refusal(error: unknown): unknown {
  if (!(error instanceof RegistryResponseError)) return error;
  if (error.status === 404) return new RequestError(404, "BLOB_UNKNOWN", "blob unknown to registry");
  if (error.status === 429)
    return new RequestError(429, "TOOMANYREQUESTS", error.message, {
      headers: error.retryAfter === undefined ? {} : { "Retry-After": error.retryAfter },
    });
  return new RequestError(502, "UNAVAILABLE", error.message);
}
