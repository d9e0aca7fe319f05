/** Removing blobs and layers that nobody refers to any more. */
import { crashpoint } from "../base/failpoint.ts";
import type { ContentStore } from "../content/content.ts";
import { chainIds } from "../oci/chain-id.ts";
import type { Snapshotter } from "../snapshot/snapshot.ts";
import type { ImageRecord, ImageStore } from "./image.ts";
import { type Lease, Leases } from "./leases.ts";

/** Digests of everything an image needs in the content store. */
export function blobsOf(image: Pick<ImageRecord, "manifestDigest" | "manifest">): string[] {
  const { config, layers } = image.manifest;
  return [image.manifestDigest, config.digest, ...layers.map((layer) => layer.digest)];
}

/** What images need whose records are lost. */
export function lostPins(images: Pick<ImageStore, "lost">): string[] {
  return images.lost().flatMap(({ needs }) => needs);
}

export class ImageGarbage {
  readonly #content: ContentStore;
  readonly #snapshotter: Snapshotter;
  readonly #images: ImageStore;
  /** Blobs and layers that something else than an image needs. */
  readonly #pins: () => Iterable<string>;
  readonly #leases = new Leases();

  constructor(stores: {
    content: ContentStore;
    snapshotter: Snapshotter;
    images: ImageStore;
    pins?: () => Iterable<string>;
  }) {
    this.#pins = stores.pins ?? (() => []);
    this.#content = stores.content;
    this.#snapshotter = stores.snapshotter;
    this.#images = stores.images;
  }

  /**
   * Holds what an operation brings in. At its end, whatever of it no image refers to is removed: a failed load leaves
   * nothing.
   */
  lease(): Disposable & Pick<Lease, "add"> {
    const lease = this.#leases.acquire();
    return {
      add: (key) => lease.add(key),
      [Symbol.dispose]: () => {
        lease[Symbol.dispose]();
        this.collect(new Set(lease.keys()));
      },
    };
  }

  /** True while an operation holds this digest or chainID. */
  isHeld(key: string): boolean {
    return this.#leases.isHeld(key);
  }

  /**
   * Removes blobs and layers that no image, no container's snapshot, no pin and no lease refers to; with `candidates`, only
   * those digests and chainIDs. Returns the chainIDs of removed layers, top first.
   */
  collect(candidates?: ReadonlySet<string>): string[] {
    const images = this.#images.list();
    const usedBlobs = new Set(images.flatMap(blobsOf));
    const pinned = new Set(this.#pins());
    const isGarbage = (key: string): boolean =>
      !pinned.has(key) && (candidates === undefined || candidates.has(key)) && !this.#leases.isHeld(key);
    const blobs = candidates === undefined ? this.#content.list().map(({ digest }) => digest) : candidates;
    for (const digest of blobs) if (!usedBlobs.has(digest) && isGarbage(digest)) this.#content.remove(digest);
    crashpoint("image-remove.blobs-removed");
    return this.#collectLayers(images, isGarbage);
  }

  #collectLayers(images: readonly ImageRecord[], isGarbage: (key: string) => boolean): string[] {
    const usedLayers = new Set(images.flatMap(({ config }) => chainIds(config.rootfs.diff_ids)));
    const removed: string[] = [];
    for (;;) {
      // A layer can go when nothing stands on it any more; removing it frees the one below.
      const snapshots = this.#snapshotter.list();
      const parents = new Set(snapshots.map(({ parent }) => parent));
      const free = snapshots.filter(
        ({ key, kind }) =>
          kind === "committed" && !parents.has(key) && !usedLayers.has(key) && isGarbage(key),
      );
      if (free.length === 0) return removed;
      for (const { key } of free) {
        this.#snapshotter.remove(key);
        crashpoint("image-remove.layer-removed");
        removed.push(key);
      }
    }
  }
}
