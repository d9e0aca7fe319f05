import type { Readable } from "node:stream";
import { invalidArgument } from "../base/errors.ts";
import { blobsOf } from "../image/garbage.ts";
import { type SavedImage, writeArchive } from "../image/archive-writer.ts";
import { familiarName, familiarReference, type Reference, tryParseReference } from "../oci/reference.ts";
import { parseReference } from "../oci/reference.ts";
import { emitImageEvent, type ImageContext } from "./image-context.ts";

/**
 * Writes images into one archive. A name without a tag stands for all tags of its repository, an id for the image
 * without names. Throws `notFound` before anything is written.
 */
export async function imageSave(context: ImageContext, namesOrIds: readonly string[]): Promise<Readable> {
  const chosen = new Map<string, SavedImage>();
  const add = ({ image, tags }: SavedImage): void => {
    const known = chosen.get(image.id)?.tags ?? [];
    chosen.set(image.id, { image, tags: [...new Set([...known, ...tags])] });
  };
  for (const name of namesOrIds) for (const saved of find(context, name)) add(saved);
  const images = [...chosen.values()];
  const lease = context.garbage.lease();
  for (const { image } of images) for (const digest of blobsOf(image)) lease.add(digest);
  const archive = writeArchive(context.content, images);
  archive.once("close", () => lease[Symbol.dispose]());
  for (const { image } of images) emitImageEvent(context, "save", image, image.id);
  return archive;
}

function find(context: ImageContext, nameOrId: string): SavedImage[] {
  if (nameOrId === "") throw invalidArgument("invalid reference format");
  const reference = tryParseReference(nameOrId);
  if (reference !== undefined && reference.tag === undefined && reference.digest === undefined) {
    const all = ofRepository(context, reference);
    if (all.length > 0) return all;
  }
  const image = context.images.resolve(nameOrId);
  const written = reference === undefined ? "" : familiarReference(reference);
  return [{ image, tags: image.repoTags.filter((tag) => tag === written) }];
}

function ofRepository(context: ImageContext, reference: Reference): SavedImage[] {
  const repository = familiarName(reference);
  return context.images
    .list()
    .map((image) => ({
      image,
      tags: image.repoTags.filter((tag) => familiarName(parseReference(tag)) === repository),
    }))
    .filter(({ tags }) => tags.length > 0);
}
