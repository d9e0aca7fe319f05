/**
 * Cache that travels: `--cache-to` and `--cache-from` with `type=registry`, `local` or `inline`.
 *
 * It is an OCI manifest whose layers are those of the records and whose configuration lists the records: their keys, and
 * which layers each has, bottom first. Inline cache is that list in the image's own configuration. A key is a hash of what a step was
 * made of, so that it says the same on every machine.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { writeFileAtomic } from "../base/atomic-file.ts";
import { EngineError, errorText, invalidArgument, notFound } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { digestOf, isDigest, parseDigest } from "../oci/digest.ts";
import { type Descriptor, type ImageIndex, type ImageManifest, mediaTypes } from "../oci/image-spec.ts";
import { parseReference, withDefaultTag } from "../oci/reference.ts";
import { downloadBlob } from "../registry/download.ts";
import { fetchManifest, putManifest } from "../registry/manifests.ts";
import type { CacheAddress, ClientStore } from "./build.ts";
import type { CacheRecord, CacheStore } from "./cache-store.ts";
import type { BuildLease } from "./host.ts";
import { type Layer, stacked, unpackLayers } from "./layers.ts";
import type { Progress, VertexProgress } from "./progress.ts";
import { takeBlob } from "./layout-image.ts";
import { openRegistry, sendBlobs, type TransferParts } from "./registry-transfer.ts";

const configType = "application/vnd.gantry.buildcache.v1+json";
/** Field of an image's configuration that has its cache. */
export const inlineField = "gantry.buildcache.v1";

interface TravellingRecord {
  readonly keys: readonly string[];
  /** diffIDs, bottom first. */
  readonly layers: readonly string[];
  readonly description: string;
  readonly createdAt: string;
  readonly isLink?: boolean;
}

interface CacheList {
  readonly records: readonly TravellingRecord[];
  /** Blobs by diffID; for inline cache those of the image, in its order. */
  readonly blobs: Readonly<Record<string, Descriptor>>;
}

export interface CacheParts extends TransferParts {
  readonly cache: CacheStore;
  readonly lease: BuildLease;
  readonly progress: Progress;
}

/** What of the cache goes out: the list of records with their blobs. */
export function listRecords(cache: CacheStore, ids: Iterable<string>): CacheList {
  const records: TravellingRecord[] = [];
  const blobs: Record<string, Descriptor> = {};
  for (const id of ids) {
    const record = cache.byId(id);
    if (record === undefined || record.type !== "regular") continue;
    for (const { diffId, descriptor } of record.layers) blobs[diffId] = descriptor;
    const { description, createdAt, isLink, layers } = record;
    records.push({
      keys: cache.keysOf(id),
      layers: layers.map(({ diffId }) => diffId),
      description,
      createdAt,
      ...(isLink === true ? { isLink } : {}),
    });
  }
  return { records, blobs };
}

/** Throws `invalidArgument` for a kind of cache that cannot be written. */
export function checkCacheExports(addresses: readonly CacheAddress[] = []): void {
  for (const { type } of addresses)
    if (!["inline", "local", "registry"].includes(type))
      throw invalidArgument(`unknown cache exporter: ${JSON.stringify(type)}`, {
        hint: "There are inline, local and registry.",
      });
}

/**
 * Exports to a registry or a directory, and returns the manifest. A failure fails the build unless `ignore-error` is set.
 */
export async function exportCache(
  parts: CacheParts,
  address: CacheAddress,
  list: CacheList,
): Promise<Descriptor | undefined> {
  if (address.type === "inline") return undefined;
  const vertex = parts.progress.vertex(
    `cache export ${parts.request.id} ${JSON.stringify(address)}`,
    `exporting cache to ${address.type === "local" ? "client directory" : address.type}`,
  );
  try {
    return await vertex.run(async () => {
      const { manifest, config } = await storeCacheManifest(parts, list);
      if (address.type === "registry")
        await sendToRegistry(parts, { address, manifest, config, list }, vertex);
      else await writeDirectory(parts, { address, manifest, config, list });
      const { bytes, digest } = manifest;
      return { mediaType: mediaTypes.ociManifest, digest, size: bytes.length };
    });
  } catch (error) {
    if (address.attributes["ignore-error"] !== "true") throw error;
    log.warn("could not export build cache", { error: errorText(error) });
    return undefined;
  }
}

interface StoredCache {
  readonly manifest: { readonly bytes: Buffer; readonly digest: string };
  readonly config: Descriptor;
}

async function storeCacheManifest({ host, lease }: CacheParts, list: CacheList): Promise<StoredCache> {
  const configBytes = Buffer.from(JSON.stringify(list));
  const stored = await host.content.ingest(configBytes);
  lease.add(stored.digest);
  const config = { mediaType: configType, digest: stored.digest, size: stored.sizeBytes };
  const manifest: ImageManifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: Object.values(list.blobs),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  return { manifest: { bytes, digest: digestOf(bytes) }, config };
}

