/** Images as package URLs (purl-spec, type docker), as attestations name them. */
import type { Platform } from "../oci/image-spec.ts";
import { formatPlatform } from "../oci/platform.ts";
import { familiarReference, parseReference, tryParseReference, withDefaultTag } from "../oci/reference.ts";

/** `pkg:docker/busybox@1.36?platform=linux%2Famd64`, with the digest when the name has one. Throws `invalidArgument`. */
export function imagePurl(name: string, platform: Platform): string {
  const { domain, path, tag, digest } = withDefaultTag(parseReference(name));
  const version = tag === undefined ? "" : `@${tag}`;
  const qualifiers = [
    ...(digest === undefined ? [] : [`digest=${digest}`]),
    `platform=${encodeURIComponent(formatPlatform(platform))}`,
  ];
  return `pkg:docker/${familiarReference({ domain, path })}${version}?${qualifiers.join("&")}`;
}

/** {@link imagePurl}, or undefined for what is no image's name, such as a context's. */
export function tryPurl(name: string, platform: Platform): string | undefined {
  return tryParseReference(name) === undefined ? undefined : imagePurl(name, platform);
}
