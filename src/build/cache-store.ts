/**
 * The build cache: what steps made, found again by keys. A record is a layer with all below it, a cache mount's directory,
 * or a received context; a key is a hash of what a step was made of, and several may name one record.
 */
import { randomBytes } from "node:crypto";
import { type Database, parseColumn, transaction } from "../base/database.ts";
import { openTables } from "../base/schema.ts";
import { nowRfc3339 } from "../base/time.ts";
import type { BuildCacheType } from "./build-cache.ts";
import { indexPins } from "./built-indexes.ts";
import type { Layers } from "./layers.ts";

export interface CacheRecord {
  readonly id: string;
  readonly type: BuildCacheType;
  readonly description: string;
  /** The layer and all below it; empty for what is no layer. A step that changes nothing below has its parent's. */
  readonly layers: Layers;
  /** Name of the directory under `build/`, for cache mounts and contexts. */
  readonly directory?: string;
  /** What it was made of, by id. */
  readonly parents: readonly string[];
  readonly sizeBytes: number;
  readonly createdAt: string;
  readonly lastUsedAt: string;
  readonly usageCount: number;
  /** Only the top layer belongs to it, which may stand on any other (COPY --link). */
  readonly isLink?: boolean;
}

export class CacheStore {
  readonly #database: Database;
  readonly #records = new Map<string, CacheRecord>();
  readonly #keys = new Map<string, string>();
  readonly #holds = new Map<string, number>();

  constructor(database: Database) {
    this.#database = database;
    openTables(database, {
      room: "build",
      tables: `CREATE TABLE IF NOT EXISTS build_cache (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
       CREATE TABLE IF NOT EXISTS build_cache_keys (
         key TEXT PRIMARY KEY, id TEXT NOT NULL REFERENCES build_cache (id) ON DELETE CASCADE
       ) STRICT;
       CREATE INDEX IF NOT EXISTS build_cache_keys_by_id ON build_cache_keys (id);
       CREATE TABLE IF NOT EXISTS build_notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT`,
    });
    for (const row of database.prepare("SELECT record FROM build_cache").all()) {
      const record = parseColumn(database, row["record"]) as CacheRecord;
      this.#records.set(record.id, record);
    }
    for (const row of database.prepare("SELECT key, id FROM build_cache_keys").all())
      this.#keys.set(String(row["key"]), String(row["id"]));
  }

  list(): CacheRecord[] {
    return [...this.#records.values()];
  }

  byId(id: string): CacheRecord | undefined {
    return this.#records.get(id);
  }

  find(key: string): CacheRecord | undefined {
    const id = this.#keys.get(key);
    return id === undefined ? undefined : this.#records.get(id);
  }

  /** Notes a record under its keys; those that named another one name this one now. */
  put(keys: readonly string[], record: Omit<CacheRecord, "id" | "lastUsedAt" | "usageCount">): CacheRecord {
    const stored = { ...record, id: newId(), lastUsedAt: nowRfc3339(), usageCount: 1 };
    transaction(this.#database, () => {
      this.#write(stored);
      for (const key of keys) this.#writeKey(key, stored.id);
    });
    this.#records.set(stored.id, stored);
    for (const key of keys) this.#keys.set(key, stored.id);
    return stored;
  }

  #write(record: CacheRecord): void {
    this.#database
      .prepare(
        "INSERT INTO build_cache (id, record) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record",
      )
      .run(record.id, JSON.stringify(record));
  }

  #writeKey(key: string, id: string): void {
    this.#database
      .prepare(
        "INSERT INTO build_cache_keys (key, id) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET id = excluded.id",
      )
      .run(key, id);
  }

  keysOf(id: string): string[] {
    return [...this.#keys].filter(([, named]) => named === id).map(([key]) => key);
  }

  /** One more key for a record. */
  alias(key: string, id: string): void {
    if (this.#keys.get(key) === id || !this.#records.has(id)) return;
    this.#writeKey(key, id);
    this.#keys.set(key, id);
  }

  /** Notes that a record was used. A write that fails costs nothing but order. */
  touch(id: string, change: Partial<Pick<CacheRecord, "sizeBytes" | "description">> = {}): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    const touched = { ...record, ...change, lastUsedAt: nowRfc3339(), usageCount: record.usageCount + 1 };
    this.#records.set(id, touched);
    this.#write(touched);
  }

  remove(id: string): void {
    this.#database.prepare("DELETE FROM build_cache WHERE id = ?").run(id);
    this.#records.delete(id);
    for (const [key, named] of this.#keys) if (named === id) this.#keys.delete(key);
  }

  /** Keeps a record from being removed until the hold is disposed. */
  hold(id: string): Disposable {
    this.#holds.set(id, (this.#holds.get(id) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#holds.get(id) ?? 1) - 1;
        if (left === 0) this.#holds.delete(id);
        else this.#holds.set(id, left);
      },
    };
  }

  isHeld(id: string): boolean {
    return this.#holds.has(id);
  }

  /** Blobs and chainIDs that the cache needs. */
  *pins(): Generator<string> {
    for (const { layers, isLink } of this.#records.values())
      for (const { descriptor, chainId } of layers) {
        yield descriptor.digest;
        if (isLink !== true) yield chainId;
      }
    yield* indexPins(this);
  }

  /** A small fact that is kept, such as the ETag of a download. */
  note(key: string): string | undefined {
    const row = this.#database.prepare("SELECT value FROM build_notes WHERE key = ?").get(key);
    return row === undefined ? undefined : String(row["value"]);
  }

  setNote(key: string, value: string): void {
    this.#database
      .prepare(
        "INSERT INTO build_notes (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      )
      .run(key, value);
  }

  /** The notes whose keys begin so. */
  *notes(prefix: string): Generator<readonly [key: string, value: string]> {
    const rows = this.#database
      .prepare("SELECT key, value FROM build_notes WHERE substr(key, 1, ?) = ?")
      .all(prefix.length, prefix);
    for (const row of rows) yield [String(row["key"]), String(row["value"])];
  }

  removeNote(key: string): void {
    this.#database.prepare("DELETE FROM build_notes WHERE key = ?").run(key);
  }
}

/** 25 characters, as BuildKit's ids have. */
function newId(): string {
  return BigInt(`0x${randomBytes(17).toString("hex")}`)
    .toString(36)
    .padStart(25, "0")
    .slice(-25);
}
