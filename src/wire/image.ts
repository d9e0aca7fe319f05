import type { Descriptor, ImageConfig, Platform } from "../oci/image-spec.ts";

/** One entry of `GET /images/json`. */
export interface ImageSummary {
  Id: string;
  ParentId: string;
  RepoTags: string[];
  RepoDigests: string[];
  /** Unix seconds. */
  Created: number;
  Size: number;
  SharedSize: number;
  VirtualSize?: number;
  Labels: Record<string, string> | null;
  Containers: number;
  /** With `manifests=1`, since API 1.47: the platforms of the image. */
  Manifests?: ImageManifestSummary[];
}

/** One platform of an image in a list. */
export interface ImageManifestSummary {
  /** Digest of the manifest. */
  ID: string;
  Descriptor: Descriptor;
  /** All of it is here. */
  Available: boolean;
  /** Bytes: of the blobs as they came, and of all that it takes. */
  Size: { Content: number; Total: number };
  Kind: "image";
  ImageData: { Platform: Platform; Size: { Unpacked: number }; Containers: string[] };
}

export interface ImageInspect {
  Id: string;
  RepoTags: string[];
  RepoDigests: string[];
  Parent?: string;
  Comment: string;
  Created?: string;
  DockerVersion?: string;
  Author: string;
  Config: ImageConfig;
  Architecture: string;
  Variant?: string;
  Os: string;
  Size: number;
  VirtualSize?: number;
  GraphDriver: { Name: string; Data: Record<string, string> | null };
  RootFS: { Type: "layers"; Layers: string[] };
  Metadata: { LastTagTime: string };
}

export interface ImageHistoryEntry {
  Id: string;
  Created: number;
  CreatedBy: string;
  Tags: string[] | null;
  Size: number;
  Comment: string;
}

export type ImageDeleteEntry = { Untagged: string } | { Deleted: string };

/** One object of a progress stream (pull, load, import, build). */
export interface ProgressMessage {
  status?: string;
  id?: string;
  progressDetail?: { current?: number; total?: number };
  progress?: string;
  stream?: string;
  aux?: unknown;
  errorDetail?: { code?: number; message: string };
  error?: string;
}

/** One entry of `GET /images/search`. */
export interface ImageSearchResult {
  name: string;
  description: string;
  star_count: number;
  is_official: boolean;
  is_automated: boolean;
}
