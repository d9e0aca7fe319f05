/** Manifests, tags and referrers (distribution specification 1.1, end-3, end-7 to end-9, end-12). */
import { digestOf, parseDigest } from "../../oci/digest.ts";
import { mediaTypes } from "../../oci/image-spec.ts";
import { RequestError } from "./errors.ts";
import {
  answerBytes,
  answerEmpty,
  answerJson,
  type Exchange,
  headerOf,
  isUnchanged,
  paged,
  pageOf,
  readLimited,
} from "./exchange.ts";
import { parseManifestDocument, type ManifestDocument } from "./manifest-document.ts";
import type { ManifestRecord } from "./metadata.ts";
import { checkDigest, parseManifestReference } from "./names.ts";

/** What every registry has to take (section Pushing Manifests). */
const maxManifestBytes = 4 * 1024 * 1024;

/** GET and HEAD. */
export async function readManifest(exchange: Exchange): Promise<void> {
  const { stores, repository, request, response, reference } = exchange;
  const asked = parseManifestReference(reference);
  await stores.upstream?.freshen(exchange, reference);
  const digest = "digest" in asked ? asked.digest : stores.metadata.tag(repository, asked.tag);
  const manifest = digest === undefined ? undefined : stores.metadata.manifest(repository, digest);
  if (manifest === undefined || !stores.content.has(manifest.digest)) throw unknownManifest(exchange);
  const headers = {
    "Content-Type": manifest.mediaType,
    "Docker-Content-Digest": manifest.digest,
    ETag: `"${manifest.digest}"`,
  };
  if (isUnchanged(request, headers.ETag)) {
    response.writeHead(304, headers).end();
    return;
  }
  answerBytes(exchange, 200, headers, stores.content.read(manifest.digest));
}

function unknownManifest({ stores, repository, reference }: Exchange): RequestError {
  return stores.metadata.hasRepository(repository)
    ? new RequestError(404, "MANIFEST_UNKNOWN", "manifest unknown", { detail: { reference } })
    : new RequestError(404, "NAME_UNKNOWN", "repository name not known to registry", {
        detail: { name: repository },
      });
}

/** PUT, under a tag or under its digest. */
export async function putManifest(exchange: Exchange): Promise<void> {
  const { stores, repository, request, reference } = exchange;
  const asked = parseManifestReference(reference);
  const bytes = await readLimited(request, maxManifestBytes);
  const document = parseManifestDocument(bytes, headerOf(request, "content-type"));
  const digest = digestOf(bytes, "digest" in asked ? parseDigest(asked.digest).algorithm : "sha256");
  if ("digest" in asked && asked.digest !== digest)
    throw new RequestError(400, "DIGEST_INVALID", "provided digest did not match uploaded content", {
      detail: { provided: asked.digest, actual: digest },
    });
  using _hold = stores.collector.hold(digest);
  await stores.content.ingest(bytes, { digest });
  // After the last wait: a collection that ran meanwhile has taken its part, or finds the manifest.
  checkReferences(exchange, document);
  stores.metadata.putManifest(
    repository,
    { ...document, digest, sizeBytes: bytes.length, pushedAtMs: Date.now() },
    document.links,
    "tag" in asked ? asked.tag : undefined,
  );
  answerEmpty(exchange, 201, {
    Location: `/v2/${repository}/manifests/${digest}`,
    "Docker-Content-Digest": digest,
    ...(document.subject === undefined ? {} : { "OCI-Subject": document.subject }),
  });
}

/** What is referred to has to be in the repository; a subject may come later (section Pushing Manifests with Subject). */
function checkReferences({ stores, repository }: Exchange, { links, foreign }: ManifestDocument): void {
  const missing = [
    ...links.blobs.filter((digest) => !foreign.has(digest) && !stores.metadata.hasBlob(repository, digest)),
    ...links.manifests.filter((digest) => stores.metadata.manifest(repository, digest) === undefined),
  ];
  if (missing.length > 0)
    throw new RequestError(
      404,
      "MANIFEST_BLOB_UNKNOWN",
      `the manifest refers to what is not in the repository: ${missing[0]}`,
      { detail: missing.map((digest) => ({ digest })) },
    );
}

/** DELETE: by digest the manifest and its tags, by tag that tag alone. */
export async function deleteManifest(exchange: Exchange): Promise<void> {
  const { stores, repository, reference } = exchange;
  const asked = parseManifestReference(reference);
  const isGone =
    "digest" in asked
      ? stores.metadata.deleteManifest(repository, asked.digest)
      : stores.metadata.deleteTag(repository, asked.tag);
  if (!isGone) throw unknownManifest(exchange);
  answerEmpty(exchange, 202, {});
}

/** GET: names of tags, in the order of their bytes. */
export async function listTags(exchange: Exchange): Promise<void> {
  const { stores, repository, url } = exchange;
  const page = pageOf(url);
  const upstream = await stores.upstream?.tags(exchange);
  if (upstream === undefined && !stores.metadata.hasRepository(repository)) throw unknownManifest(exchange);
  const found =
    upstream === undefined
      ? stores.metadata.tags(repository, { last: page.last, limit: page.limit + 1 }).map(({ name }) => name)
      : upstream.filter((name) => name > page.last).slice(0, page.limit + 1);
  const { entries, headers } = paged(url, found, page.limit, (name) => name);
  answerJson(exchange, { name: repository, tags: entries }, headers);
}

/** GET: names of the repositories, in the order of their bytes. */
export async function listRepositories(exchange: Exchange): Promise<void> {
  const { stores, url } = exchange;
  const page = pageOf(url);
  const found = stores.metadata.repositories({ last: page.last, limit: page.limit + 1 });
  const { entries, headers } = paged(url, found, page.limit, (name) => name);
  answerJson(exchange, { repositories: entries }, headers);
}

/** GET: an index of the manifests that say something about this one; empty where there are none. */
export async function listReferrers(exchange: Exchange): Promise<void> {
  const { stores, repository, url } = exchange;
  const digest = checkDigest(exchange.reference);
  if ((await stores.upstream?.passReferrers(exchange, digest)) === true) return;
  const page = pageOf(url);
  const wanted = url.searchParams.get("artifactType");
  const all = stores.metadata.referrers(repository, digest, {
    last: page.last,
    limit: Number.MAX_SAFE_INTEGER,
  });
  const matching = wanted === null ? all : all.filter((manifest) => manifest.artifactType === wanted);
  const { entries, headers } = paged(url, matching, page.limit, (manifest) => manifest.digest);
  answerJson(
    exchange,
    { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries.map(toDescriptor) },
    {
      "Content-Type": mediaTypes.ociIndex,
      ...headers,
      ...(wanted === null ? {} : { "OCI-Filters-Applied": "artifactType" }),
    },
  );
}

function toDescriptor(manifest: ManifestRecord): Record<string, unknown> {
  return {
    mediaType: manifest.mediaType,
    digest: manifest.digest,
    size: manifest.sizeBytes,
    ...(manifest.artifactType === undefined ? {} : { artifactType: manifest.artifactType }),
    ...(manifest.annotations === undefined ? {} : { annotations: manifest.annotations }),
  };
}
