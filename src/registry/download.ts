/** Fetching one blob: what breaks half-way goes on where it broke (distribution spec 1.1, Resuming a pull). */
import { Readable } from "node:stream";
import { EngineError, errorText, isKind } from "../base/errors.ts";
import type { ContentStore } from "../content/content.ts";
import type { Descriptor } from "../oci/image-spec.ts";
import { RegistryConnectionError, RegistryResponseError } from "./errors.ts";
import { header, type HttpAnswer } from "./http.ts";
import { isPassingStatus, pause, pauseMs, retryAfterMs } from "./retry.ts";
import type { RegistrySession } from "./session.ts";

export interface Download {
  readonly descriptor: Pick<Descriptor, "digest" | "size">;
  /** Where else it is, when the registry itself has not got it. */
  readonly url?: URL;
  readonly signal: AbortSignal;
  /** Bytes so far. */
  readonly onProgress: (bytes: number) => void;
  /** Before each further try. */
  readonly onRetry: (waitMs: number) => void;
}

/** A connection that brought at least so much does not count as a failure. */
const progressBytes = 256 * 1024;

/**
 * Brings a blob into the content store, every byte checked before it is visible. A blob that was put together from
 * several answers and is wrong is fetched once more from its beginning.
 */
export async function downloadBlob(
  session: RegistrySession,
  content: Pick<ContentStore, "ingest">,
  download: Download,
): Promise<void> {
  const { digest, size } = download.descriptor;
  const transfer = new Transfer(session, download);
  try {
    await ingest(content, transfer, { digest, size });
  } catch (error) {
    if (!isKind(error, "invalidArgument") || download.signal.aborted) throw error;
    if (!transfer.wasResumed) throw wrongBytes(session, digest, error);
    const again = new Transfer(session, download);
    try {
      await ingest(content, again, { digest, size });
    } catch (second) {
      throw isKind(second, "invalidArgument") ? wrongBytes(session, digest, second) : second;
    }
  }
}

async function ingest(
  content: Pick<ContentStore, "ingest">,
  transfer: Transfer,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
): Promise<void> {
  const stream = Readable.from(transfer.bytes(), { objectMode: false, highWaterMark: 1024 * 1024 });
  await content.ingest(stream, { digest, sizeBytes: size });
}

function wrongBytes(session: RegistrySession, digest: string, error: unknown): EngineError {
  return new EngineError(
    "unavailable",
    `the registry ${session.host} sent other bytes than it promised for blob ${digest}: ${errorText(error)}`,
    { hint: "Nothing of it was kept. Try again, or pull from another registry.", cause: error },
  );
}

class Transfer {
  readonly #session: RegistrySession;
  readonly #download: Download;
  #offset = 0;
  #failures = 0;
  wasResumed = false;

  constructor(session: RegistrySession, download: Download) {
    this.#session = session;
    this.#download = download;
  }

  async *bytes(): AsyncGenerator<Buffer> {
    const { descriptor, signal, onProgress } = this.#download;
    for (;;) {
      const start = this.#offset;
      try {
        const answer = await this.#request();
        for await (const chunk of remainder(answer, start)) {
          this.#offset += chunk.length;
          onProgress(this.#offset);
          yield chunk;
        }
        // A server that closes in peace before the end has cut the connection all the same.
        if (this.#offset >= descriptor.size) return;
        throw new RegistryConnectionError(
          this.#session.host,
          Object.assign(new Error("it ended early"), { code: "ECONNRESET" }),
        );
      } catch (error) {
        signal.throwIfAborted();
        await this.#waitOrThrow(error, start);
      }
    }
  }

  #request(): Promise<HttpAnswer> {
    const { descriptor, signal } = this.#download;
    const range: Record<string, string> = this.#offset > 0 ? { Range: `bytes=${this.#offset}-` } : {};
    return this.#session.send({
      what: `blob ${descriptor.digest} of ${this.#session.options.repository}`,
      method: "GET",
      path: this.#download.url ?? `/blobs/${descriptor.digest}`,
      headers: { "Accept-Encoding": "identity", ...range },
      accept: [200, 206],
      once: true,
      signal,
    });
  }

  /** Passing faults are waited out, as often as the options allow without any progress. */
  async #waitOrThrow(error: unknown, start: number): Promise<void> {
    const { attempts, place } = this.#session.options;
    if (!isPassing(error)) throw error;
    this.#failures = this.#offset - start >= progressBytes ? 1 : this.#failures + 1;
    if (this.#failures >= attempts) throw givenUp(error, this.#download.descriptor.digest, this.#failures);
    const wait = pauseMs({ failures: this.#failures, baseMs: place.retryDelayMs, askedMs: askedFor(error) });
    if (wait === undefined) throw error;
    this.wasResumed ||= this.#offset > 0;
    this.#download.onRetry(wait);
    await pause(wait, this.#download.signal);
  }
}

function isPassing(error: unknown): boolean {
  if (error instanceof RegistryResponseError) return isPassingStatus(error.status);
  return error instanceof RegistryConnectionError;
}

function askedFor(error: unknown): number | undefined {
  return error instanceof RegistryResponseError ? retryAfterMs(error.retryAfter, Date.now()) : undefined;
}

function givenUp(error: unknown, digest: string, tries: number): EngineError {
  return new EngineError(
    "unavailable",
    `blob ${digest} could not be fetched in ${tries} tries: ${errorText(error)}`,
    {
      hint: "Try again later: what is complete already is not fetched twice within one pull.",
      cause: error,
    },
  );
}

/** The bytes from `start` on, also from a server that does not do ranges and begins anew. */
async function* remainder(answer: HttpAnswer, start: number): AsyncGenerator<Buffer> {
  let skip = answer.status === 206 ? start - rangeStart(answer, start) : start;
  if (skip < 0)
    throw new RegistryConnectionError(answer.host, new Error("it sent another range than was asked for"));
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      if (skip >= chunk.length) skip -= chunk.length;
      else {
        yield skip > 0 ? chunk.subarray(skip) : chunk;
        skip = 0;
      }
    }
  } catch (error) {
    throw error instanceof EngineError ? error : new RegistryConnectionError(answer.host, error);
  }
}

function rangeStart(answer: HttpAnswer, asked: number): number {
  const match = /^bytes (\d+)-/.exec(header(answer, "content-range") ?? "");
  return match === null ? asked : Number(match[1]);
}
