/** Manifests and indexes as bytes: asked for with the right words, and checked against their digest. */
import { EngineError } from "../base/errors.ts";
import { digestOf, isDigest, parseDigest } from "../oci/digest.ts";
import { mediaTypes } from "../oci/image-spec.ts";
import { header, readBody } from "./http.ts";
import type { RegistrySession } from "./session.ts";
import { hasBlob, startUpload } from "./upload.ts";

export interface FetchedManifest {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly mediaType: string;
}

/** Registries take no larger ones (distribution spec 1.1, Pushing Manifests: at least 4 MiB). */
const maxManifestBytes = 4 * 1024 * 1024;

/** Docker's old format is named too, so that a registry answers with it and the reason can be told. */
export const schema1Types = [
  "application/vnd.docker.distribution.manifest.v1+prettyjws",
  "application/vnd.docker.distribution.manifest.v1+json",
];

const acceptedTypes = [
  mediaTypes.ociIndex,
  mediaTypes.dockerManifestList,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
  ...schema1Types,
].join(", ");

/**
 * The manifest or index that a tag or digest names. Throws `notFound` when there is none, `unavailable` for bytes that do
 * not have the digest that was asked for, or that the registry claims.
 */
export async function fetchManifest(
  session: RegistrySession,
  tagOrDigest: string,
  signal: AbortSignal,
): Promise<FetchedManifest> {
  const what = `manifest ${tagOrDigest} of ${session.options.repository}`;
  const answer = await session.send({
    what,
    method: "GET",
    path: `/manifests/${tagOrDigest}`,
    headers: { Accept: acceptedTypes },
    accept: [200],
    signal,
  });
  const bytes = await readBody(answer, maxManifestBytes);
  const claimed = isDigest(tagOrDigest) ? tagOrDigest : header(answer, "docker-content-digest");
  const algorithm = claimed !== undefined && isDigest(claimed) ? parseDigest(claimed).algorithm : "sha256";
  const digest = digestOf(bytes, algorithm);
  if (claimed !== undefined && claimed !== digest)
    throw new EngineError(
      "unavailable",
      `the registry ${session.host} sent other bytes than it promised for ${what}: expected ${claimed}, got ${digest}`,
    );
  return { bytes, digest, mediaType: typeOf(header(answer, "content-type"), bytes) };
}

/** What the header says; where that is nothing of ours, what the document says of itself. */
function typeOf(contentType: string | undefined, bytes: Buffer): string {
  const said = contentType?.split(";", 1)[0]?.trim() ?? "";
  if (acceptedTypes.split(", ").includes(said)) return said;
  try {
    const { mediaType } = JSON.parse(bytes.toString("utf8")) as { mediaType?: unknown };
    return typeof mediaType === "string" ? mediaType : said;
  } catch {
    return said;
  }
}

/** Stores a manifest under a tag or its digest. Throws when the registry refuses it. */
export async function putManifest(
  session: RegistrySession,
  tagOrDigest: string,
  manifest: FetchedManifest,
  signal: AbortSignal,
): Promise<void> {
  const answer = await session.send({
    what: `putting the manifest ${tagOrDigest} into ${session.options.repository}`,
    method: "PUT",
    path: `/manifests/${tagOrDigest}`,
    headers: { "Content-Type": manifest.mediaType, "Content-Length": String(manifest.bytes.length) },
    body: () => manifest.bytes,
    accept: [200, 201, 202],
    signal,
  });
  answer.body.resume();
  const stored = header(answer, "docker-content-digest");
  if (stored !== undefined && isDigest(stored) && stored !== manifest.digest)
    throw new EngineError(
      "unavailable",
      `the registry ${session.host} stored the manifest as ${stored} in place of ${manifest.digest}`,
    );
}

const maxTagBytes = 16 * 1024 * 1024;
const maxPages = 10_000;

/** Every tag of the repository, page by page (distribution spec 1.1, Listing Tags). */
export async function fetchTags(session: RegistrySession, signal: AbortSignal): Promise<string[]> {
  const tags: string[] = [];
  let path: string | URL = "/tags/list";
  for (let page = 0; page < maxPages; page += 1) {
    const what = `tags of ${session.options.repository}`;
    const answer = await session.send({ what, method: "GET", path, accept: [200], signal });
    const text = (await readBody(answer, maxTagBytes)).toString("utf8");
    tags.push(...parseTags(text, session.host));
    const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(header(answer, "link") ?? "")?.[1];
    if (next === undefined) break;
    const url: URL = new URL(next, session.options.endpoint.origin);
    // A list goes on where it began: no registry sends our credentials elsewhere by a link.
    if (url.origin !== session.options.endpoint.origin) break;
    path = url;
  }
  return tags;
}

function parseTags(text: string, host: string): string[] {
  try {
    const { tags } = JSON.parse(text) as { tags?: unknown };
    if (tags === null || tags === undefined) return [];
    if (Array.isArray(tags) && tags.every((tag) => typeof tag === "string")) return tags;
  } catch {
    // Said below.
  }
  throw new EngineError("unavailable", `the registry ${host} answered with no list of tags`);
}

/** A blob that is read into memory and not kept. Throws `unavailable` for bytes with another digest. */
export async function fetchSmallBlob(
  session: RegistrySession,
  digest: string,
  { maxBytes, signal }: { maxBytes: number; signal: AbortSignal },
): Promise<Buffer> {
  const what = `blob ${digest} of ${session.options.repository}`;
  const answer = await session.send({ what, method: "GET", path: `/blobs/${digest}`, accept: [200], signal });
  const bytes = await readBody(answer, maxBytes);
  const actual = digestOf(bytes, parseDigest(digest).algorithm);
  if (actual !== digest)
    throw new EngineError(
      "unavailable",
      `the registry ${session.host} sent other bytes than it promised for ${what}: got ${actual}`,
    );
  return bytes;
}

/** Makes sure that the repository has a blob that is small enough for one request (distribution spec 1.1, end-4a, end-6). */
export async function putSmallBlob(
  session: RegistrySession,
  bytes: Buffer,
  signal: AbortSignal,
): Promise<void> {
  const digest = digestOf(bytes);
  if (await hasBlob(session, digest, signal)) return;
  const location = await startUpload(session, digest, signal);
  location.searchParams.set("digest", digest);
  const answer = await session.send({
    what: `sending blob ${digest} of ${session.options.repository}`,
    method: "PUT",
    path: location,
    headers: { "Content-Type": "application/octet-stream", "Content-Length": String(bytes.length) },
    body: () => bytes,
    accept: [201, 204],
    signal,
  });
  answer.body.resume();
}
