/** Contexts: what a client has is received once, kept under the client's name for it, and brought up to date by what changed. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { writeFileAtomic } from "../base/atomic-file.ts";
import { KeyedLock } from "../base/keyed-lock.ts";
import type { RemoteDirectory } from "./build.ts";
import type { CacheStore } from "./cache-store.ts";
import type { FileTree } from "./files/file-tree.ts";
import { Pack, type PackEntry } from "./files/pack.ts";
import { type ReceiveProgress, receiveListing } from "./files/receive-listing.ts";
import { receiveTar } from "./files/receive-tar.ts";
import type { BuildHost } from "./host.ts";
import { hashParts } from "./layers.ts";

/** A pack of which more than half is out of date is written anew from this size on. */
const compactBytes = 32 * 1024 * 1024;
/** Indexes that are kept in memory: so many (a build has up to three), of so many entries at most. */
const keptIndexes = 8;
const keptEntries = 20_000;

export interface OpenContext extends Disposable {
  readonly tree: FileTree;
  /** Bytes that were sent for it. */
  readonly receivedBytes: number;
}

interface StoredEntry extends Omit<PackEntry, "timeNs" | "xattrs"> {
  readonly timeNs: string;
  readonly xattrs: readonly (readonly [string, string])[];
}

export class ContextStore {
  readonly #host: BuildHost;
  readonly #cache: CacheStore;
  readonly #locks = new KeyedLock();
  readonly #indexes = new Map<string, Index>();

  constructor(host: BuildHost, cache: CacheStore) {
    this.#host = host;
    this.#cache = cache;
  }

  get root(): string {
    return join(this.#host.config.dataRoot, "build");
  }

  /** A file for a pack that lasts as long as one build. */
  temporaryPath(): string {
    const directory = join(this.root, "tmp");
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return join(directory, randomBytes(12).toString("hex"));
  }

  /** Receives a tar for one build. */
  async openTar(stream: Readable, signal: AbortSignal): Promise<OpenContext> {
    const pack = new Pack(this.temporaryPath());
    try {
      await receiveTar(stream, pack, signal);
    } catch (error) {
      pack.discard();
      stream.destroy();
      throw error;
    }
    return { tree: pack, receivedBytes: pack.sizeBytes, [Symbol.dispose]: () => pack.discard() };
  }

  /** Receives what changed of a client's directory since the last time. */
  async openRemote(
    source: RemoteDirectory,
    options: {
      readonly include: readonly string[];
      readonly exclude: readonly string[];
      readonly signal: AbortSignal;
      readonly onProgress: ReceiveProgress;
    },
  ): Promise<OpenContext> {
    const name = hashParts([source.sharedKey, ...options.include]).slice(0, 32);
    const directory = join("contexts", name);
    using _lock = await this.#locks.acquire(name);
    const place = join(this.root, directory);
    mkdirSync(place, { recursive: true, mode: 0o700 });
    const known = this.#index(place);
    const pack = new Pack(join(place, "pack"), known.sizeBytes);
    let kept = pack;
    try {
      const { include, exclude, signal } = options;
      const listing = await source.open({ include, exclude, followPaths: include, signal });
      let receivedBytes = 0;
      try {
        receivedBytes = await receiveListing(listing, { pack, known: known.entries, ...options });
      } finally {
        await listing[Symbol.asyncDispose]();
      }
      if (!isSame(known, pack)) {
        pack.flush();
        kept = compacted(pack, place);
        this.#indexes.delete(place);
        writeIndex(place, kept);
      }
      this.#keepIndex(place, kept);
      this.#note(name, directory, kept.sizeBytes);
      return { tree: kept, receivedBytes, [Symbol.dispose]: () => kept[Symbol.dispose]() };
    } catch (error) {
      // What nobody has noted would lie there for ever.
      rmSync(join(place, "pack.new"), { force: true });
      // One that was written anew has no index yet: nothing of it is known.
      kept.revert(kept === pack ? known.sizeBytes : 0);
      if (this.#cache.find(`context:${name}`) === undefined) rmSync(place, { recursive: true, force: true });
      throw error;
    }
  }

  /** What was received the last time. */
  #index(place: string): Index {
    const kept = this.#indexes.get(place);
    const isThere = existsSync(join(place, "index.json")) && existsSync(join(place, "pack"));
    return kept !== undefined && isThere ? kept : readIndex(place);
  }

  /** The contexts of the last builds are likely those of the next ones. */
  #keepIndex(place: string, pack: Pack): void {
    this.#indexes.delete(place);
    if (pack.entries.size <= keptEntries)
      this.#indexes.set(place, { entries: pack.entries, sizeBytes: pack.sizeBytes });
    for (const oldest of this.#indexes.keys()) {
      if (this.#indexes.size <= keptIndexes) break;
      this.#indexes.delete(oldest);
    }
  }

  #note(name: string, directory: string, sizeBytes: number): void {
    const key = `context:${name}`;
    const record = this.#cache.find(key);
    if (record !== undefined) this.#cache.touch(record.id, { sizeBytes });
    else
      this.#cache.put([key], {
        type: "source.local",
        description: "local source for context",
        layers: [],
        directory,
        parents: [],
        sizeBytes,
        createdAt: new Date().toISOString(),
      });
  }
}

