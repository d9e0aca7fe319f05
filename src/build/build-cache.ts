/** What the build cache shows of itself, and what it is asked to let go. */

export type BuildCacheType =
  | "regular"
  | "source.local"
  | "source.git.checkout"
  | "exec.cachemount"
  | "frontend"
  | "internal";

export interface BuildCacheRecord {
  readonly id: string;
  readonly parents: readonly string[];
  readonly type: BuildCacheType;
  readonly description: string;
  readonly inUse: boolean;
  /** Its layer is also an image's. */
  readonly shared: boolean;
  readonly sizeBytes: number;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly lastUsedAt: string | undefined;
  readonly usageCount: number;
}

export interface CachePruneRequest {
  /** Also what images use and what is internal. */
  readonly all: boolean;
  /** `until`, `id`, `parent`, `type`, `description`, `inuse`, `shared`, `private`. */
  readonly filters: Readonly<Record<string, readonly string[]>>;
  /** Bytes of cache to keep, at most; 0 for nothing. */
  readonly maxUsedBytes?: number;
  readonly reservedBytes?: number;
  readonly minFreeBytes?: number;
}
