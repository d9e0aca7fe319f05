/**
 * Storage garbage collection of the registry. It runs beside requests: what it takes away is taken away in one piece of
 * synchronous work, so no request is ever in the middle of looking, and what a push has just brought is left alone for a
 * time of grace.
 */
import { statSync } from "node:fs";
import { transaction } from "../../base/database.ts";
import type { ContentStore } from "../../content/content.ts";
import type { RegistryMetadata } from "./metadata.ts";
import type { Uploads } from "./uploads.ts";

export interface CollectOptions {
  /** What was pushed less long ago stays, whoever refers to it. */
  readonly graceMs: number;
  /** Manifests go too that have no tag, and that nothing which stays refers to. */
  readonly untagged: boolean;
  /** Uploads that nobody went on with for so long are forgotten. */
  readonly uploadExpiryMs: number;
  /** Only says what would go. */
  readonly dryRun?: boolean;
}

export interface Collected {
  readonly manifests: number;
  readonly blobs: number;
  readonly uploads: number;
  readonly freedBytes: number;
}

export class Collector {
  readonly #content: ContentStore;
  readonly #metadata: RegistryMetadata;
  readonly #uploads: Uploads;
  readonly #held = new Map<string, number>();

  constructor(content: ContentStore, metadata: RegistryMetadata, uploads: Uploads) {
    this.#content = content;
    this.#metadata = metadata;
    this.#uploads = uploads;
  }

  /** Keeps a blob that no record refers to yet. */
  hold(digest: string): Disposable {
    this.#held.set(digest, (this.#held.get(digest) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const count = (this.#held.get(digest) ?? 1) - 1;
        if (count === 0) this.#held.delete(digest);
        else this.#held.set(digest, count);
      },
    };
  }

  /** Takes away what nothing refers to. Safe at any time, and after a kill at any point. */
  collect(options: CollectOptions, nowMs = Date.now()): Collected {
    const limitMs = nowMs - options.graceMs;
    const uploads = options.dryRun === true ? 0 : this.#uploads.sweep(options.uploadExpiryMs, nowMs);
    let manifests = 0;
    // Records first: a blob without its record is found by the next run, a record without its blob is a broken image.
    const sweepRecords = (): void => {
      if (options.untagged) manifests = this.#dropUntagged(limitMs);
      this.#metadata.run(
        `DELETE FROM blobs WHERE linked_at < ? AND NOT EXISTS (
           SELECT 1 FROM links WHERE links.repository = blobs.repository AND links.target = blobs.digest)`,
        limitMs,
      );
    };
    if (options.dryRun === true) {
      const found = this.#inRolledBack(() => {
        sweepRecords();
        return this.#unusedBlobs(limitMs);
      });
      return { manifests, uploads, ...sum(found) };
    }
    transaction(this.#metadata.database, sweepRecords);
    const unused = this.#unusedBlobs(limitMs);
    for (const { digest } of unused) this.#content.remove(digest);
    return { manifests, uploads, ...sum(unused) };
  }

  #inRolledBack<T>(work: () => T): T {
    this.#metadata.database.exec("BEGIN IMMEDIATE");
    try {
      return work();
    } finally {
      this.#metadata.database.exec("ROLLBACK");
    }
  }

  #unusedBlobs(limitMs: number): { digest: string; sizeBytes: number }[] {
    return this.#content.list().filter(({ digest }) => {
      if (this.#metadata.isUsed(digest) || this.#held.has(digest) || this.#uploads.isCommitting(digest))
        return false;
      return statSync(this.#content.path(digest)).mtimeMs <= limitMs;
    });
  }

  /** Marks from the tags over indexes, and over what refers to what is marked; drops the rest. */
  #dropUntagged(limitMs: number): number {
    let dropped = 0;
    for (const row of this.#metadata.all("SELECT DISTINCT repository FROM manifests")) {
      const repository = String(row["repository"]);
      const live = this.#liveManifests(repository, limitMs);
      for (const { digest } of this.#metadata.manifests(repository))
        if (!live.has(digest) && this.#metadata.dropManifest(repository, digest)) dropped += 1;
    }
    return dropped;
  }

  #liveManifests(repository: string, limitMs: number): Set<string> {
    const manifests = this.#metadata.manifests(repository);
    const bySubject = Map.groupBy(manifests, ({ subject }) => subject);
    const tags = this.#metadata.tags(repository, { last: "", limit: Number.MAX_SAFE_INTEGER });
    const waiting = [
      ...tags.map(({ digest }) => digest),
      ...manifests.filter(({ pushedAtMs }) => pushedAtMs >= limitMs).map(({ digest }) => digest),
    ];
    const live = new Set<string>();
    for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
      if (live.has(digest)) continue;
      live.add(digest);
      waiting.push(...this.#metadata.links(repository, digest).manifests);
      waiting.push(...(bySubject.get(digest) ?? []).map((manifest) => manifest.digest));
    }
    return live;
  }
}

function sum(blobs: readonly { sizeBytes: number }[]): { blobs: number; freedBytes: number } {
  return { blobs: blobs.length, freedBytes: blobs.reduce((total, { sizeBytes }) => total + sizeBytes, 0) };
}