interface Index {
  readonly entries: ReadonlyMap<string, PackEntry>;
  readonly sizeBytes: number;
}

/** Whether a listing brought nothing new: then what is on disk stays as it is. */
function isSame(known: Index, pack: Pack): boolean {
  if (known.sizeBytes !== pack.sizeBytes || known.entries.size !== pack.entries.size) return false;
  for (const [path, entry] of pack.entries) {
    const before = known.entries.get(path);
    if (
      before === undefined ||
      before.type !== entry.type ||
      before.mode !== entry.mode ||
      before.timeNs !== entry.timeNs ||
      before.sha256 !== entry.sha256 ||
      before.sizeBytes !== entry.sizeBytes ||
      before.linkTarget !== entry.linkTarget ||
      before.uid !== entry.uid ||
      before.gid !== entry.gid ||
      before.identity !== entry.identity ||
      before.device.major !== entry.device.major ||
      before.device.minor !== entry.device.minor ||
      before.xattrs.size > 0 ||
      entry.xattrs.size > 0
    )
      return false;
  }
  return true;
}

function readIndex(place: string): Index {
  const entries = new Map<string, PackEntry>();
  const path = join(place, "index.json");
  if (!existsSync(path) || !existsSync(join(place, "pack"))) return { entries, sizeBytes: 0 };
  try {
    const stored = JSON.parse(readFileSync(path, "utf8")) as { sizeBytes: number; entries: StoredEntry[] };
    // A pack that is shorter than its index was cut off by a crash.
    if (statSync(join(place, "pack")).size < stored.sizeBytes) return { entries, sizeBytes: 0 };
    for (const entry of stored.entries)
      entries.set(entry.path, {
        ...entry,
        timeNs: BigInt(entry.timeNs),
        xattrs: new Map(entry.xattrs.map(([name, value]) => [name, Buffer.from(value, "base64")])),
      });
    return { entries, sizeBytes: stored.sizeBytes };
  } catch {
    return { entries: new Map(), sizeBytes: 0 };
  }
}

function writeIndex(place: string, pack: Pack): void {
  const entries = [...pack.entries.values()].map((entry): StoredEntry => ({
    ...entry,
    timeNs: String(entry.timeNs),
    xattrs: [...entry.xattrs].map(([name, value]) => [name, Buffer.from(value).toString("base64")] as const),
  }));
  writeFileAtomic(join(place, "index.json"), JSON.stringify({ sizeBytes: pack.sizeBytes, entries }));
}

/** The same pack, or a new one when most of it is out of date. */
function compacted(pack: Pack, place: string): Pack {
  let usedBytes = 0;
  for (const { sizeBytes } of pack.entries.values()) usedBytes += sizeBytes;
  if (pack.sizeBytes < compactBytes || usedBytes * 2 > pack.sizeBytes) return pack;
  const path = join(place, "pack.new");
  rmSync(path, { force: true });
  using undo = new DisposableStack();
  const fresh = undo.use(new Pack(path));
  for (const entry of pack.entries.values())
    if (entry.sha256 === "") fresh.add(entry);
    else fresh.commitFile(entry, pack.read(entry));
  fresh.flush();
  rmSync(join(place, "index.json"), { force: true });
  renameSync(path, join(place, "pack"));
  undo.move();
  pack[Symbol.dispose]();
  return fresh;
}
