/** Base images out of OCI layouts at the client's (`--build-context NAME=oci-layout://…`). */
import { Readable } from "node:stream";
import { notFound } from "../base/errors.ts";
import { readStoredImage } from "../image/register.ts";
import { type Descriptor, type ImageIndex, mediaTypes, type Platform } from "../oci/image-spec.ts";
import { formatPlatform, selectPlatform } from "../oci/platform.ts";
import type { BaseImage } from "./base-images.ts";
import type { ClientStore, ContextSource } from "./build.ts";
import type { BuildHost, BuildLease } from "./host.ts";
import { unpackLayers } from "./layers.ts";

export type LayoutSource = Extract<ContextSource, { kind: "layout" }>;

interface LayoutParts {
  readonly host: BuildHost;
  readonly lease: BuildLease;
  readonly signal: AbortSignal;
}

/** Keeps a blob of a client's store here, unless it is here. Throws `notFound`; `invalidArgument` for other bytes. */
export async function takeBlob(
  { host, lease, signal }: LayoutParts,
  store: ClientStore,
  { digest, size }: Pick<Descriptor, "digest"> & { readonly size?: number },
): Promise<void> {
  lease.add(digest);
  if (host.content.has(digest)) return;
  await host.content.ingest(Readable.from(store.read(digest, signal), { objectMode: false }), {
    digest,
    ...(size === undefined ? {} : { sizeBytes: size }),
  });
}

const maxIndexes = 4;

/** The image for a platform behind a manifest or an index. It is unpacked, and gets no record. */
export async function imageFromLayout(
  parts: LayoutParts,
  source: LayoutSource,
  platform: Platform,
): Promise<BaseImage> {
  const { host, lease } = parts;
  const { store, name } = source;
  let digest = source.digest;
  for (let depth = 0; depth < maxIndexes; depth += 1) {
    await takeBlob(parts, store, { digest });
    const found = JSON.parse(host.content.read(digest).toString()) as Partial<ImageIndex> & {
      mediaType?: string;
    };
    if (found.manifests === undefined) break;
    const match =
      selectPlatform(platform, found.manifests) ??
      found.manifests.find((entry) => entry.platform === undefined);
    if (match === undefined)
      throw notFound(`${name} has no image for the platform ${formatPlatform(platform)}`);
    digest = match.digest;
  }
  const manifest = JSON.parse(host.content.read(digest).toString()) as {
    mediaType?: string;
    config?: Descriptor;
    layers?: Descriptor[];
  };
  if (manifest.config === undefined) throw notFound(`${name} has no image`);
  for (const blob of [manifest.config, ...(manifest.layers ?? [])]) await takeBlob(parts, store, blob);
  const image = readStoredImage(host.content, {
    digest,
    mediaType: manifest.mediaType ?? mediaTypes.ociManifest,
  });
  const blobs = image.config.rootfs.diff_ids.map((diffId, index) => ({
    diffId,
    descriptor: image.manifest.layers[index]!,
  }));
  return {
    id: image.configDigest,
    config: image.config,
    layers: await unpackLayers(host, blobs, lease),
    name: `${name}@${source.digest}`,
    digest: source.digest,
  };
}
