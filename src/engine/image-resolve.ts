/** From a name to the manifest of one platform: what a registry has, and which part of it is ours. */
import { EngineError, errorText, invalidArgument, notFound } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { parseIndex, parseManifest } from "../image/parse.ts";
import { type Descriptor, type ImageManifest, mediaTypes, type Platform } from "../oci/image-spec.ts";
import { formatPlatform, hostPlatform, selectPlatform } from "../oci/platform.ts";
import { familiarName, familiarReference, type Reference } from "../oci/reference.ts";
import { RegistryResponseError } from "../registry/errors.ts";
import { fetchManifest, type FetchedManifest, schema1Types } from "../registry/manifests.ts";
import type { RegistrySession } from "../registry/session.ts";

export interface ResolvedImage {
  /** Digest of what the name means: an index, or the manifest itself. */
  readonly digest: string;
  readonly manifestDigest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly manifest: ImageManifest;
}

export interface Wanted {
  readonly reference: Reference;
  readonly platform: Platform | undefined;
  readonly signal: AbortSignal;
}

/** An index in an index is allowed; deeper ones are somebody's joke. */
const maxNesting = 3;

const indexTypes: readonly string[] = [mediaTypes.ociIndex, mediaTypes.dockerManifestList];

export function isIndexType(mediaType: string): boolean {
  return indexTypes.includes(mediaType);
}

/**
 * Finds the image behind a name, at the first of `sessions` that has it. Throws `notFound` in Docker's words for what is
 * not there or not for this platform, `invalidArgument` for what is no image.
 */
export async function resolveImage(
  sessions: readonly RegistrySession[],
  wanted: Wanted,
): Promise<ResolvedImage> {
  const top = await fetchTop(sessions, wanted);
  const found = await descend(sessions, wanted, { fetched: top, depth: 0 });
  const manifest = checkManifest(wanted.reference, found);
  return {
    digest: top.digest,
    manifestDigest: found.digest,
    mediaType: found.mediaType,
    bytes: found.bytes,
    manifest,
  };
}

/** What a name means in a registry, index or manifest. Throws `notFound` in Docker's words. */
export async function fetchTop(
  sessions: readonly RegistrySession[],
  { reference, signal }: Pick<Wanted, "reference" | "signal">,
): Promise<FetchedManifest> {
  const name = reference.digest ?? reference.tag ?? "latest";
  return await atFirst(sessions, signal, (session) => fetchManifest(session, name, signal)).catch(
    (error: unknown) => {
      throw manifestError(reference, error);
    },
  );
}

async function descend(
  sessions: readonly RegistrySession[],
  wanted: Wanted,
  { fetched, depth }: { fetched: FetchedManifest; depth: number },
): Promise<FetchedManifest> {
  if (!isIndexType(fetched.mediaType)) return fetched;
  const shown = familiarReference(wanted.reference);
  if (depth >= maxNesting)
    throw invalidArgument(`${shown}: its index is nested more than ${maxNesting} deep`);
  const index = parseIndex(`index ${fetched.digest}`, fetched.bytes);
  const platform = wanted.platform ?? hostPlatform();
  const chosen = selectPlatform(platform, index.manifests) ?? nestedIndex(index.manifests);
  if (chosen === undefined)
    throw notFound(
      `no matching manifest for ${formatPlatform(platform)} in the manifest list entries of ${shown}`,
      {
        hint: offered(index.manifests),
      },
    );
  const next = await atFirst(sessions, wanted.signal, (session) =>
    fetchManifest(session, chosen.digest, wanted.signal),
  );
  const mediaType = next.mediaType || chosen.mediaType;
  return await descend(sessions, wanted, { fetched: { ...next, mediaType }, depth: depth + 1 });
}

/** An index that names no platforms but holds another index: what we look for may be in there. */
function nestedIndex(manifests: readonly Descriptor[]): Descriptor | undefined {
  return manifests.find(({ mediaType, platform }) => platform === undefined && isIndexType(mediaType));
}

function offered(manifests: readonly Descriptor[]): string {
  const platforms = manifests.flatMap(({ platform }) =>
    platform === undefined || platform.os === "unknown" ? [] : [formatPlatform(platform)],
  );
  return platforms.length === 0 ? "It names no platforms at all." : `There is ${platforms.join(", ")}.`;
}

/** Mirrors may lack what the registry has; the last word is the registry's. */
async function atFirst<T>(
  sessions: readonly RegistrySession[],
  signal: AbortSignal,
  ask: (session: RegistrySession) => Promise<T>,
): Promise<T> {
  for (const session of sessions.slice(0, -1)) {
    try {
      return await ask(session);
    } catch (error) {
      signal.throwIfAborted();
      log.debug("mirror cannot help", { mirror: session.host, error: errorText(error) });
    }
  }
  return await ask(sessions.at(-1)!);
}

function manifestError(reference: Reference, error: unknown): unknown {
  if (!(error instanceof RegistryResponseError)) return error;
  const { status, said, codes } = error;
  const shown = familiarReference(reference);
  const name = familiarName(reference);
  if (status === 401 || status === 403 || codes.includes("DENIED"))
    return new EngineError(
      "notFound",
      `pull access denied for ${name}, repository does not exist or may require 'docker login': ${said}`,
      { cause: error },
    );
  if (status !== 404) return error;
  if (codes.includes("NAME_UNKNOWN"))
    return notFound(`repository ${name} not found: ${said}`, { cause: error });
  return notFound(`manifest for ${shown} not found: ${said}`, { cause: error });
}

const imageManifestTypes: readonly string[] = [mediaTypes.ociManifest, mediaTypes.dockerManifest];
const configTypes: readonly string[] = [mediaTypes.ociConfig, mediaTypes.dockerConfig];

function checkManifest(reference: Reference, fetched: FetchedManifest): ImageManifest {
  const shown = familiarReference(reference);
  if (schema1Types.includes(fetched.mediaType))
    throw invalidArgument(`${shown} is in Docker's manifest format 1, which is no longer read`, {
      hint: "Push it again with a Docker of 2017 or later.",
    });
  if (!imageManifestTypes.includes(fetched.mediaType))
    throw invalidArgument(
      `${shown} is no image that can be read: its manifest is of type ${JSON.stringify(fetched.mediaType)}`,
    );
  const manifest = parseManifest(`manifest ${fetched.digest}`, fetched.bytes);
  if (!configTypes.includes(manifest.config.mediaType))
    throw invalidArgument(
      `${shown} is no container image: its configuration is of type ${JSON.stringify(manifest.config.mediaType)}`,
    );
  for (const { digest, size } of [manifest.config, ...manifest.layers])
    if (!Number.isSafeInteger(size) || size < 0)
      throw invalidArgument(`manifest ${fetched.digest} is malformed: blob ${digest} has the size ${size}`);
  return manifest;
}
