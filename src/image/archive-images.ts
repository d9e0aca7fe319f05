/** Which images an archive holds, and under which names. */
import { closeSync, openSync, readSync } from "node:fs";
import { errorText, invalidArgument } from "../base/errors.ts";
import type { ContentStore } from "../content/content.ts";
import { isAttestation, mediaTypes, type Descriptor, type Platform } from "../oci/image-spec.ts";
import { hostPlatform, selectPlatform } from "../oci/platform.ts";
import { formatReference, parseReference, withDefaultTag } from "../oci/reference.ts";
import type { ArchiveFiles } from "./archive-reader.ts";
import { storeManifest } from "./build-manifest.ts";
import { detectCompression } from "./decompress.ts";
import type { Lease } from "./leases.ts";
import { parseImageConfig, parseIndex } from "./parse.ts";
import { readMetadata, readStoredImage, type StoredImage } from "./register.ts";

export interface ArchivedImage {
  readonly image: StoredImage;
  /** Normalised references. */
  readonly names: readonly string[];
}

const indexTypes: readonly string[] = [mediaTypes.ociIndex, mediaTypes.dockerManifestList];
const maxIndexDepth = 4;

/** One entry of a docker-archive's `manifest.json`. */
interface DockerEntry {
  readonly Config: string;
  readonly RepoTags: readonly string[];
  readonly Layers: readonly string[];
}

/**
 * Finds the images. An OCI layout's manifests stay byte by byte what they were; for a plain docker-archive one is made.
 * Throws `invalidArgument` when the archive is neither, or something in it is malformed or missing.
 */
export async function findImages(
  files: ArchiveFiles,
  content: ContentStore,
  lease: Pick<Lease, "add">,
  platform?: Platform,
): Promise<ArchivedImage[]> {
  const index = files.metadata.get("index.json");
  const manifest = files.metadata.get("manifest.json");
  const entries = manifest === undefined ? [] : parseDockerManifest(manifest);
  if (index !== undefined)
    return ociImages(content, index, { names: namesByConfig(files, entries), platform });
  if (manifest !== undefined)
    return Promise.all(entries.map((entry) => dockerImage(entry, { files, content, lease })));
  throw invalidArgument(
    files.metadata.has("repositories")
      ? "the archive was written by Docker before version 1.10 (it has no manifest.json): load it there and save it again"
      : "this is no image archive: it has neither manifest.json nor index.json",
  );
}

function parseDockerManifest(data: Buffer): DockerEntry[] {
  let list: unknown;
  try {
    list = JSON.parse(data.toString("utf8"));
  } catch (error) {
    throw invalidArgument(`manifest.json of the archive is no JSON: ${errorText(error)}`);
  }
  if (!Array.isArray(list)) throw invalidArgument("manifest.json of the archive is no list");
  return list.map((entry: Partial<DockerEntry> | null) => {
    const strings = (value: unknown): value is string[] =>
      Array.isArray(value) && value.every((item) => typeof item === "string");
    const { Config, RepoTags, Layers } = entry ?? {};
    if (typeof Config !== "string" || !strings(Layers ?? []) || !strings(RepoTags ?? []))
      throw invalidArgument("manifest.json of the archive is malformed: an entry has no Config and Layers");
    return { Config, RepoTags: RepoTags ?? [], Layers: Layers ?? [] };
  });
}

const normalise = (name: string): string => formatReference(withDefaultTag(parseReference(name)));

/** Names that manifest.json gives, by the digest of the image's configuration. */
function namesByConfig(files: ArchiveFiles, entries: readonly DockerEntry[]): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { Config, RepoTags } of entries) {
    const digest = files.digestOf(Config);
    names.set(digest, [...(names.get(digest) ?? []), ...RepoTags.map(normalise)]);
  }
  return names;
}

async function dockerImage(
  entry: DockerEntry,
  { files, content, lease }: { files: ArchiveFiles; content: ContentStore; lease: Pick<Lease, "add"> },
): Promise<ArchivedImage> {
  const configBytes = readMetadata(content, "image configuration", files.digestOf(entry.Config));
  const config = parseImageConfig(`image configuration ${entry.Config}`, configBytes);
  const layers = entry.Layers.map((name) => describeLayer(content, files.digestOf(name)));
  const { manifestDigest: digest, manifestMediaType: mediaType } = await storeManifest(
    content,
    { config, configBytes, layers },
    lease,
  );
  return { image: readStoredImage(content, { digest, mediaType }), names: entry.RepoTags.map(normalise) };
}

function describeLayer(content: ContentStore, digest: string): Descriptor {
  const head = Buffer.alloc(6);
  const fd = openSync(content.path(digest), "r");
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  const compression = detectCompression(head);
  const suffix = compression === "none" ? "" : `+${compression}`;
  return { mediaType: mediaTypes.ociLayer + suffix, digest, size: content.info(digest).sizeBytes };
}

/** The images of an OCI layout. Of several platforms under one name, the wanted or the host's is taken, else the first. */
function ociImages(
  content: ContentStore,
  indexBytes: Buffer,
  wanted: { readonly names: ReadonlyMap<string, readonly string[]>; readonly platform: Platform | undefined },
): ArchivedImage[] {
  const { names: extraNames, platform } = wanted;
  const groups = new Map<string, { names: Set<string>; offers: Descriptor[] }>();
  for (const descriptor of parseIndex("index.json of the archive", indexBytes).manifests) {
    const name = annotatedName(descriptor);
    const key = name ?? descriptor.digest;
    const group = groups.get(key) ?? { names: new Set(), offers: [] };
    if (name !== undefined) group.names.add(name);
    group.offers.push(...manifestsOf(content, descriptor, 0));
    groups.set(key, group);
  }
  const images = new Map<string, { image: StoredImage; names: Set<string> }>();
  for (const { names, offers } of groups.values()) {
    const present = offers.filter((offer) => content.has(offer.digest) && !isAttestation(offer));
    const chosen = selectPlatform(platform ?? hostPlatform(), present) ?? present[0];
    if (chosen === undefined) throw invalidArgument("index.json of the archive names no image that is in it");
    const image = readStoredImage(content, chosen);
    const known = images.get(image.configDigest) ?? { image, names: new Set() };
    for (const name of [...names, ...(extraNames.get(image.configDigest) ?? [])]) known.names.add(name);
    images.set(image.configDigest, known);
  }
  return [...images.values()].map(({ image, names }) => ({ image, names: [...names] }));
}

function manifestsOf(content: ContentStore, descriptor: Descriptor, depth: number): Descriptor[] {
  if (!indexTypes.includes(descriptor.mediaType)) return [descriptor];
  if (depth > maxIndexDepth) throw invalidArgument("the archive's indexes are nested too deeply");
  const what = `index ${descriptor.digest}`;
  return parseIndex(what, readMetadata(content, "index", descriptor.digest)).manifests.flatMap((child) =>
    manifestsOf(content, child, depth + 1),
  );
}

/**
 * containerd's annotation holds the whole name. The specification's `ref.name` may be a whole name too (skopeo), or only
 * a tag, which names nothing.
 */
function annotatedName({ annotations }: Descriptor): string | undefined {
  const full = annotations?.["io.containerd.image.name"];
  if (full !== undefined) return normalise(full);
  const short = annotations?.["org.opencontainers.image.ref.name"];
  return short !== undefined && /[/:]/.test(short) ? normalise(short) : undefined;
}
