import { formatReference, parseReference, withTag } from "../oci/reference.ts";
import { familiarReference } from "../oci/reference.ts";
import type { ImageDeps } from "./image-deps.ts";

/** Gives an image one more name; an image that had it loses it. Throws `notFound`, `invalidArgument`. */
export async function imageTag(
  deps: ImageDeps,
  nameOrId: string,
  repository: string,
  tag: string,
): Promise<void> {
  const image = deps.images.resolve(nameOrId);
  const reference = withTag(parseReference(repository), tag === "" ? "latest" : tag);
  deps.images.tag(formatReference(reference), image.id);
  deps.emit("image", "tag", image.id, { ...image.config.config?.Labels, name: familiarReference(reference) });
}
