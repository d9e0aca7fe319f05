import type { Readable } from "node:stream";
import { notFound } from "../base/errors.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { shortId } from "../base/ids.ts";
import { type ArchivedImage, findImages } from "../image/archive-images.ts";
import { readArchive } from "../image/archive-reader.ts";
import { registerImage } from "../image/register.ts";
import type { Platform } from "../oci/image-spec.ts";
import { formatPlatform, platformMatches } from "../oci/platform.ts";
import { familiarReference, parseReference } from "../oci/reference.ts";
import type { ProgressMessage } from "../wire/image.ts";
import { emitImageEvent, type ImageContext } from "./image-context.ts";

/**
 * Loads the images of an archive. Nothing is yielded before the whole archive was read and checked, so a bad one is
 * answered with an error status. Throws `invalidArgument`; what a failed load brought in is removed.
 */
export async function* imageLoad(
  context: ImageContext,
  archive: Readable,
  options: { readonly quiet: boolean; readonly platform?: Platform; readonly signal: AbortSignal },
): AsyncGenerator<ProgressMessage, void> {
  using lease = context.garbage.lease();
  const { content } = context;
  using files = await readArchive(archive, { content, lease, signal: options.signal });
  const { platform } = options;
  const found = await findImages(files, content, lease, platform);
  const fitting = found.filter(
    ({ image }) => platform === undefined || platformMatches(platform, image.config),
  );
  if (platform !== undefined && fitting.length === 0)
    throw notFound(`the archive has no image for the platform ${formatPlatform(platform)}`);
  failpoint("image-load.archive-read");
  for (const archived of fitting) {
    const register = registerImage(context, archived.image, lease);
    let step = await register.next();
    for (; step.done !== true; step = await register.next()) {
      options.signal.throwIfAborted();
      const { isNew, diffId, descriptor } = step.value;
      const all = { current: descriptor.size, total: descriptor.size };
      if (isNew && !options.quiet)
        yield { status: "Loading layer", progressDetail: all, id: shortId(diffId) };
    }
    crashpoint("image-load.registered");
    emitImageEvent(context, "load", step.value, step.value.id);
    yield* nameLoaded(context, archived);
  }
}

function* nameLoaded(
  context: ImageContext,
  { image, names }: ArchivedImage,
): Generator<ProgressMessage, void> {
  const id = image.configDigest;
  if (names.length === 0) yield { stream: `Loaded image ID: ${id}\n` };
  for (const name of names) {
    const shown = familiarReference(parseReference(name));
    const before = context.images.find(name);
    if (before !== undefined && before.id !== id)
      yield {
        stream: `The image ${shown} already exists, renaming the old one with ID ${before.id} to empty string\n`,
      };
    if (before?.id !== id) context.images.tag(name, id);
    yield { stream: `Loaded image: ${shown}\n` };
  }
}
