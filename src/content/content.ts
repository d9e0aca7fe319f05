/**
 * The content store: bytes named by their digest, in the OCI image layout (`blobs/sha256/<hex>`). A blob is visible only
 * when every byte of it has been verified; an unfinished write is an *ingest* and lives apart.
 */
import type { Readable } from "node:stream";

export interface BlobInfo {
  readonly digest: string;
  readonly sizeBytes: number;
}

export interface ContentStore {
  /**
   * Streams bytes in, hashes them and commits them under their digest. With `expect`, other bytes or another length are
   * refused (`invalidArgument`) and nothing is left. Writing what is there already is no error.
   */
  ingest(
    source: Readable | Uint8Array | string,
    expect?: { digest?: string; sizeBytes?: number },
  ): Promise<BlobInfo>;
  /**
   * Takes in a finished file of the same file system, whose bytes the caller has checked against `digest`. The file is
   * gone from where it was, also when the blob was there already.
   */
  adopt(path: string, digest: string): Promise<void>;
  has(digest: string): boolean;
  /** Throws `notFound`. */
  info(digest: string): BlobInfo;
  /** The file that holds the blob. Throws `invalidArgument` for a malformed digest, `notFound`. */
  path(digest: string): string;
  /** A whole small blob (manifest, config). */
  read(digest: string): Buffer;
  open(digest: string): Readable;
  /** No error when it is not there. */
  remove(digest: string): void;
  list(): BlobInfo[];
  /** Removes unfinished writes of an earlier process, and what a loss of power has spoilt. */
  sweep(): void;
  /**
   * Resolves when these blobs are on the disk; a loss of power takes none of them from then on. Throws when one is missing
   * (`notFound`), cannot be opened (it stays, and may be tried again), or is not taken by the disk: that one is removed.
   */
  persist(digests: Iterable<string>): Promise<void>;
  /** Resolves when everything is on the disk. */
  idle(): Promise<void>;
}
