/** FROM and `--from` of images: found here, or brought in from their registry. */
import { EngineError, errorText, isKind, notFound } from "../base/errors.ts";
import type { ImageRecord } from "../image/image.ts";
import { chainIds } from "../oci/chain-id.ts";
import type { ImageConfigFile, Platform } from "../oci/image-spec.ts";
import { digestOf } from "../oci/digest.ts";
import {
  formatPlatform,
  hostPlatform,
  normalizePlatform,
  platformMatches,
  selectPlatform,
} from "../oci/platform.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  parseReference,
  withDefaultTag,
} from "../oci/reference.ts";
import type { BuildRequest, ContextSource } from "./build.ts";
import { imageFromLayout, type LayoutSource } from "./layout-image.ts";
import type { BuildHost, BuildLease } from "./host.ts";
import type { Layers } from "./layers.ts";
import { type Progress, type VertexProgress } from "./progress.ts";

export interface BaseImage {
  /** Digest of its configuration. */
  readonly id: string;
  readonly config: ImageConfigFile;
  readonly layers: Layers;
  /** `docker.io/library/busybox:latest`, with its digest when it is known. */
  readonly name: string;
  /** Of the manifest in its registry; undefined for one that was made here. */
  readonly digest: string | undefined;
}

/** What of a build's request says how images are brought in. */
export type BaseImagesRequest = Pick<BuildRequest, "signal" | "credentials" | "pull" | "platforms">;

/** How registries and their absence say that an image cannot be had from them. */
const notThere = ["notFound", "unavailable", "unauthenticated", "permissionDenied"] as const;

export class BaseImages {
  readonly #host: BuildHost;
  readonly #request: BaseImagesRequest;
  readonly #progress: Progress;
  readonly #lease: BuildLease;
  readonly #found = new Map<string, Promise<BaseImage>>();

  constructor(parts: { host: BuildHost; request: BaseImagesRequest; progress: Progress; lease: BuildLease }) {
    this.#host = parts.host;
    this.#request = parts.request;
    this.#progress = parts.progress;
    this.#lease = parts.lease;
  }

