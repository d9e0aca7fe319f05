import type { Readable } from "node:stream";
import { invalidArgument } from "../base/errors.ts";
import { nowRfc3339 } from "../base/time.ts";
import { storeManifest } from "../image/build-manifest.ts";
import { applyChanges } from "../image/changes.ts";
import { decompress } from "../image/decompress.ts";
import { registerImage } from "../image/register.ts";
import { type ImageConfigFile, mediaTypes, type Platform } from "../oci/image-spec.ts";
import { hostPlatform, parsePlatform } from "../oci/platform.ts";
import {
  familiarReference,
  formatReference,
  parseReference,
  withDefaultTag,
  withTag,
} from "../oci/reference.ts";
import type { ProgressMessage } from "../wire/image.ts";
import { emitImageEvent, type ImageContext } from "./image-context.ts";
import { openUrl } from "./url-source.ts";
import { shownUrl } from "../registry/web.ts";

export interface ImageImportOptions {
  /** The archive, or where on the web it is. */
  readonly source: Readable | string;
  readonly signal: AbortSignal;
  readonly repository: string | undefined;
  readonly tag: string | undefined;
  readonly message: string | undefined;
  readonly changes: readonly string[];
  readonly platform: string | undefined;
}

/** Makes an image out of a root file system's tar, plain or compressed. Throws `invalidArgument`. */
export async function* imageImport(
  context: ImageContext,
  options: ImageImportOptions,
): AsyncGenerator<ProgressMessage, void> {
  // What can be wrong in the request is checked before anything is read.
  const name = targetName(options);
  const config = applyChanges({}, options.changes);
  const { architecture, os, variant }: Platform =
    options.platform === undefined || options.platform === ""
      ? hostPlatform()
      : parsePlatform(options.platform);
  using lease = context.garbage.lease();
  let { source } = options;
  if (typeof source === "string") {
    yield { status: `Downloading from ${shownUrl(source)}` };
    source = await openUrl(source, options.signal);
  }
  const layer = await context.content.ingest(decompress(source));
  lease.add(layer.digest);
  const created = nowRfc3339();
  const origin = typeof options.source === "string" ? shownUrl(options.source) : "-";
  const file: ImageConfigFile = {
    created,
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    config,
    rootfs: { type: "layers", diff_ids: [layer.digest] },
    history: [
      {
        created,
        comment:
          options.message === undefined || options.message === ""
            ? `Imported from ${origin}`
            : options.message,
      },
    ],
  };
  const descriptor = { mediaType: mediaTypes.ociLayer, digest: layer.digest, size: layer.sizeBytes };
  const stored = await storeManifest(context.content, { config: file, layers: [descriptor] }, lease);
  const register = registerImage(context, stored, lease);
  let step = await register.next();
  while (step.done !== true) step = await register.next();
  if (name !== undefined) {
    context.images.tag(name, step.value.id);
    emitImageEvent(context, "tag", step.value, familiarReference(parseReference(name)));
  }
  emitImageEvent(context, "import", step.value, step.value.id);
  yield { status: step.value.id };
}

function targetName({ repository, tag }: ImageImportOptions): string | undefined {
  if (repository === undefined || repository === "") return undefined;
  const reference = parseReference(repository);
  if (reference.digest !== undefined) throw invalidArgument("cannot import digest reference");
  const isTagged = tag !== undefined && tag !== "";
  return formatReference(isTagged ? withTag(reference, tag) : withDefaultTag(reference));
}
