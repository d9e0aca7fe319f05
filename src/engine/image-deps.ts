import type { ContentStore } from "../content/content.ts";
import type { Descriptor } from "../oci/image-spec.ts";
import type { ImageStore } from "../image/image.ts";
import type { RegistryPlace, RegistrySettings } from "../registry/registry.ts";
import type { Snapshotter } from "../snapshot/snapshot.ts";

export interface ImageUser {
  readonly containerId: string;
  /** It has a running task, also a paused or restarting one. */
  readonly running: boolean;
}

/** The daemon's options for registries; they change while it runs. */
export interface TransferSettings extends RegistrySettings {
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
}

/** What the image use cases work with. */
export interface ImageDeps {
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly images: ImageStore;
  readonly transfers: TransferSettings;
  /** Where the registry client finds things, if not in the usual places. */
  readonly registryPlace?: Partial<RegistryPlace>;
  /** Blobs and layers that are kept without an image: the build cache's. */
  pins?(): Iterable<string>;
  /** Manifests of the index that a build has made under a name, when the name still has that build's image. */
  builtIndex?(reference: string, manifestDigest: string): readonly Descriptor[] | undefined;
  /** The containers that were made from an image. */
  isImageUsed(id: string): ImageUser[];
  emit(type: string, action: string, id: string, attributes: Readonly<Record<string, string>>): void;
}
