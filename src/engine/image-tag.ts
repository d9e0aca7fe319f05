import { invalidArgument } from "../base/errors.ts";
import {
  familiarReference,
  formatReference,
  parseReference,
  withDefaultTag,
  withTag,
} from "../oci/reference.ts";
import { emitImageEvent, type ImageContext } from "./image-context.ts";

/** Gives an image one more name. Throws `notFound`, `invalidArgument` for a malformed name. */
export async function imageTag(
  context: ImageContext,
  nameOrId: string,
  repository: string,
  tag: string,
): Promise<void> {
  const image = context.images.resolve(nameOrId);
  const target = parseReference(repository);
  if (target.digest !== undefined) throw invalidArgument("refusing to create a tag with a digest reference");
  if (target.domain === "docker.io" && target.path === "library/sha256")
    throw invalidArgument("refusing to create an ambiguous tag using digest algorithm as name");
  const complete = tag === "" ? withDefaultTag(target) : withTag(target, tag);
  context.images.tag(formatReference(complete), image.id);
  emitImageEvent(context, "tag", image, familiarReference(complete));
}
