import { ImageGarbage } from "../image/garbage.ts";
import type { ImageRecord } from "../image/image.ts";
import type { ImageDeps } from "./image-deps.ts";

/** What the composition root gives, with what the image use cases share among themselves. */
export interface ImageContext extends ImageDeps {
  readonly garbage: ImageGarbage;
}

export function createImageContext(deps: ImageDeps): ImageContext {
  return {
    content: deps.content,
    snapshotter: deps.snapshotter,
    images: deps.images,
    isImageUsed: (id) => deps.isImageUsed(id),
    emit: (type, action, id, attributes) => deps.emit(type, action, id, attributes),
    garbage: new ImageGarbage(deps),
  };
}

/** Emits an image event as Docker does: the image's labels and its name are the attributes. */
export function emitImageEvent(deps: ImageDeps, action: string, image: ImageRecord, name: string): void {
  deps.emit("image", action, image.id, { ...image.config.config?.Labels, name });
}
