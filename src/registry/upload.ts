/** Bringing one blob to a registry (distribution spec 1.1, Pushing Blobs): only what is not there, from where it broke. */
import { createReadStream } from "node:fs";
import { EngineError, errorText } from "../base/errors.ts";
import type { ContentStore } from "../content/content.ts";
import type { Descriptor } from "../oci/image-spec.ts";
import { RegistryConnectionError, RegistryResponseError } from "./errors.ts";
import { header, type HttpAnswer } from "./http.ts";
import { isPassingStatus, pause, pauseMs, retryAfterMs } from "./retry.ts";
import type { RegistrySession } from "./session.ts";

export interface Upload {
  readonly descriptor: Pick<Descriptor, "digest" | "size">;
  /** Repositories of the same registry that have the blob, perhaps. */
  readonly mountFrom: readonly string[];
  readonly signal: AbortSignal;
  readonly onProgress: (bytes: number) => void;
  readonly onRetry: (waitMs: number) => void;
}

/** How the blob came to be there. */
export type UploadResult =
  | { readonly kind: "exists" }
  | { readonly kind: "mounted"; readonly from: string }
  | { readonly kind: "pushed" };

/** Up to here a blob travels in one request; larger ones in pieces that can be resumed. */
const monolithicBytes = 1024 * 1024;
/** Size of one piece. */
const chunkBytes = 256 * 1024 * 1024;

/** Makes sure that the registry has the blob. */
export async function uploadBlob(
  session: RegistrySession,
  content: ContentStore,
  upload: Upload,
): Promise<UploadResult> {
  if (await hasBlob(session, upload.descriptor.digest, upload.signal)) return { kind: "exists" };
  const started = await mountOrStart(session, upload);
  if ("from" in started) return { kind: "mounted", from: started.from };
  await new UploadTransfer(session, content.path(upload.descriptor.digest), upload).run(started.location);
  return { kind: "pushed" };
}

/** Whether the repository has a blob (distribution spec 1.1, end-2). */
export async function hasBlob(
  session: RegistrySession,
  digest: string,
  signal: AbortSignal,
): Promise<boolean> {
  const answer = await session.send({
    what: `blob ${digest} of ${session.options.repository}`,
    method: "HEAD",
    path: `/blobs/${digest}`,
    accept: [200, 404],
    signal,
  });
  answer.body.resume();
  return answer.status === 200;
}

/** A registry that cannot mount starts an upload in its place. */
async function mountOrStart(
  session: RegistrySession,
  upload: Upload,
): Promise<{ from: string } | { location: URL }> {
  const { digest } = upload.descriptor;
  for (const from of upload.mountFrom) {
    const query = new URLSearchParams({ mount: digest, from });
    try {
      const answer = await session.send({
        what: `mounting blob ${digest} from ${from}`,
        method: "POST",
        path: `/blobs/uploads/?${query.toString()}`,
        headers: { "Content-Length": "0" },
        accept: [201, 202],
        alsoPullFrom: from,
        signal: upload.signal,
      });
      answer.body.resume();
      if (answer.status === 201) return { from };
      return { location: session.locationOf(answer) };
    } catch (error) {
      // No right to read there, or no such repository: the bytes are sent.
      if (!(error instanceof RegistryResponseError)) throw error;
    }
  }
  return { location: await startUpload(session, upload.descriptor.digest, upload.signal) };
}

/** Where a blob is to be sent (distribution spec 1.1, end-4a). */
export async function startUpload(
  session: RegistrySession,
  digest: string,
  signal: AbortSignal,
): Promise<URL> {
  const answer = await session.send({
    what: `starting the upload of blob ${digest} to ${session.options.repository}`,
    method: "POST",
    path: "/blobs/uploads/",
    headers: { "Content-Length": "0" },
    accept: [202],
    signal,
  });
  answer.body.resume();
  return session.locationOf(answer);
}

class UploadTransfer {
  readonly #session: RegistrySession;
  readonly #file: string;
  readonly #upload: Upload;
  #offset = 0;

  constructor(session: RegistrySession, file: string, upload: Upload) {
    this.#session = session;
    this.#file = file;
    this.#upload = upload;
  }