interface Outgoing extends StoredCache {
  readonly address: CacheAddress;
  readonly list: CacheList;
}

function requiredAttribute({ type, attributes }: CacheAddress, ...names: readonly string[]): string {
  for (const name of names) if (attributes[name]) return attributes[name];
  throw invalidArgument(`${names[0]} is required for ${type} cache`);
}

async function sendToRegistry(parts: CacheParts, out: Outgoing, vertex: VertexProgress): Promise<void> {
  const reference = withDefaultTag(parseReference(requiredAttribute(out.address, "ref")));
  const session = await openRegistry(parts, reference, "pull,push");
  await sendBlobs(parts, session, [...Object.values(out.list.blobs), out.config], vertex);
  const { bytes, digest } = out.manifest;
  await putManifest(
    session,
    reference.tag!,
    { bytes, digest, mediaType: mediaTypes.ociManifest },
    parts.signal,
  );
}

const blobPath = (directory: string, digest: string): string =>
  join(directory, "blobs", "sha256", parseDigest(digest).hex);

/** Into a layout of the client's, which keeps its index itself, or of a directory of the daemon's machine. */
async function writeDirectory(parts: CacheParts, out: Outgoing): Promise<void> {
  const { host, request, signal } = parts;
  const directory = requiredAttribute(out.address, "dest");
  const store = request.cacheStore?.(directory);
  if (store !== undefined) {
    for (const { digest, size } of [...Object.values(out.list.blobs), out.config])
      await store.write({ digest, sizeBytes: size, data: host.content.open(digest) }, signal);
    const { bytes, digest } = out.manifest;
    await store.write({ digest, sizeBytes: bytes.length, data: Readable.from([bytes]) }, signal);
    return;
  }
  if (!directory.startsWith("/"))
    throw invalidArgument(`dest of a local cache must be an absolute path: ${directory}`);
  mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
  for (const { digest } of [...Object.values(out.list.blobs), out.config]) {
    signal.throwIfAborted();
    if (!existsSync(blobPath(directory, digest)))
      await copyFile(host.content.path(digest), blobPath(directory, digest));
  }
  const { bytes, digest } = out.manifest;
  writeFileAtomic(blobPath(directory, digest), bytes);
  const tag = out.address.attributes["tag"] || "latest";
  const index: ImageIndex = {
    schemaVersion: 2,
    manifests: [
      {
        mediaType: mediaTypes.ociManifest,
        digest,
        size: bytes.length,
        annotations: { "org.opencontainers.image.ref.name": tag },
      },
    ],
  };
  writeFileAtomic(join(directory, "index.json"), JSON.stringify(index));
  writeFileAtomic(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

/** A list that came from somewhere, and how its blobs are had. */
interface Import {
  readonly byKey: ReadonlyMap<string, TravellingRecord>;
  readonly blobs: CacheList["blobs"];
  fetch(descriptor: Descriptor): Promise<void>;
}

/** All that `--cache-from` names, read when the first step asks. What cannot be had is told and costs nothing else. */
export class CacheImports {
  readonly #parts: CacheParts;
  #imports: Promise<Import[]> | undefined;

  constructor(parts: CacheParts) {
    this.#parts = parts;
  }

  /** The record of a key, with its layers here; undefined when nobody has it. */
  async find(key: string): Promise<CacheRecord | undefined> {
    const addresses = this.#parts.request.cacheFrom ?? [];
    if (addresses.length === 0) return undefined;
    this.#imports ??= this.#readAll(addresses);
    for (const source of await this.#imports) {
      const record = source.byKey.get(key);
      if (record === undefined) continue;
      try {
        return await this.#bringIn(source, record);
      } catch (error) {
        this.#parts.signal.throwIfAborted();
        log.warn("could not take a step out of imported cache", { error: errorText(error) });
      }
    }
    return undefined;
  }

  async #readAll(addresses: readonly CacheAddress[]): Promise<Import[]> {
    const found = await Promise.all(addresses.map((address) => this.#read(address)));
    return found.filter((source) => source !== undefined);
  }

  async #read(address: CacheAddress): Promise<Import | undefined> {
    const { progress, signal, request } = this.#parts;
    const where = address.attributes["ref"] ?? address.attributes["src"] ?? address.type;
    const vertex = progress.vertex(
      `cache import ${request.id} ${where}`,
      `importing cache manifest from ${where}`,
    );
    try {
      return await vertex.run(() => {
        if (address.type === "registry") return this.#fromRegistry(address);
        if (address.type === "local") return this.#fromDirectory(address);
        throw invalidArgument(`unknown cache importer: ${JSON.stringify(address.type)}`);
      });
    } catch (error) {
      signal.throwIfAborted();
      log.debug("build cache was not imported", { from: where, error: errorText(error) });
      return undefined;
    }
  }

  async #fromRegistry(address: CacheAddress): Promise<Import> {
    const { host, signal } = this.#parts;
    const written = requiredAttribute(address, "ref");
    const local = host.images.find(written);
    const inline = (local?.config as Record<string, unknown> | undefined)?.[inlineField];
    if (typeof inline === "string") {
      const blobs = Object.fromEntries(
        local!.config.rootfs.diff_ids.map((diffId, index) => [diffId, local!.manifest.layers[index]!]),
      );
      return importOf(inlineList(inline, blobs), async () => {});
    }
    const reference = withDefaultTag(parseReference(written));
    const session = await openRegistry(this.#parts, reference, "pull");
    const { bytes } = await fetchManifest(session, reference.digest ?? reference.tag!, signal);
    const manifest = JSON.parse(bytes.toString()) as Partial<ImageManifest>;
    if (manifest.config === undefined) throw notFound(`${written} is an index and has no cache`);
    const fetch = async (descriptor: Descriptor): Promise<void> => {
      this.#parts.lease.add(descriptor.digest);
      if (host.content.has(descriptor.digest)) return;
      await downloadBlob(session, host.content, {
        descriptor,
        signal,
        onProgress: () => {},
        onRetry: () => {},
      });
    };
    await fetch(manifest.config);
    const config = JSON.parse(host.content.read(manifest.config.digest).toString()) as Record<
      string,
      unknown
    >;
    if (manifest.config.mediaType === configType) return importOf(config as unknown as CacheList, fetch);
    const list = config[inlineField];
    if (typeof list !== "string") throw notFound(`${written} has no cache`);
    const diffIds = (config["rootfs"] as { diff_ids: string[] }).diff_ids;
    const blobs = Object.fromEntries(diffIds.map((diffId, index) => [diffId, manifest.layers![index]!]));
    return importOf(inlineList(list, blobs), fetch);
  }

  async #fromDirectory(address: CacheAddress): Promise<Import> {
    const { host, lease, request } = this.#parts;
    const directory = requiredAttribute(address, "src");
    const store = request.cacheStore?.(directory);
    if (store !== undefined) return this.#fromStore(store, requiredAttribute(address, "digest"));
    const index = JSON.parse(readFileSync(join(directory, "index.json"), "utf8")) as ImageIndex;
    const asked = address.attributes["digest"];
    const digest = asked || index.manifests[0]?.digest;
    if (digest === undefined || !isDigest(digest)) throw notFound(`${directory} has no cache`);
    const manifest = JSON.parse(readFileSync(blobPath(directory, digest), "utf8")) as ImageManifest;
    const list = JSON.parse(readFileSync(blobPath(directory, manifest.config.digest), "utf8")) as CacheList;
    return importOf(list, async (descriptor) => {
      lease.add(descriptor.digest);
      if (host.content.has(descriptor.digest)) return;
      await host.content.ingest(createReadStream(blobPath(directory, descriptor.digest)), {
        digest: descriptor.digest,
        sizeBytes: descriptor.size,
      });
    });
  }

  async #fromStore(store: ClientStore, digest: string): Promise<Import> {
    const { content } = this.#parts.host;
    const read = async (wanted: string): Promise<unknown> => {
      await takeBlob(this.#parts, store, { digest: wanted });
      return JSON.parse(content.read(wanted).toString()) as unknown;
    };
    const { config } = (await read(digest)) as Partial<ImageManifest>;
    if (config?.mediaType !== configType) throw notFound(`${digest} is no build cache of gantry's`);
    const list = (await read(config.digest)) as CacheList;
    return importOf(list, (descriptor) => takeBlob(this.#parts, store, descriptor));
  }

  async #bringIn(source: Import, record: TravellingRecord): Promise<CacheRecord> {
    const { host, lease, cache } = this.#parts;
    const blobs: Pick<Layer, "diffId" | "descriptor">[] = [];
    for (const diffId of record.layers) {
      const descriptor = source.blobs[diffId];
      if (descriptor === undefined)
        throw new EngineError("notFound", `imported cache lacks the layer ${diffId}`);
      await source.fetch(descriptor);
      blobs.push({ diffId, descriptor });
    }
    // Of a COPY --link the one layer counts, which is unpacked where it is put.
    const layers = record.isLink === true ? stacked(blobs) : await unpackLayers(host, blobs, lease);
    return cache.put(record.keys, {
      type: "regular",
      description: record.description,
      layers,
      parents: [],
      sizeBytes: layers.at(-1)?.descriptor.size ?? 0,
      createdAt: record.createdAt,
      ...(record.isLink === true ? { isLink: true } : {}),
    });
  }
}

function importOf(list: CacheList, fetch: Import["fetch"]): Import {
  const byKey = new Map<string, TravellingRecord>();
  for (const record of list.records) for (const key of record.keys) byKey.set(key, record);
  return { byKey, blobs: list.blobs, fetch };
}

/** The list as the image's configuration has it. */
export const inlineText = ({ records }: CacheList): string =>
  Buffer.from(JSON.stringify(records)).toString("base64");

function inlineList(text: string, blobs: CacheList["blobs"]): CacheList {
  const records = JSON.parse(Buffer.from(text, "base64").toString()) as TravellingRecord[];
  return { records, blobs };
}
