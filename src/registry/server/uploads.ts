/**
 * Uploads that are not finished: a file each, which grows by what clients send, and a row that says whose it is. Both
 * outlive the process, so a client goes on where it was. Nothing of an upload is visible before it is complete.
 */
import { createHash, type Hash, randomUUID } from "node:crypto";
import { createReadStream, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { failpoint } from "../../base/failpoint.ts";
import { fileSystemError } from "../../linux/fs-error.ts";
import type { ContentStore } from "../../content/content.ts";
import { type DigestAlgorithm, parseDigest } from "../../oci/digest.ts";
import { RequestError } from "./errors.ts";
import type { RegistryMetadata } from "./metadata.ts";

interface Progress {
  /** The hash of the first `sizeBytes`; undefined when another algorithm was asked for, or after a restart. */
  hash: Hash | undefined;
  sizeBytes: number;
}

export class Uploads {
  readonly #directory: string;
  readonly #metadata: RegistryMetadata;
  readonly #content: ContentStore;
  readonly #progress = new Map<string, Progress>();
  readonly #busy = new Set<string>();
  /** Digests whose blob is being made visible: garbage collection keeps away from them. */
  readonly #committing = new Map<string, number>();

  constructor(directory: string, metadata: RegistryMetadata, content: ContentStore) {
    this.#directory = directory;
    this.#metadata = metadata;
    this.#content = content;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Uploads that a request works on now. */
  get activeCount(): number {
    return this.#busy.size;
  }

  isCommitting(digest: string): boolean {
    return this.#committing.has(digest);
  }

  /** Begins an upload and returns its name. */
  async start(repository: string): Promise<string> {
    const id = randomUUID();
    // Before the file: a sweep takes a file away that nobody knows of.
    this.#progress.set(id, { hash: createHash("sha256"), sizeBytes: 0 });
    try {
      const file = await open(this.#path(id), "wx", 0o600);
      await file.close();
      this.#metadata.run("INSERT INTO uploads VALUES (?, ?, ?)", id, repository, Date.now());
    } catch (error) {
      this.#forget(id);
      throw fileSystemError("begin an upload", error);
    }
    return id;
  }

  /** How many bytes there are. Throws `BLOB_UPLOAD_UNKNOWN`. */
  sizeBytes(repository: string, id: string): number {
    return this.#find(repository, id).sizeBytes;
  }

  /**
   * Adds a body to the end. With `startBytes` it must go there and be `lengthBytes` long. What came before a connection
   * broke stays. Returns the size of all of it. Throws `BLOB_UPLOAD_UNKNOWN`, `BLOB_UPLOAD_INVALID` (416), `SIZE_INVALID`.
   */
  async append(repository: string, id: string, body: Readable, range?: ByteRange): Promise<number> {
    const progress = this.#find(repository, id);
    using _hold = this.#hold(id);
    if (range !== undefined && range.startBytes !== progress.sizeBytes)
      throw new RequestError(416, "BLOB_UPLOAD_INVALID", "the chunk does not begin where the upload ends", {
        headers: { Range: rangeHeader(progress.sizeBytes) },
      });
    const before = progress.sizeBytes;
    const file = await open(this.#path(id), "r+");
    try {
      await this.#write(file, progress, body, range === undefined ? undefined : before + range.lengthBytes);
    } catch (error) {
      throw fileSystemError("write an upload", error);
    } finally {
      await file.close();
    }
    if (range !== undefined && progress.sizeBytes !== before + range.lengthBytes)
      throw new RequestError(400, "SIZE_INVALID", "the chunk has another length than its Content-Range says");
    return progress.sizeBytes;
  }

  async #write(
    file: FileHandle,
    progress: Progress,
    body: Readable,
    limit: number | undefined,
  ): Promise<void> {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (limit !== undefined && progress.sizeBytes + chunk.length > limit)
        throw new RequestError(400, "SIZE_INVALID", "the chunk is longer than its Content-Range says");
      for (let offset = 0; offset < chunk.length;) {
        const { bytesWritten } = await file.write(
          chunk,
          offset,
          chunk.length - offset,
          progress.sizeBytes + offset,
        );
        offset += bytesWritten;
      }
      progress.hash?.update(chunk);
      progress.sizeBytes += chunk.length;
    }
  }

  /**
   * Makes the blob visible in the repository, when its digest is `digest`; the upload is gone then either way. Throws
   * `DIGEST_INVALID`.
   */
  async finish(repository: string, id: string, digest: string): Promise<number> {
    const progress = this.#find(repository, id);
    using _hold = this.#hold(id);
    const { algorithm } = parseDigest(digest);
    const actual = await this.#digest(id, progress, algorithm);
    if (actual !== digest) {
      this.#forget(id);
      throw new RequestError(400, "DIGEST_INVALID", "provided digest did not match uploaded content", {
        detail: { provided: digest, actual },
      });
    }
    this.#committing.set(digest, (this.#committing.get(digest) ?? 0) + 1);
    try {
      failpoint("registry-upload.before-commit");
      await this.#content.adopt(this.#path(id), digest);
      failpoint("registry-upload.before-link");
      this.#metadata.linkBlob(repository, digest);
    } finally {
      const count = (this.#committing.get(digest) ?? 1) - 1;
      if (count === 0) this.#committing.delete(digest);
      else this.#committing.set(digest, count);
    }
    this.#forget(id);
    return progress.sizeBytes;
  }

  async #digest(id: string, progress: Progress, algorithm: DigestAlgorithm): Promise<string> {
    if (algorithm === "sha256" && progress.hash !== undefined) {
      // A copy: the request may break off after this, and come again.
      return `sha256:${progress.hash.copy().digest("hex")}`;
    }
    const hash = createHash(algorithm);
    for await (const chunk of createReadStream(this.#path(id), { highWaterMark: 1024 * 1024 }))
      hash.update(chunk as Buffer);
    return `${algorithm}:${hash.digest("hex")}`;
  }

  /** Ends an upload without a blob. Throws `BLOB_UPLOAD_UNKNOWN`. */
  cancel(repository: string, id: string): void {
    this.#find(repository, id);
    using _hold = this.#hold(id);
    this.#forget(id);
  }

  /** Removes uploads that nobody has gone on with for `expiryMs`, and files without a row. Returns how many. */
  sweep(expiryMs: number, nowMs = Date.now()): number {
    let removed = 0;
    const known = new Set(this.#metadata.all("SELECT id FROM uploads").map((row) => String(row["id"])));
    for (const id of new Set([...known, ...readdirSync(this.#directory)])) {
      if (this.#busy.has(id)) continue;
      const modifiedMs = statSync(this.#path(id), { throwIfNoEntry: false })?.mtimeMs;
      const isFresh = modifiedMs !== undefined && nowMs - modifiedMs < expiryMs;
      if (isFresh && (known.has(id) || this.#progress.has(id))) continue;
      this.#forget(id);
      removed += 1;
    }
    return removed;
  }

  #forget(id: string): void {
    this.#metadata.run("DELETE FROM uploads WHERE id = ?", id);
    rmSync(this.#path(id), { force: true });
    this.#progress.delete(id);
  }

  #path(id: string): string {
    return join(this.#directory, id);
  }

  #find(repository: string, id: string): Progress {
    const unknown = new RequestError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    if (!/^[0-9a-f-]{36}$/.test(id)) throw unknown;
    const [row] = this.#metadata.all("SELECT repository FROM uploads WHERE id = ?", id);
    if (row?.["repository"] !== repository) throw unknown;
    const known = this.#progress.get(id);
    if (known !== undefined) return known;
    const stat = statSync(this.#path(id), { throwIfNoEntry: false });
    if (stat === undefined) throw unknown;
    const found = { hash: undefined, sizeBytes: stat.size };
    this.#progress.set(id, found);
    return found;
  }

  #hold(id: string): Disposable {
    if (this.#busy.has(id))
      throw new RequestError(409, "BLOB_UPLOAD_INVALID", "another request is at work on this upload");
    this.#busy.add(id);
    return { [Symbol.dispose]: () => void this.#busy.delete(id) };
  }
}

export interface ByteRange {
  readonly startBytes: number;
  readonly lengthBytes: number;
}

/** `Range` of an upload: the first and the last byte that is there (`0-0` for none, as registries say it). */
export function rangeHeader(sizeBytes: number): string {
  return `0-${Math.max(0, sizeBytes - 1)}`;
}

/** `Content-Range` of a chunk: `START-END`, both included. Throws `BLOB_UPLOAD_INVALID`, `SIZE_INVALID`. */
export function parseContentRange(
  text: string | undefined,
  contentLength: string | undefined,
): ByteRange | undefined {
  if (text === undefined) return undefined;
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(text.trim());
  if (match === null)
    throw new RequestError(400, "BLOB_UPLOAD_INVALID", `invalid Content-Range ${JSON.stringify(text)}`);
  const startBytes = Number(match[1]);
  const lengthBytes = Number(match[2]) - startBytes + 1;
  if (lengthBytes < 0 || (contentLength !== undefined && Number(contentLength) !== lengthBytes))
    throw new RequestError(400, "SIZE_INVALID", "Content-Range and Content-Length do not agree");
  return { startBytes, lengthBytes };
}
