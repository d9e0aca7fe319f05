/** The content store on a file system: `blobs/<algorithm>/<hex>`, unfinished writes in `ingest/`. */
import { createHash, randomBytes, type Hash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from "node:fs";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { EngineError, errorText, invalidArgument, notFound } from "../base/errors.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { DeferredSync } from "../linux/deferred-sync.ts";
import { fileSystemError, isErrno, withFileErrors } from "../linux/fs-error.ts";
import { parseDigest, type DigestAlgorithm } from "../oci/digest.ts";
import type { BlobInfo, ContentStore } from "./content.ts";

/** What the caller knows about the bytes before they come. */
export interface Expectation {
  digest?: string;
  sizeBytes?: number;
}

const algorithms: readonly DigestAlgorithm[] = ["sha256", "sha512"];

/** When a blob is on the disk: before it is visible, or soon after. */
export type Durability = "at-once" | "soon";

/** What is open, as far as writing it to disk goes. */
export type OpenPath = Pick<FileHandle, "sync" | "close">;

/** Blobs that are written to disk together; `done` has those that could not be, and never rejects. */
interface Batch {
  readonly digests: Set<string>;
  readonly done: Promise<ReadonlyMap<string, unknown>>;
}

export class FsContentStore implements ContentStore {
  readonly #root: string;
  readonly #sync: DeferredSync | undefined;
  readonly #open: (path: string) => Promise<OpenPath>;
  #lastBatch: Promise<unknown> = Promise.resolve();
  #nextBatch: Batch | undefined;

  /**
   * Makes the directories under `root` when they are missing. With `soon`, a blob that a loss of power may have spoilt is
   * found and removed by the next {@link sweep}. `openPath` opens what is written to disk; tests have it fail.
   */
  constructor(
    root: string,
    durability: Durability = "at-once",
    openPath: (path: string) => Promise<OpenPath> = (path) => open(path, "r"),
  ) {
    this.#root = root;
    this.#open = openPath;
    withFileErrors(`make the content store in ${root}`, () => {
      for (const name of [...algorithms.map((algorithm) => join("blobs", algorithm)), "ingest"])
        mkdirSync(join(root, name), { recursive: true, mode: 0o700 });
    });
    this.#sync = durability === "soon" ? new DeferredSync(join(root, "unsynced")) : undefined;
  }

  async ingest(source: Readable | Uint8Array | string, expect: Expectation = {}): Promise<BlobInfo> {
    const algorithm = expect.digest === undefined ? "sha256" : parseDigest(expect.digest).algorithm;
    const stream = source instanceof Readable ? source : Readable.from([Buffer.from(source)]);
    const temporary = join(this.#root, "ingest", randomBytes(16).toString("hex"));
    try {
      const file = await open(temporary, "wx", 0o600);
      let blob: BlobInfo;
      try {
        blob = await writeAndHash(stream, file, { hash: createHash(algorithm), algorithm, expect });
        checkExpectation(blob, expect);
      } finally {
        await file.close();
      }
      failpoint("content-before-commit");
      await this.#commit(temporary, blob.digest);
      crashpoint("content-after-commit");
      return blob;
    } catch (error) {
      stream.destroy();
      await rm(temporary, { force: true });
      throw fileSystemError("store content", error);
    }
  }

  async adopt(path: string, digest: string): Promise<void> {
    try {
      await this.#commit(path, digest);
    } catch (error) {
      throw fileSystemError("store content", error);
    }
  }

  /** Two writers of the same bytes both succeed: rename(2) replaces a file by its equal. */
  async #commit(temporary: string, digest: string): Promise<void> {
    const { algorithm, hex } = parseDigest(digest);
    const name = `${algorithm}-${hex}`;
    const sync = this.#sync;
    if (sync === undefined || (sync.markOf(name) === undefined && this.has(digest))) {
      // Images may rely on the one that is on the disk already: only what is there too may take its place.
      await this.#syncPath(temporary);
      await rename(temporary, this.#file(digest));
      await this.#syncPath(join(this.#root, "blobs", algorithm));
      return;
    }
    sync.mark(name);
    crashpoint("content-marked");
    await rename(temporary, this.#file(digest));
    // Somebody may just have written the one to disk that was there before.
    sync.mark(name);
  }

  /** fsync(2) of a file or a directory. */
  async #syncPath(path: string): Promise<void> {
    const file = await this.#open(path);
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async persist(digests: Iterable<string>): Promise<void> {
    const wanted = new Set(digests);
    for (const digest of wanted) this.#sizeBytes(digest);
    const sync = this.#sync;
    if (sync === undefined) return;
    const unwritten = [...wanted].filter((digest) => sync.markOf(markName(digest)) !== undefined);
    if (unwritten.length === 0) return;
    const batch = (this.#nextBatch ??= this.#openBatch(sync));
    for (const digest of unwritten) batch.digests.add(digest);
    const failures = await batch.done;
    for (const digest of unwritten) {
      if (failures.has(digest)) throw failures.get(digest);
      // It may have been removed meanwhile.
      this.#sizeBytes(digest);
    }
  }

  /** All who come while one batch is written share the next: the disk's journal is written once for them. */
  #openBatch(sync: DeferredSync): Batch {
    const digests = new Set<string>();
    const done = this.#lastBatch.then(async () => {
      this.#nextBatch = undefined;
      const failures = new Map<string, unknown>();
      try {
        await this.#writeToDisk(sync, digests, failures);
      } catch (error) {
        // Whatever it was, it is of this batch alone: those who come later get one of their own.
        for (const digest of digests) if (!failures.has(digest)) failures.set(digest, error);
      }
      return failures;
    });
    this.#lastBatch = done;
    return { digests, done };
  }

  /** Puts what could not be written into `failures`, with the reason. */
  async #writeToDisk(
    sync: DeferredSync,
    digests: Iterable<string>,
    failures: Map<string, unknown>,
  ): Promise<void> {
    let rest = [...digests];
    while (rest.length > 0) {
      const marks = new Map(rest.map((digest) => [digest, sync.markOf(markName(digest))]));
      for (const digest of rest) await this.#writePath(this.#file(digest), [digest], failures);
      for (const [algorithm, inIt] of Map.groupBy(rest, (digest) => parseDigest(digest).algorithm))
        await this.#writePath(join(this.#root, "blobs", algorithm), inIt, failures);
      rest = rest.filter((digest) => {
        const mark = marks.get(digest);
        if (mark === undefined || failures.has(digest)) return false;
        if (sync.isLost(markName(digest))) {
          failures.set(digest, new EngineError("unavailable", `the disk did not take blob ${digest}`));
          this.#removeLost(digest);
          return false;
        }
        try {
          return !sync.written(markName(digest), mark);
        } catch (error) {
          failures.set(digest, notWritten(digest, error));
          return false;
        }
      });
    }
  }

  async #writePath(path: string, digests: readonly string[], failures: Map<string, unknown>): Promise<void> {
    let file: OpenPath;
    try {
      file = await this.#open(path);
    } catch (error) {
      // Nothing was lost by that (no descriptors, no memory): the blobs stay, with their marks, and the next one tries again.
      if (!isErrno(error, "ENOENT"))
        for (const digest of digests) failures.set(digest, notWritten(digest, error));
      return;
    }
    try {
      await file.sync();
    } catch (error) {
      for (const digest of digests) {
        failures.set(digest, notWritten(digest, error));
        this.#removeLost(digest);
      }
    } finally {
      await file.close();
    }
  }

  /** The kernel tells of a failure once: who asks again would hear that all is well. */
  #removeLost(digest: string): void {
    try {
      this.remove(digest);
    } catch (error) {
      log.error("a blob that the disk did not take could not be removed", {
        digest,
        error: errorText(error),
      });
    }
  }

  has(digest: string): boolean {
    return existsSync(this.#file(digest));
  }

  info(digest: string): BlobInfo {
    return { digest, sizeBytes: this.#sizeBytes(digest) };
  }

  path(digest: string): string {
    this.#sizeBytes(digest);
    return this.#file(digest);
  }

  read(digest: string): Buffer {
    return readFileSync(this.path(digest));
  }

  open(digest: string): Readable {
    return createReadStream(this.path(digest), { highWaterMark: 256 * 1024 });
  }

  remove(digest: string): void {
    withFileErrors(`remove blob ${digest}`, () => rmSync(this.#file(digest), { force: true }));
    crashpoint("content-removed");
    this.#sync?.forget(markName(digest));
  }

  list(): BlobInfo[] {
    return algorithms.flatMap((algorithm) =>
      readdirSync(join(this.#root, "blobs", algorithm)).map((hex) => this.info(`${algorithm}:${hex}`)),
    );
  }

  sweep(): void {
    // First: a leftover that cannot be removed does no harm, a blob that is not whole does.
    const failures: unknown[] = [];
    const attempt = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        failures.push(error);
      }
    };
    for (const name of this.#sync?.suspects() ?? [])
      attempt(() => {
        this.#removeIfSpoilt(name.replace("-", ":"));
        this.#sync?.forget(name);
      });
    const ingest = join(this.#root, "ingest");
    attempt(() => {
      for (const name of readdirSync(ingest)) rmSync(join(ingest, name), { recursive: true, force: true });
    });
    if (failures.length > 0) throw failures[0];
  }

  async idle(): Promise<void> {
    await this.#sync?.flush();
  }

  #removeIfSpoilt(digest: string): void {
    if (!this.has(digest) || digestOfFile(this.#file(digest), parseDigest(digest).algorithm) === digest)
      return;
    log.warn("a blob was not on the disk when the machine went down; it is removed", { digest });
    rmSync(this.#file(digest));
  }

  #file(digest: string): string {
    const { algorithm, hex } = parseDigest(digest);
    return join(this.#root, "blobs", algorithm, hex);
  }

  #sizeBytes(digest: string): number {
    try {
      return statSync(this.#file(digest)).size;
    } catch (error) {
      if (isErrno(error, "ENOENT")) throw notFound(`content ${digest} is not stored here`);
      throw fileSystemError(`read blob ${digest}`, error);
    }
  }
}

const markName = (digest: string): string => digest.replace(":", "-");

const notWritten = (digest: string, error: unknown): unknown =>
  fileSystemError(`write blob ${digest} to disk`, error);

function digestOfFile(path: string, algorithm: DigestAlgorithm): string {
  const hash = createHash(algorithm);
  const piece = Buffer.allocUnsafe(1024 * 1024);
  const fd = openSync(path, "r");
  try {
    for (let length = readSync(fd, piece); length > 0; length = readSync(fd, piece))
      hash.update(piece.subarray(0, length));
  } finally {
    closeSync(fd);
  }
  return `${algorithm}:${hash.digest("hex")}`;
}

async function writeAndHash(
  source: Readable,
  file: FileHandle,
  write: { hash: Hash; algorithm: DigestAlgorithm; expect: Expectation },
): Promise<BlobInfo> {
  let sizeBytes = 0;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    const limit = write.expect.sizeBytes;
    if (limit !== undefined && sizeBytes > limit)
      throw invalidArgument(`content is longer than the ${limit} bytes that were announced`);
    write.hash.update(chunk);
    await writeFully(file, chunk);
  }
  return { digest: `${write.algorithm}:${write.hash.digest("hex")}`, sizeBytes };
}

async function writeFully(file: FileHandle, chunk: Buffer): Promise<void> {
  let offset = 0;
  while (offset < chunk.length) offset += (await file.write(chunk, offset)).bytesWritten;
}

function checkExpectation(blob: BlobInfo, expect: Expectation): void {
  if (expect.sizeBytes !== undefined && blob.sizeBytes !== expect.sizeBytes)
    throw invalidArgument(`content has ${blob.sizeBytes} bytes, ${expect.sizeBytes} were announced`);
  if (expect.digest !== undefined && blob.digest !== expect.digest)
    throw invalidArgument(`content does not match its digest: expected ${expect.digest}, got ${blob.digest}`);
}
