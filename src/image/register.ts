/** From blobs to an image: unpack its layers, then write the record, last. */
import { Readable } from "node:stream";
import type { ContentStore } from "../content/content.ts";
import { invalidArgument } from "../base/errors.ts";
import { failpoint } from "../base/failpoint.ts";
import { chainIds } from "../oci/chain-id.ts";
import type { Descriptor, ImageConfigFile, ImageManifest } from "../oci/image-spec.ts";
import type { Snapshotter } from "../snapshot/snapshot.ts";
import { decompress } from "./decompress.ts";
import type { ImageRecord, ImageStore } from "./image.ts";
import { blobsOf } from "./garbage.ts";
import { checkRoom, withinBudget } from "./layer-limits.ts";
import type { Lease } from "./leases.ts";
import { parseImageConfig, parseManifest } from "./parse.ts";

export interface ImageStores {
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly images: ImageStore;
}

/** An image whose blobs are stored but which has no record yet. */
export interface StoredImage {
  readonly manifestDigest: string;
  readonly manifestMediaType: string;
  readonly manifest: ImageManifest;
  readonly configDigest: string;
  readonly config: ImageConfigFile;
  /** The image that it was made from. */
  readonly parentId?: string;
}

export interface LayerProgress {
  readonly diffId: string;
  readonly descriptor: Descriptor;
  readonly isNew: boolean;
}

/** Metadata of an image; more than that is no manifest. */
export const maxMetadataBytes = 16 * 1024 * 1024;

/** A small blob. Throws `invalidArgument` when it is not there or too large to be metadata. */
export function readMetadata(content: ContentStore, what: string, digest: string): Buffer {
  if (!content.has(digest)) throw invalidArgument(`${what} ${digest} is missing`);
  if (content.info(digest).sizeBytes > maxMetadataBytes)
    throw invalidArgument(`${what} ${digest} is larger than ${maxMetadataBytes} bytes`);
  return content.read(digest);
}

/** Reads and checks manifest and configuration, and that every layer is there. */
export function readStoredImage(
  content: ContentStore,
  manifest: { digest: string; mediaType: string },
): StoredImage {
  const parsed = parseManifest(
    `manifest ${manifest.digest}`,
    readMetadata(content, "manifest", manifest.digest),
  );
  const configDigest = parsed.config.digest;
  const config = parseImageConfig(
    `image configuration ${configDigest}`,
    readMetadata(content, "image configuration", configDigest),
  );
  if (config.rootfs.diff_ids.length !== parsed.layers.length)
    throw invalidArgument(
      `manifest ${manifest.digest} has ${parsed.layers.length} layers, its configuration has ${config.rootfs.diff_ids.length}`,
    );
  for (const layer of parsed.layers)
    if (!content.has(layer.digest)) throw invalidArgument(`layer ${layer.digest} is missing`);
  return {
    manifestDigest: manifest.digest,
    manifestMediaType: parsed.mediaType ?? manifest.mediaType,
    manifest: parsed,
    configDigest,
    config,
  };
}

/** For layers whose blobs are still on their way. */
export interface LayerArrivals {
  /** Resolves when the blob of the layer with this index is stored. */
  ready(index: number): Promise<void>;
  /** How much of the layer's blob has been unpacked. */
  onUnpacked(index: number, bytes: number): void;
  /** Ends an unpacking half-way. */
  readonly signal: AbortSignal;
}

/**
 * Unpacks the layers that are not yet unpacked, yields each, and stores the image's record. The caller's lease holds
 * everything meanwhile. Returns the record.
 */
export async function* registerImage(
  stores: ImageStores,
  image: StoredImage,
  lease: Pick<Lease, "add">,
  arrivals?: LayerArrivals,
): AsyncGenerator<LayerProgress, ImageRecord> {
  const { content, snapshotter, images } = stores;
  const diffIds = image.config.rootfs.diff_ids;
  const chain = chainIds(diffIds);
  for (const id of chain) lease.add(id);
  // Beside the unpacking; whoever comes to its end finds most of it done.
  const writing: Promise<void>[] = [];
  const write = (...digests: string[]): void => {
    const written = content.persist(digests);
    written.catch(() => {});
    writing.push(written);
  };
  write(image.manifestDigest, image.configDigest);
  let sizeBytes = 0;
  for (const [index, chainId] of chain.entries()) {
    const descriptor = image.manifest.layers[index]!;
    await arrivals?.ready(index);
    write(descriptor.digest);
    const isNew = !snapshotter.has(chainId);
    if (isNew) {
      const layer = { index, chainId, parent: chain[index - 1], diffId: diffIds[index]! };
      await applyBlob(stores, layer, descriptor, arrivals);
    }
    sizeBytes += (await snapshotter.usage(chainId)).sizeBytes;
    failpoint("image-register.layer-unpacked");
    yield { diffId: diffIds[index]!, descriptor, isNew };
  }
  // A record is written when its blobs are on the disk. The layers need not be: what a loss of power takes of them is
  // marked, and unpacked again from the blobs (snapshot/snapshot-store.ts, engine/image-restore.ts).
  await Promise.all(writing);
  await content.persist(blobsOf(image));
  failpoint("image-register.before-record");
  return images.put({
    id: image.configDigest,
    manifestDigest: image.manifestDigest,
    manifestMediaType: image.manifestMediaType,
    manifest: image.manifest,
    config: image.config,
    ...(image.parentId === undefined ? {} : { parentId: image.parentId }),
    chainId: chain.at(-1),
    sizeBytes,
  });
}

async function applyBlob(
  { content, snapshotter }: ImageStores,
  layer: { index: number; chainId: string; parent: string | undefined; diffId: string },
  descriptor: Descriptor,
  arrivals: LayerArrivals | undefined,
): Promise<void> {
  const budget = {
    digest: descriptor.digest,
    compressedBytes: content.info(descriptor.digest).sizeBytes,
    freeBytes: snapshotter.freeBytes(),
  };
  checkRoom({ ...budget, what: `layer ${descriptor.digest} has` });
  const blob = content.open(descriptor.digest);
  try {
    await snapshotter.applyLayer({
      chainId: layer.chainId,
      parent: layer.parent,
      tar: Readable.from(
        withinBudget(
          decompress(arrivals === undefined ? blob : watched(blob, layer.index, arrivals)),
          budget,
        ),
        { objectMode: false, highWaterMark: 256 * 1024 },
      ),
      expectDiffId: layer.diffId,
    });
  } finally {
    blob.destroy();
  }
}

function watched(blob: Readable, index: number, arrivals: LayerArrivals): Readable {
  async function* bytes(): AsyncGenerator<Buffer> {
    let read = 0;
    for await (const chunk of blob as AsyncIterable<Buffer>) {
      arrivals.signal.throwIfAborted();
      read += chunk.length;
      arrivals.onUnpacked(index, read);
      yield chunk;
    }
  }
  return Readable.from(bytes(), { objectMode: false, highWaterMark: 256 * 1024 });
}
