/** Image records: which names point to which image, and what an image consists of. The bytes are in `content/`. */
import type { ImageCopy } from "./image-copies.ts";
import type { ImageConfigFile, ImageManifest } from "../oci/image-spec.ts";

export interface ImageRecord {
  /** `sha256:…` of the configuration: the image ID. */
  readonly id: string;
  readonly manifestDigest: string;
  readonly manifestMediaType: string;
  readonly manifest: ImageManifest;
  readonly config: ImageConfigFile;
  /** The image that this one was made from here, by a commit or by a step of a classic build. */
  readonly parentId?: string;
  /** chainID of the top layer; undefined for an image without layers. */
  readonly chainId: string | undefined;
  /** Unpacked size of all layers in bytes. */
  readonly sizeBytes: number;
  /** Familiar references, `repo:tag`, sorted. */
  readonly repoTags: readonly string[];
  /** `repo@sha256:…`, sorted. */
  readonly repoDigests: readonly string[];
  /** RFC 3339 time of the last tag, or the zero time. */
  readonly lastTagTime: string;
}

export interface ImageStore {
  list(): ImageRecord[];
  /**
   * By full id, unique id prefix (with or without `sha256:`), `name[:tag]` or `name@digest`.
   * Throws `notFound` (`No such image: X`), `invalidArgument` for a malformed or ambiguous reference.
   */
  resolve(nameOrId: string): ImageRecord;
  find(nameOrId: string): ImageRecord | undefined;
  byId(id: string): ImageRecord | undefined;
  /** Whether an image was made from this one. */
  hasChildren(id: string): boolean;
  /** Stores the record; names are added by {@link tag}. Idempotent. A parent that is known stays when none is given. */
  put(image: Omit<ImageRecord, "repoTags" | "repoDigests" | "lastTagTime">): ImageRecord;
  /** Points a normalised reference (`docker.io/library/x:tag`, or with a digest) to an image; moves it when it pointed elsewhere. */
  tag(reference: string, id: string): void;
  /** Removes one name. Throws `notFound`. */
  untag(reference: string): void;
  /** Removes the record and all its names. */
  remove(id: string): void;
  /** Images whose records were lost, by the copies beside their blobs. What they need is no garbage. */
  lost(): ImageCopy[];
  /** Removes the copy of one that cannot be had back. */
  forgetLost(id: string): void;
  /** Writes the copies that are missing or say something else than the records. */
  refreshCopies(): void;
  /** All changes of names and records that `work` makes, or, when it throws or the daemon ends meanwhile, none. */
  atomically<T>(work: () => T): T;
}
