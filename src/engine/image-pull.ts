import { type EngineError, notFound, notImplemented } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import { storeManifest } from "../image/build-manifest.ts";
import { busyboxRepository, makeBusyboxImage } from "../image/busybox.ts";
import { registerImage } from "../image/register.ts";
import { mediaTypes } from "../oci/image-spec.ts";
import { formatPlatform, hostPlatform, parsePlatform, platformMatches } from "../oci/platform.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
  withDigest,
  withTag,
} from "../oci/reference.ts";
import type { ProgressMessage } from "../wire/image.ts";
import type { ImageContext } from "./image-context.ts";

export interface ImagePullOptions {
  readonly image: string;
  /** A tag or a digest. */
  readonly tag: string | undefined;
  readonly platform: string | undefined;
  readonly signal: AbortSignal;
}

function wantedReference({ image, tag }: ImagePullOptions): Reference {
  const reference = parseReference(image);
  if (tag === undefined || tag === "") return withDefaultTag(reference);
  return tag.includes(":") ? withDigest(reference, tag) : withTag(reference, tag);
}

/**
 * Brings an image in. The built-in one is made on the spot; anything else would come from a registry
 * (`notImplemented`).
 */
export async function* imagePull(
  context: ImageContext,
  options: ImagePullOptions,
): AsyncGenerator<ProgressMessage, void> {
  const reference = wantedReference(options);
  if (familiarName(reference) !== busyboxRepository)
    throw notImplemented(
      `cannot pull ${familiarReference(reference)}: this version of gantry talks to no registry`,
      {
        hint: "bring the image with `gantry load` or `gantry import`, make a Debian one with `gantry image bootstrap`, or use the built-in gantry/busybox",
      },
    );
  checkPlatform(reference, options.platform);
  if (reference.tag !== undefined && reference.tag !== "latest") throw unknownManifest(reference);
  yield* pullBusybox(context, reference);
}

function checkPlatform(reference: Reference, platform: string | undefined): void {
  if (platform === undefined || platform === "") return;
  const wanted = parsePlatform(platform);
  if (!platformMatches(wanted, hostPlatform()))
    throw notFound(
      `no matching manifest for ${formatPlatform(wanted)} of ${familiarReference(reference)}: it is made from this host's busybox, for ${formatPlatform(hostPlatform())}`,
    );
}

function unknownManifest(reference: Reference): EngineError {
  return notFound(
    `manifest for ${familiarReference(reference)} not found: manifest unknown: only :latest exists`,
  );
}

async function* pullBusybox(
  context: ImageContext,
  reference: Reference,
): AsyncGenerator<ProgressMessage, void> {
  const { content, images } = context;
  const { layer, config } = await makeBusyboxImage();
  using lease = context.garbage.lease();
  const diffId = config.rootfs.diff_ids[0]!;
  lease.add(diffId);
  const blob = await content.ingest(layer, { digest: diffId });
  const descriptor = { mediaType: mediaTypes.ociLayer, digest: blob.digest, size: blob.sizeBytes };
  const stored = await storeManifest(content, { config, layers: [descriptor] }, lease);
  if (reference.digest !== undefined && reference.digest !== stored.manifestDigest)
    throw unknownManifest(reference);
  const shown = familiarReference(reference);
  const before = images.find(shown);

  yield {
    status: `Pulling from ${familiarName(reference)}`,
    id: reference.tag ?? reference.digest ?? "latest",
  };
  const register = registerImage(context, stored, lease);
  for (let step = await register.next(); ; step = await register.next()) {
    if (step.done === true) break;
    yield* layerMessages(step.value.diffId, { isNew: step.value.isNew, sizeBytes: blob.sizeBytes });
  }
  const id = stored.configDigest;
  const byDigest = formatReference(withDigest(reference, stored.manifestDigest));
  images.tag(byDigest, id);
  if (reference.tag !== undefined && before?.id !== id) images.tag(formatReference(reference), id);
  context.emit("image", "pull", shown, { ...config.config?.Labels, name: familiarName(reference) });
  yield { status: `Digest: ${stored.manifestDigest}` };
  yield {
    status:
      before?.id === id
        ? `Status: Image is up to date for ${shown}`
        : `Status: Downloaded newer image for ${shown}`,
  };
}

function* layerMessages(
  diffId: string,
  layer: { isNew: boolean; sizeBytes: number },
): Generator<ProgressMessage, void> {
  const id = shortId(diffId);
  if (!layer.isNew) {
    yield { status: "Already exists", progressDetail: {}, id };
    return;
  }
  const all = { current: layer.sizeBytes, total: layer.sizeBytes };
  yield { status: "Pulling fs layer", progressDetail: {}, id };
  yield { status: "Downloading", progressDetail: all, id };
  yield { status: "Verifying Checksum", progressDetail: {}, id };
  yield { status: "Download complete", progressDetail: {}, id };
  yield { status: "Extracting", progressDetail: all, id };
  yield { status: "Pull complete", progressDetail: {}, id };
}