  /** Sends all of it. A fault asks the registry how far it got, and goes on from there or begins anew. */
  async run(start: URL): Promise<void> {
    const { attempts, place } = this.#session.options;
    let location = start;
    for (let failures = 1; ; failures += 1) {
      const before = this.#offset;
      try {
        await this.#sendFrom(location, (next) => {
          location = next;
        });
        return;
      } catch (error) {
        this.#upload.signal.throwIfAborted();
        if (!isPassing(error)) throw error;
        if (failures >= attempts) throw this.#givenUp(error, failures);
        const askedMs =
          error instanceof RegistryResponseError ? retryAfterMs(error.retryAfter, Date.now()) : undefined;
        const wait = pauseMs({ failures, baseMs: place.retryDelayMs, askedMs });
        if (wait === undefined) throw error;
        this.#upload.onRetry(wait);
        await pause(wait, this.#upload.signal);
        location = await this.#resume(location);
        if (this.#offset > before) failures = 0;
      }
    }
  }

  async #sendFrom(start: URL, onMoved: (location: URL) => void): Promise<void> {
    const { size } = this.#upload.descriptor;
    let location = start;
    const resumableBytes = size > monolithicBytes ? size : 0;
    while (this.#offset < resumableBytes) {
      const end = Math.min(size, this.#offset + chunkBytes);
      const answer = await this.#request("PATCH", location, {
        from: this.#offset,
        to: end,
        headers: { "Content-Range": `${this.#offset}-${end - 1}` },
        accept: [202, 204],
      });
      this.#offset = end;
      location = this.#session.locationOf(answer);
      onMoved(location);
    }
    const complete = new URL(location);
    complete.searchParams.set("digest", this.#upload.descriptor.digest);
    await this.#request("PUT", complete, { from: this.#offset, to: size, headers: {}, accept: [201, 204] });
    this.#offset = size;
    this.#upload.onProgress(size);
  }

  async #request(
    method: string,
    location: URL,
    piece: { from: number; to: number; headers: Record<string, string>; accept: readonly number[] },
  ): Promise<HttpAnswer> {
    const { descriptor, signal, onProgress } = this.#upload;
    const length = piece.to - piece.from;
    const answer = await this.#session.send({
      what: `sending blob ${descriptor.digest} to ${this.#session.options.repository}`,
      method,
      path: location,
      headers: {
        "Content-Type": "application/octet-stream",
        "Content-Length": String(length),
        ...piece.headers,
      },
      body: () => {
        if (length === 0) return Buffer.alloc(0);
        const stream = createReadStream(this.#file, {
          start: piece.from,
          end: piece.to - 1,
          highWaterMark: 256 * 1024,
        });
        let sent = piece.from;
        stream.on("data", (chunk) => onProgress((sent += chunk.length)));
        return stream;
      },
      accept: piece.accept,
      once: true,
      signal,
    });
    answer.body.resume();
    return answer;
  }

  /** Where the upload stands (distribution spec 1.1, end-13); a registry that does not know it any more gets a new one. */
  async #resume(location: URL): Promise<URL> {
    try {
      const answer = await this.#session.send({
        what: "asking how far an upload got",
        method: "GET",
        path: location,
        accept: [204],
        signal: this.#upload.signal,
      });
      answer.body.resume();
      const match = /^(?:bytes=)?0-(\d+)$/.exec(header(answer, "range") ?? "");
      const last = match === null ? 0 : Number(match[1]);
      // `0-0` is what registries say of an empty upload as well as of a single byte: the byte is not worth the doubt.
      if (last > 0 && last < this.#upload.descriptor.size) {
        this.#offset = last + 1;
        return this.#session.locationOf(answer);
      }
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
    }
    this.#offset = 0;
    return await startUpload(this.#session, this.#upload.descriptor.digest, this.#upload.signal);
  }

  #givenUp(error: unknown, tries: number): EngineError {
    return new EngineError(
      "unavailable",
      `blob ${this.#upload.descriptor.digest} could not be sent to ${this.#session.host} in ${tries} tries: ${errorText(error)}`,
      { hint: "Push again later: what the registry has already is not sent twice.", cause: error },
    );
  }
}

function isPassing(error: unknown): boolean {
  if (error instanceof RegistryConnectionError) return true;
  // An upload that the registry forgot, or that does not stand where we thought it did, begins anew.
  return (
    error instanceof RegistryResponseError &&
    (isPassingStatus(error.status) || [404, 416].includes(error.status))
  );
}
