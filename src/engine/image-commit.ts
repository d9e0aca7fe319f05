import { Readable } from "node:stream";
import { conflict } from "../base/errors.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { nowRfc3339 } from "../base/time.ts";
import { storeManifest } from "../image/build-manifest.ts";
import { registerImage } from "../image/register.ts";
import type { ImageRecord } from "../image/image.ts";
import { type Descriptor, type HistoryEntry, type ImageConfig, mediaTypes } from "../oci/image-spec.ts";
import { familiarReference, parseReference } from "../oci/reference.ts";
import { emitImageEvent, type ImageContext } from "./image-context.ts";

export interface CommitRequest {
  /** Id of the image that the container was made of. */
  readonly parentId: string;
  readonly config: ImageConfig;
  /** The layer's tar; undefined when nothing was changed. */
  readonly layer: AsyncIterable<Buffer> | undefined;
  /** Normalised reference; undefined for an image without a name. */
  readonly name: string | undefined;
  readonly author: string;
  readonly comment: string;
  readonly createdBy: string;
}

/** Makes an image: the layers of its parent and one more. Throws `conflict` when the parent is no longer there. */
export async function imageCommit(context: ImageContext, request: CommitRequest): Promise<ImageRecord> {
  const parent = context.images.byId(request.parentId);
  if (parent === undefined)
    throw conflict(`the image ${request.parentId} that the container was made of was removed`, {
      hint: "Export the container and import the archive instead.",
    });
  using lease = context.garbage.lease();
  // Its layers must stay, also when somebody removes the parent meanwhile.
  for (const { digest } of parent.manifest.layers) lease.add(digest);
  const created = nowRfc3339();
  const diffIds = [...parent.config.rootfs.diff_ids];
  const layers: Descriptor[] = [...parent.manifest.layers];
  if (request.layer !== undefined) {
    const blob = await context.content.ingest(Readable.from(request.layer, { objectMode: false }));
    lease.add(blob.digest);
    failpoint("image-commit.layer-stored");
    diffIds.push(blob.digest);
    layers.push({ mediaType: mediaTypes.ociLayer, digest: blob.digest, size: blob.sizeBytes });
  }
  const step: HistoryEntry = {
    created,
    ...(request.author === "" ? {} : { author: request.author }),
    ...(request.createdBy === "" ? {} : { created_by: request.createdBy }),
    ...(request.comment === "" ? {} : { comment: request.comment }),
    ...(request.layer === undefined ? { empty_layer: true } : {}),
  };
  const { author: _, ...platform } = parent.config;
  const config = {
    ...platform,
    created,
    ...(request.author === "" ? {} : { author: request.author }),
    config: request.config,
    rootfs: { type: "layers" as const, diff_ids: diffIds },
    history: [...(parent.config.history ?? []), step],
  };
  const stored = await storeManifest(context.content, { config, layers }, lease);
  const register = registerImage(context, { ...stored, parentId: parent.id }, lease);
  let progress = await register.next();
  while (progress.done !== true) progress = await register.next();
  crashpoint("image-commit.registered");
  if (request.name !== undefined) {
    context.images.tag(request.name, progress.value.id);
    emitImageEvent(context, "tag", progress.value, familiarReference(parseReference(request.name)));
  }
  return progress.value;
}
