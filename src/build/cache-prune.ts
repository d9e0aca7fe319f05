/** What of the cache is listed, and what of it goes. */
import { existsSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { invalidArgument } from "../base/errors.ts";
import { diskUsage } from "../snapshot/usage.ts";
import type { BuildCacheRecord, CachePruneRequest } from "./build-cache.ts";
import type { CacheRecord, CacheStore } from "./cache-store.ts";
import { defaultBuilderSettings, type GcRule, gcRules } from "./gc-policy.ts";
import type { BuildHost } from "./host.ts";

export class CachePruner {
  readonly #host: BuildHost;
  readonly #cache: CacheStore;

  constructor(host: BuildHost, cache: CacheStore) {
    this.#host = host;
    this.#cache = cache;
  }

  async list(): Promise<BuildCacheRecord[]> {
    const imageLayers = this.#imageLayers();
    const records: BuildCacheRecord[] = [];
    for (const record of this.#cache.list()) records.push(await this.#shown(record, imageLayers));
    return records;
  }

  #imageLayers(): ReadonlySet<string> {
    return new Set(
      this.#host.images.list().flatMap(({ manifest }) => manifest.layers.map(({ digest }) => digest)),
    );
  }

  async #shown(record: CacheRecord, imageLayers: ReadonlySet<string>): Promise<BuildCacheRecord> {
    const { id, parents, type, description, createdAt, lastUsedAt, usageCount } = record;
    const layer = record.layers.at(-1)?.descriptor.digest;
    return {
      id,
      parents,
      type,
      description,
      inUse: this.#cache.isHeld(id),
      shared: layer !== undefined && imageLayers.has(layer),
      sizeBytes: await this.#sizeOf(record),
      createdAt,
      lastUsedAt,
      usageCount,
    };
  }

  async #sizeOf(record: CacheRecord): Promise<number> {
    if (record.directory === undefined) return record.sizeBytes;
    const path = join(this.#host.config.dataRoot, "build", record.directory);
    return existsSync(path) ? (await diskUsage(path)).sizeBytes : 0;
  }

  /**
   * Removes what is not in use, the least recently used first, and never what another record stands on before that one.
   * Without `all` only what no image has. With a limit, only as much as is above it.
   */
  async prune(
    request: CachePruneRequest,
    onRecord?: (record: BuildCacheRecord) => void,
  ): Promise<{ removed: string[]; reclaimedBytes: number }> {
    return this.#pruneShown(await this.list(), request, onRecord);
  }

  #pruneShown(
    shown: readonly BuildCacheRecord[],
    request: CachePruneRequest,
    onRecord?: (record: BuildCacheRecord) => void,
  ): { removed: string[]; reclaimedBytes: number } {
    const test = filterTest(request.filters);
    let totalBytes = shown.reduce((sum, record) => sum + (record.shared ? 0 : record.sizeBytes), 0);
    const limit = this.#limitOf(request, totalBytes);
    const removed: string[] = [];
    const candidates = new Set<string>();
    let reclaimedBytes = 0;
    const order = shown.toSorted((a, b) => ((a.lastUsedAt ?? "") < (b.lastUsedAt ?? "") ? -1 : 1));
    for (const record of order) {
      if (limit !== undefined && totalBytes <= limit) break;
      const stored = this.#cache.byId(record.id);
      if (stored === undefined || this.#cache.isHeld(record.id) || !test(record)) continue;
      if (!request.all && (record.shared || record.type === "internal")) continue;
      for (const { descriptor, chainId } of stored.layers) candidates.add(descriptor.digest).add(chainId);
      this.#cache.remove(record.id);
      if (stored.directory !== undefined)
        rmSync(join(this.#host.config.dataRoot, "build", stored.directory), { recursive: true, force: true });
      removed.push(record.id);
      if (!record.shared) {
        reclaimedBytes += record.sizeBytes;
        totalBytes -= record.sizeBytes;
      }
      onRecord?.(record);
    }
    if (candidates.size > 0) this.#host.collect(candidates);
    return { removed, reclaimedBytes };
  }

  /** As BuildKit reckons (cache/manager.go, calculateKeepBytes). */
  #limitOf(request: CachePruneRequest, totalBytes: number): number | undefined {
    const { maxUsedBytes, reservedBytes = 0, minFreeBytes = 0 } = request;
    if (!maxUsedBytes && !reservedBytes && !minFreeBytes) return undefined;
    let keepBytes = maxUsedBytes || (minFreeBytes > 0 ? totalBytes : 0);
    if (minFreeBytes > 0) {
      const { bavail, bsize } = statfsSync(this.#host.config.dataRoot);
      const missingBytes = minFreeBytes - bavail * bsize;
      if (missingBytes > 0) keepBytes = Math.min(keepBytes, totalBytes - missingBytes);
    }
    return Math.max(keepBytes, reservedBytes, 0);
  }

  /** What the rules let go; runs after each build. */
  async collect(): Promise<void> {
    const rules = gcRules(this.#host.config.builder ?? defaultBuilderSettings, this.#host.config.dataRoot);
    const due = rules.filter((rule) => this.#isDue(rule));
    if (due.length === 0) return;
    let shown = await this.list();
    for (const { unusedForMs, filters, ...limits } of due) {
      const until = `${Math.floor(unusedForMs ?? 0)}ms`;
      const { removed } = this.#pruneShown(shown, {
        ...limits,
        filters: unusedForMs === undefined ? filters : { ...filters, until: [until] },
      });
      const gone = new Set(removed);
      shown = shown.filter(({ id }) => !gone.has(id));
    }
  }

  /** Whether a rule may have something to do: counting directories takes time. */
  #isDue({ unusedForMs, maxUsedBytes, minFreeBytes, reservedBytes }: GcRule): boolean {
    const records = this.#cache.list();
    if (unusedForMs !== undefined) {
      const latestMs = Date.now() - unusedForMs;
      return records.some(({ lastUsedAt }) => Date.parse(lastUsedAt) <= latestMs);
    }
    if (minFreeBytes !== undefined || records.some(({ directory }) => directory !== undefined)) return true;
    const knownBytes = records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return knownBytes > Math.max(maxUsedBytes ?? 0, reservedBytes ?? 0);
  }
}

/** Labels come with `system prune`; no record of the cache has one. */
const filterKeys = new Set("until id parent type description inuse shared private label label!".split(" "));

/** Docker's filters of the build cache. Throws `invalidArgument` for an unknown one. */
export function filterTest(filters: CachePruneRequest["filters"]): (record: BuildCacheRecord) => boolean {
  for (const key of Object.keys(filters))
    if (!filterKeys.has(key)) throw invalidArgument(`invalid filter '${key}'`);
  const values = (key: string): readonly string[] => filters[key] ?? [];
  const until = values("until")[0];
  const latestMs = until === undefined ? Infinity : Date.now() - durationMs(until);
  const isOne = (key: string, value: string): boolean =>
    values(key).length === 0 || values(key).includes(value);
  const isSet = (key: string, value: boolean): boolean =>
    values(key).length === 0 || values(key).some((text) => text === "" || text === String(value));
  return (record) =>
    values("label").length === 0 &&
    Date.parse(record.lastUsedAt ?? record.createdAt) <= latestMs &&
    (values("id").length === 0 || values("id").some((id) => record.id.startsWith(id))) &&
    (values("parent").length === 0 || record.parents.some((parent) => values("parent").includes(parent))) &&
    isOne("type", record.type) &&
    (values("description").length === 0 ||
      values("description").some((text) => record.description.includes(text))) &&
    isSet("inuse", record.inUse) &&
    isSet("shared", record.shared) &&
    isSet("private", !record.shared);
}

/** Go's durations: `24h`, `1h30m`, `90s`. Throws `invalidArgument`. */
export function durationMs(text: string): number {
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 6e4, h: 3.6e6 };
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join("") !== text) {
    const date = Date.parse(text);
    if (!Number.isNaN(date)) return Date.now() - date;
    throw invalidArgument(`invalid until filter: time: invalid duration ${JSON.stringify(text)}`);
  }
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit!]!, 0);
}
