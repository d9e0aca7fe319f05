import { parseImageConfig, parseIndex, parseManifest } from "../image/parse.ts";
import { maxMetadataBytes } from "../image/register.ts";
import type { Platform } from "../oci/image-spec.ts";
import { parseReference, withDefaultTag } from "../oci/reference.ts";
import { fetchSmallBlob, type FetchedManifest } from "../registry/manifests.ts";
import type { RegistryCredentials } from "../registry/registry.ts";
import type { RegistrySession } from "../registry/session.ts";
import type { DistributionInspect } from "../wire/registry.ts";
import type { ImageContext } from "./image-context.ts";
import { fetchTop, isIndexType } from "./image-resolve.ts";

/** What a registry has under a name, without pulling it. Throws as a pull does. */
export async function distributionInspect(
  context: ImageContext,
  options: { readonly name: string; readonly credentials: RegistryCredentials; readonly signal: AbortSignal },
): Promise<DistributionInspect> {
  const { credentials, signal } = options;
  const reference = withDefaultTag(parseReference(options.name));
  const sessions = await Array.fromAsync(
    context.registry.open({ reference, action: "pull", credentials, signal }),
  );
  const top = await fetchTop(sessions, { reference, signal });
  return {
    Descriptor: { mediaType: top.mediaType, digest: top.digest, size: top.bytes.length },
    Platforms: await platformsOf(top, sessions.at(-1)!, signal),
  };
}

async function platformsOf(
  top: FetchedManifest,
  session: RegistrySession,
  signal: AbortSignal,
): Promise<Platform[]> {
  if (isIndexType(top.mediaType)) {
    const { manifests } = parseIndex(`index ${top.digest}`, top.bytes);
    return manifests.flatMap(({ platform }) => (platform === undefined ? [] : [platform]));
  }
  const { config } = parseManifest(`manifest ${top.digest}`, top.bytes);
  const bytes = await fetchSmallBlob(session, config.digest, { maxBytes: maxMetadataBytes, signal });
  const { os, architecture, variant } = parseImageConfig(`image configuration ${config.digest}`, bytes);
  return [variant === undefined ? { architecture, os } : { architecture, os, variant }];
}
