import { notFound } from "../base/errors.ts";
import type { Platform } from "../oci/image-spec.ts";
import { formatPlatform, platformMatches } from "../oci/platform.ts";
import type { ImageDeps } from "./image-deps.ts";

/** Throws `notFound`, in Docker's words, for an image that is here for another platform. Each is here for one. */
export function checkImagePlatform(deps: ImageDeps, nameOrId: string, platform: Platform): void {
  const { config } = deps.images.resolve(nameOrId);
  if (platformMatches(platform, config)) return;
  throw notFound(
    `image with reference ${nameOrId} was found but does not provide the specified platform (${formatPlatform(platform)})`,
    { hint: `It is here for ${formatPlatform(config)}.` },
  );
}
