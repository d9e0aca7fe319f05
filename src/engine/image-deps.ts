import type { ContentStore } from "../content/content.ts";
import type { ImageStore } from "../image/image.ts";
import type { Snapshotter } from "../snapshot/snapshot.ts";

export interface ImageUser {
  readonly containerId: string;
  /** It has a running task, also a paused or restarting one. */
  readonly running: boolean;
}

/** What the image use cases work with. */
export interface ImageDeps {
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly images: ImageStore;
  /** The containers that were made from an image. */
  isImageUsed(id: string): ImageUser[];
  emit(type: string, action: string, id: string, attributes: Readonly<Record<string, string>>): void;
}
