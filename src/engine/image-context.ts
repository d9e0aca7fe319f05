import { ImageGarbage } from "../image/garbage.ts";
import type { ImageRecord } from "../image/image.ts";
import { RegistryClient } from "../registry/client.ts";
import { BlobDownloads } from "./blob-downloads.ts";
import type { ImageDeps } from "./image-deps.ts";
import { Slots } from "./slots.ts";

/** What the composition root gives, with what the image use cases share among themselves. */
export interface ImageContext extends ImageDeps {
  readonly garbage: ImageGarbage;
  readonly registry: RegistryClient;
  readonly downloads: BlobDownloads;
  readonly uploadSlots: Slots;
}

export function createImageContext(deps: ImageDeps): ImageContext {
  return {
    content: deps.content,
    snapshotter: deps.snapshotter,
    images: deps.images,
    transfers: deps.transfers,
    builtIndex: (reference, digest) => deps.builtIndex?.(reference, digest),
    isImageUsed: (id) => deps.isImageUsed(id),
    emit: (type, action, id, attributes) => deps.emit(type, action, id, attributes),
    garbage: new ImageGarbage({ ...deps, pins: () => deps.pins?.() ?? [] }),
    registry: new RegistryClient(deps.transfers, deps.registryPlace),
    downloads: new BlobDownloads(deps.content, () => deps.transfers.maxConcurrentDownloads),
    uploadSlots: new Slots(() => deps.transfers.maxConcurrentUploads),
  };
}

/** Emits an image event as Docker does: the image's labels and its name are the attributes. */
export function emitImageEvent(deps: ImageDeps, action: string, image: ImageRecord, name: string): void {
  deps.emit("image", action, image.id, { ...image.config.config?.Labels, name });
}
