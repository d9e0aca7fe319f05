/** Pulling the built-in image: it is made on the spot, and no registry is asked. */
import { type EngineError, notFound } from "../base/errors.ts";
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
  type Reference,
  withDefaultTag,
  withDigest,
} from "../oci/reference.ts";
import type { ProgressMessage } from "../wire/image.ts";
import type { ImageContext } from "./image-context.ts";

/** True for a name that is never looked for in a registry. */
export function isBuiltIn(reference: Reference): boolean {
  return familiarName(reference) === busyboxRepository;
}

/** Makes the built-in image and names it. Throws `notFound` for another tag, digest or platform. */
export async function* pullBuiltIn(
  context: ImageContext,
  wanted: { readonly reference: Reference; readonly platform: string | undefined },
): AsyncGenerator<ProgressMessage, void> {
  const reference = withDefaultTag(wanted.reference);
  checkPlatform(reference, wanted.platform);
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
  images.atomically(() => {
    images.tag(byDigest, id);
    if (reference.tag !== undefined && before?.id !== id) images.tag(formatReference(reference), id);
  });
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