  /** What was used, for provenance. */
  async used(): Promise<BaseImage[]> {
    const settled = await Promise.allSettled(this.#found.values());
    return settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  }

  /** One resolution for each image and platform, whoever asks. Throws `notFound`, `unavailable`. */
  get(reference: string, platform: Platform): Promise<BaseImage> {
    const key = `${reference} ${formatPlatform(platform)}`;
    let found = this.#found.get(key);
    if (found === undefined) {
      found = this.#resolve(reference, platform);
      this.#found.set(key, found);
    }
    return found;
  }

  /** An image out of an OCI layout of the client's. Throws `notFound`, `invalidArgument`, `unavailable`. */
  fromLayout(source: LayoutSource, platform: Platform): Promise<BaseImage> {
    const key = `layout ${source.name} ${source.digest} ${formatPlatform(platform)}`;
    let found = this.#found.get(key);
    if (found === undefined) {
      const vertex = this.#progress.vertex(key, `[internal] load metadata for ${source.name}`);
      const parts = { host: this.#host, lease: this.#lease, signal: this.#request.signal };
      found = vertex.run(() => imageFromLayout(parts, source, platform));
      this.#found.set(key, found);
    }
    return found;
  }

  /** What an earlier build has made. Throws `notFound` when it is gone, or was not made for the platform. */
  fromBuild(source: Extract<ContextSource, { kind: "built" }>, platform: Platform): BaseImage {
    const image = selectPlatform(platform, source.images);
    if (image === undefined)
      throw notFound(`${source.name} was not built for the platform ${formatPlatform(platform)}`);
    const { config, layers } = image;
    for (const { chainId, descriptor } of layers) {
      this.#lease.add(chainId);
      this.#lease.add(descriptor.digest);
      if (!this.#host.snapshotter.has(chainId))
        throw notFound(`${source.name} is no longer there: its layers were pruned`);
    }
    return { id: digestOf(JSON.stringify(config)), config, layers, name: source.name, digest: undefined };
  }

  async #resolve(reference: string, platform: Platform): Promise<BaseImage> {
    const name = canonicalName(reference);
    const vertex = this.#progress.vertex(
      `metadata ${name} ${formatPlatform(platform)}`,
      `[internal] load metadata for ${name}`,
    );
    return vertex.run(async () => {
      let image = this.#local(reference, platform);
      if (image === undefined || this.#request.pull === true)
        image = await this.#pull(reference, platform, vertex, image);
      return this.#opened(image, name);
    });
  }

  #local(reference: string, platform: Platform): ImageRecord | undefined {
    const image = this.#host.images.find(reference);
    if (image === undefined) return undefined;
    return platformMatches(platform, image.config) ? image : undefined;
  }

  async #pull(
    reference: string,
    platform: Platform,
    vertex: VertexProgress,
    known: ImageRecord | undefined,
  ): Promise<ImageRecord> {
    const parsed = withDefaultTag(parseReference(reference));
    const shown = familiarReference(parsed);
    const credentials = await this.#request.credentials?.get(parsed.domain);
    const isForeign = formatPlatform(platform) !== formatPlatform(hostPlatform());
    let pulled: string | undefined;
    try {
      for await (const message of this.#host.pull({
        image: shown,
        tag: undefined,
        platform: isForeign ? formatPlatform(platform) : undefined,
        ...(credentials === undefined ? {} : { credentials }),
        signal: this.#request.signal,
        // The stage is built on what there is; the build checks say so.
        isBase: true,
        onImage: (id) => (pulled = id),
      })) {
        // Without details it is about the image, not about a layer.
        const { id, status = "", progressDetail } = message;
        if (id === undefined || progressDetail === undefined) continue;
        const { current = 0, total = 0 } = progressDetail;
        const done = status === "Pull complete" || status === "Already exists";
        vertex.status(id, { current, total, name: status, done });
      }
    } catch (error) {
      if (known !== undefined && isKind(error, "unavailable")) return known;
      const other = this.#other(reference, platform);
      if (other !== undefined && isKind(error, ...notThere)) return other;
      if (!(error instanceof EngineError)) throw error;
      throw new EngineError(
        error.kind,
        `failed to resolve source metadata for ${canonicalName(reference)}: ${errorText(error)}`,
        { cause: error, ...this.#hint(reference, platform, error) },
      );
    }
    const image = pulled === undefined ? this.#local(reference, platform) : this.#host.images.byId(pulled);
    if (image === undefined)
      throw notFound(`image ${shown} was found, but not for the platform ${formatPlatform(platform)}`);
    return image;
  }

  /** An image that is here alone, whatever it is for: where nobody has asked for a platform, it is the one that is meant. */
  #other(reference: string, platform: Platform): ImageRecord | undefined {
    // Who asks for what the registry has gets nothing that it refuses.
    if (this.#request.pull === true) return undefined;
    const isAsked = (this.#request.platforms ?? []).length > 0 || !platformMatches(platform, hostPlatform());
    return isAsked ? undefined : this.#host.images.find(reference);
  }

  /** What is here under the name, for another platform, explains why a registry was asked at all. */
  #hint(reference: string, platform: Platform, { hint }: EngineError): { hint?: string } {
    const here = this.#host.images.find(reference);
    if (here === undefined || platformMatches(platform, here.config))
      return hint === undefined ? {} : { hint };
    return {
      hint: `The image of that name that is here is for ${formatPlatform(normalizePlatform(here.config))}, and ${formatPlatform(platform)} was asked for.`,
    };
  }

  #opened(image: ImageRecord, name: string): BaseImage {
    const diffIds = image.config.rootfs.diff_ids;
    const chain = chainIds(diffIds);
    for (const key of [...chain, ...image.manifest.layers.map(({ digest }) => digest)]) this.#lease.add(key);
    const layers = diffIds.map((diffId, index) => ({
      diffId,
      chainId: chain[index]!,
      descriptor: image.manifest.layers[index]!,
    }));
    // An image may be known by digests of several repositories.
    const repository = `${familiarName(parseReference(name))}@`;
    const digest = (
      image.repoDigests.find((known) => known.startsWith(repository)) ?? image.repoDigests[0]
    )?.split("@")[1];
    return {
      id: image.id,
      config: image.config,
      layers,
      name: digest === undefined || name.includes("@") ? name : `${name}@${digest}`,
      digest,
    };
  }
}

/** `docker.io/library/busybox:latest`; what is no reference stays as it is. */
export function canonicalName(reference: string): string {
  try {
    return formatReference(withDefaultTag(parseReference(reference)));
  } catch {
    return reference;
  }
}
