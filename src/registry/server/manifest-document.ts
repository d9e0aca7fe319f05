/** What a pushed manifest says: checked before it is stored (OCI image specification 1.1, manifest and index). */
import { mediaTypes } from "../../oci/image-spec.ts";
import { RequestError } from "./errors.ts";
import type { ManifestLinks } from "./metadata.ts";
import { isDigest } from "./names.ts";

export interface ManifestDocument {
  readonly mediaType: string;
  readonly subject: string | undefined;
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
  /** Everything it refers to. */
  readonly links: ManifestLinks;
  /** Blobs that need not be here, because the manifest says where else they are. */
  readonly foreign: ReadonlySet<string>;
}

type Fields = Readonly<Record<string, unknown>>;

const imageTypes: readonly string[] = [mediaTypes.ociManifest, mediaTypes.dockerManifest];
const indexTypes: readonly string[] = [mediaTypes.ociIndex, mediaTypes.dockerManifestList];

const invalid = (why: string): RequestError =>
  new RequestError(400, "MANIFEST_INVALID", `manifest invalid: ${why}`);

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Reads a manifest of the type that its `Content-Type` names. Throws `MANIFEST_INVALID`. */
export function parseManifestDocument(bytes: Buffer, contentType: string | undefined): ManifestDocument {
  const document = parseObject(bytes);
  const said = contentType?.split(";", 1)[0]?.trim() ?? "";
  const own = typeof document["mediaType"] === "string" ? document["mediaType"] : undefined;
  const mediaType = own ?? (said === "" || said === "application/json" ? guessType(document) : said);
  if (own !== undefined && said !== "" && said !== "application/json" && own !== said)
    throw invalid(`it calls itself ${own}, its Content-Type is ${said}`);
  if (document["schemaVersion"] !== 2) throw invalid("its schemaVersion is not 2");
  const read = imageTypes.includes(mediaType)
    ? readImage
    : indexTypes.includes(mediaType)
      ? readIndex
      : undefined;
  if (read === undefined)
    throw invalid(`${JSON.stringify(mediaType)} is no media type that this registry takes`);
  const subject =
    document["subject"] === undefined ? undefined : descriptor(document["subject"], "subject").digest;
  const artifactType = document["artifactType"];
  if (artifactType !== undefined && typeof artifactType !== "string")
    throw invalid("its artifactType is no text");
  const { links, foreign, configType } = read(document);
  return {
    mediaType,
    subject,
    artifactType: artifactType === undefined || artifactType === "" ? configType : artifactType,
    annotations: readAnnotations(document["annotations"]),
    links,
    foreign,
  };
}

function parseObject(bytes: Buffer): Fields {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw invalid("it is no JSON");
  }
  if (!isObject(value)) throw invalid("it is no JSON object");
  return value;
}

function guessType(document: Fields): string {
  return document["manifests"] === undefined ? mediaTypes.ociManifest : mediaTypes.ociIndex;
}

interface Descriptor {
  readonly digest: string;
  readonly mediaType: string;
  readonly isForeign: boolean;
}

function descriptor(value: unknown, what: string): Descriptor {
  if (!isObject(value)) throw invalid(`its ${what} is no descriptor`);
  const { digest, size, mediaType, urls } = value;
  if (typeof digest !== "string" || !isDigest(digest))
    throw invalid(`the digest of its ${what} is malformed`);
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0)
    throw invalid(`the size of its ${what} is malformed`);
  if (typeof mediaType !== "string" || mediaType === "") throw invalid(`its ${what} has no media type`);
  return { digest, mediaType, isForeign: Array.isArray(urls) && urls.length > 0 };
}

function descriptors(value: unknown, what: string): Descriptor[] {
  if (!Array.isArray(value)) throw invalid(`it has no list of ${what}s`);
  return value.map((entry) => descriptor(entry, what));
}

type Contents = Pick<ManifestDocument, "links" | "foreign"> & { readonly configType: string | undefined };

function readImage(document: Fields): Contents {
  // One document that is an image to some readers and an index to others (CVE-2021-41190).
  if (document["manifests"] !== undefined) throw invalid("it has both layers and manifests");
  const config = descriptor(document["config"], "config");
  const layers = descriptors(document["layers"], "layer");
  const blobs = [config, ...layers];
  return {
    links: { blobs: blobs.map(({ digest }) => digest), manifests: [] },
    foreign: new Set(blobs.filter(({ isForeign }) => isForeign).map(({ digest }) => digest)),
    configType: config.mediaType,
  };
}

function readIndex(document: Fields): Contents {
  if (document["layers"] !== undefined || document["config"] !== undefined)
    throw invalid("it has both manifests and layers");
  const manifests = descriptors(document["manifests"], "manifest").map(({ digest }) => digest);
  return { links: { blobs: [], manifests }, foreign: new Set(), configType: undefined };
}

function readAnnotations(value: unknown): Readonly<Record<string, string>> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value) || !Object.values(value).every((text) => typeof text === "string"))
    throw invalid("its annotations are no texts");
  return value as Record<string, string>;
}
