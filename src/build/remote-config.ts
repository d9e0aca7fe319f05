/** The configuration of an image in a registry, without its layers: for questions about a Dockerfile. */
import { invalidArgument, notFound } from "../base/errors.ts";
import { parseIndex, parseManifest } from "../image/parse.ts";
import { maxMetadataBytes, readMetadata } from "../image/register.ts";
import { mediaTypes, type Platform } from "../oci/image-spec.ts";
import { formatPlatform, selectPlatform } from "../oci/platform.ts";
import { parseReference, withDefaultTag } from "../oci/reference.ts";
import { downloadBlob } from "../registry/download.ts";
import { type FetchedManifest, fetchManifest } from "../registry/manifests.ts";
import type { RegistrySession } from "../registry/session.ts";
import type { BaseImagesRequest } from "./base-images.ts";
import type { BuildHost, BuildLease } from "./host.ts";

export interface RemoteConfigParts {
  readonly host: Pick<BuildHost, "registry" | "content">;
  readonly request: BaseImagesRequest;
  readonly lease: BuildLease;
}

export interface RemoteConfig {
  /** Of what the name means: an index, or the manifest itself. */
  readonly digest: string;
  readonly bytes: Buffer;
}

const indexTypes: readonly string[] = [mediaTypes.ociIndex, mediaTypes.dockerManifestList];
const maxIndexes = 4;

/**
 * Asks mirrors and the registry. An image without an index is taken whatever platform it is for. Throws `notFound`,
 * `unavailable`, `invalidArgument`.
 */
export async function remoteConfig(
  parts: RemoteConfigParts,
  name: string,
  platform: Platform,
): Promise<RemoteConfig> {
  const { host, request } = parts;
  const reference = withDefaultTag(parseReference(name));
  const credentials = (await request.credentials?.get(reference.domain)) ?? {};
  let failure: unknown = notFound(`no registry has ${name}`);
  for await (const session of host.registry.open({
    reference,
    action: "pull",
    credentials,
    signal: request.signal,
  })) {
    try {
      const top = await fetchManifest(session, reference.digest ?? reference.tag!, request.signal);
      return { digest: top.digest, bytes: await configOf(parts, session, { top, name, platform }) };
    } catch (error) {
      request.signal.throwIfAborted();
      failure = error;
    }
  }
  throw failure;
}

async function configOf(
  { host, request, lease }: RemoteConfigParts,
  session: RegistrySession,
  {
    top,
    name,
    platform,
  }: { readonly top: FetchedManifest; readonly name: string; readonly platform: Platform },
): Promise<Buffer> {
  const { signal } = request;
  let found = top;
  for (let depth = 0; indexTypes.includes(found.mediaType); depth += 1) {
    const chosen = selectPlatform(platform, parseIndex(`index ${found.digest}`, found.bytes).manifests);
    if (chosen === undefined || depth === maxIndexes)
      throw notFound(`no matching manifest for ${formatPlatform(platform)} in ${name}`);
    found = await fetchManifest(session, chosen.digest, signal);
  }
  const descriptor = parseManifest(`manifest ${found.digest}`, found.bytes).config;
  if (descriptor.size > maxMetadataBytes)
    throw invalidArgument(
      `image configuration ${descriptor.digest} is larger than ${maxMetadataBytes} bytes`,
    );
  lease.add(descriptor.digest);
  if (!host.content.has(descriptor.digest))
    await downloadBlob(session, host.content, {
      descriptor,
      signal,
      onProgress: () => {},
      onRetry: () => {},
    });
  return readMetadata(host.content, "image configuration", descriptor.digest);
}
