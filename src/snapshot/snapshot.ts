/**
 * Snapshots: layers on disk.
 *
 * A *committed* snapshot is an unpacked layer, named by its chainID, and never changes again. An *active* snapshot is a
 * container's writable layer over a committed one, named by a key of the caller's (the container's id). A driver makes
 * either whole or not at all: what a crash leaves half-made is removed by {@link Snapshotter.sweep}.
 */
import type { Readable } from "node:stream";
import type { LayerChange } from "./changes.ts";
import type { Mount } from "../linux/mount.ts";

export interface SnapshotInfo {
  readonly key: string;
  readonly kind: "committed" | "active";
  /** chainID of the snapshot below, if any. */
  readonly parent: string | undefined;
}

export interface ApplyResult {
  /** Digest of the uncompressed tar as it was read. */
  readonly diffId: string;
  /** Bytes of the regular files in the layer. */
  readonly sizeBytes: number;
}

export type { LayerChange } from "./changes.ts";

export interface Snapshotter {
  /** Docker's name of the driver, e.g. `overlay2`; what `info` shows. */
  readonly name: string;
  /** Lines for `info`'s `DriverStatus`. */
  status(): [string, string][];
  /**
   * Unpacks an uncompressed layer tar as a committed snapshot. Given `expect`, the tar's digest must be that diffID.
   * Nothing is left when it throws. When `chainId` exists already the stream is drained and its result returned.
   */
  applyLayer(layer: {
    chainId: string;
    parent: string | undefined;
    tar: Readable;
    expectDiffId?: string;
  }): Promise<ApplyResult>;
  /** True when a snapshot of that key is there, whole. */
  has(key: string): boolean;
  /** Makes an active snapshot over a committed one (or over nothing). Throws `alreadyExists`, `notFound`. */
  prepare(key: string, parent: string | undefined): void;
  /** What to mount to see the snapshot. An active one is writable, a committed one read-only. */
  mounts(key: string): Mount[];
  /** Directories behind the snapshot, for `GraphDriver.Data` of inspect. */
  graphData(key: string): Record<string, string>;
  /** Bytes and inodes of the snapshot alone, without its parents. */
  usage(key: string): Promise<{ sizeBytes: number; inodes: number }>;
  /**
   * What an active snapshot changed in what is below it, parents before what is in them, and the directory where what
   * is new can be read. `hidden` are paths (bytes as latin1) that are no changes while they are empty.
   */
  changes(key: string, hidden: ReadonlySet<string>): { directory: string; changes: LayerChange[] };
  /** Unpacks an uncompressed layer tar into an active snapshot that nobody has mounted. */
  unpackInto(key: string, tar: AsyncIterable<Uint8Array>): Promise<{ sizeBytes: number; inodes: number }>;
  /**
   * Makes an active snapshot that nobody has mounted the committed one of a chainID, without copying. When that one is
   * there already, the active one is removed. What a power cut can still take is on the disk after {@link flush}; a
   * layer that was not yet flushed is gone then as a whole. `usage` saves counting, when it is known.
   */
  commit(
    key: string,
    layer: { chainId: string; diffId: string },
    usage?: { sizeBytes: number; inodes: number },
  ): Promise<void>;
  /**
   * Resolves when these committed snapshots are on the disk. Throws `unavailable` when the disk does not take one now, or did
   * not before: a loss of power may damage it, until it is unpacked anew.
   */
  flush(chainIds: readonly string[]): Promise<void>;
  /** Removes a snapshot at once by name, its files afterwards. No error when it is not there. */
  remove(key: string): void;
  /** Takes a snapshot out of use, a layer whatever stands on it: its files go to `path` on the same file system. */
  setAside(key: string, path: string): void;
  /** Makes the driver's own short name of a layer anew; nothing for drivers without such. */
  relink?(chainId: string): void;
  list(): SnapshotInfo[];
  /** Room on the file system that snapshots are kept on. */
  freeBytes(): number;
  /** Writable snapshots of which it is not known any more what they stand on. */
  unattached(): string[];
  /** Says what one of those stands on. */
  attach(key: string, parent: string | undefined): void;
  /** Removes what a crash left half-made or half-removed. */
  sweep(): void;
  /** Resolves when the deletions that `remove` put off are done. */
  idle(): Promise<void>;
}
