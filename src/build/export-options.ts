/** What an exporter's attributes ask of an image (BuildKit, exporter/containerimage): compression of layers, annotations. */
import { EngineError, invalidArgument } from "../base/errors.ts";
import { formatPlatform, parsePlatform } from "../oci/platform.ts";
import type { Platform } from "../oci/image-spec.ts";
import { parseBoolean } from "./dockerfile/values.ts";

export type LayerCompression = "uncompressed" | "gzip" | "zstd";

export interface ImageOptions {
  /** Undefined leaves layers as they are stored. */
  readonly compression: LayerCompression | undefined;
  readonly compressionLevel: number | undefined;
  /** Also layers of base images that have another compression. */
  readonly isForced: boolean;
  /** Pushed without a tag of the repository. */
  readonly isByDigest: boolean;
  /** Media types of the OCI, not of Docker. */
  readonly hasOciTypes: boolean;
  /** The image store gets it; else it is pushed alone. */
  readonly isStored: boolean;
  /** It is also called by each name with its digest. */
  readonly isCanonical: boolean;
  /** What it is called with its digest; empty for nothing. */
  readonly danglingPrefix: string;
  /** … only when it has no name. */
  readonly isDanglingOnly: boolean;
  /** The registry may speak in the clear, or with any certificate. */
  readonly isInsecure: boolean;
  /** The time of the image, instead of the build's. */
  readonly epoch: { readonly ns: bigint | undefined } | undefined;
  readonly annotations: readonly Annotation[];
}

type AnnotationPlace = "manifest" | "index" | "manifest-descriptor" | "index-descriptor";

interface Annotation {
  readonly place: AnnotationPlace;
  /** Of one platform's image; undefined for all. */
  readonly platform: string | undefined;
  readonly key: string;
  readonly value: string;
}

const places: readonly string[] = ["manifest", "index", "manifest-descriptor", "index-descriptor"];

/** Throws `invalidArgument` for values that mean nothing, and for annotations that have no place. */
export function imageOptionsOf(
  attributes: Readonly<Record<string, string>> = {},
  platforms: readonly Platform[],
): ImageOptions {
  checkKnown(attributes);
  const annotations = Object.entries(attributes).flatMap(([key, value]) => annotationOf(key, value) ?? []);
  const known = platforms.map(formatPlatform);
  for (const { place, platform } of annotations) {
    if (platform !== undefined && !known.includes(platform))
      throw invalidArgument(`invalid annotation: no platform ${platform} found in source`);
    if (place.startsWith("index") && platforms.length === 1)
      throw invalidArgument("index annotations not supported for single platform export");
  }
  const hasOciTypes = isSet(attributes, "oci-mediatypes", true);
  if (!hasOciTypes) refuseForDocker(attributes, annotations);
  return {
    ...compressionOf(attributes),
    isByDigest: isSet(attributes, "push-by-digest"),
    hasOciTypes,
    isStored: isSet(attributes, "store", true),
    isCanonical: isSet(attributes, "name-canonical"),
    danglingPrefix: attributes["dangling-name-prefix"] ?? "",
    isDanglingOnly:
      isSet(attributes, "danging-name-empty-only") || isSet(attributes, "dangling-name-empty-only"),
    isInsecure: isSet(attributes, "registry.insecure"),
    epoch: epochOf(attributes),
    annotations,
  };
}

/** Throws for what is not served, and for values of what needs nothing done: images here are unpacked, and times are rewritten as layers are made. */
function checkKnown(attributes: Readonly<Record<string, string>>): void {
  for (const name of ["push", "unpack", "prefer-nondist-layers", "attestation-inline"])
    isSet(attributes, name);
  if (isSet(attributes, "oci-artifact"))
    throw new EngineError("notImplemented", 'the exporter option "oci-artifact=true" is not served', {
      hint: "Leave it out: attestations are image manifests then.",
    });
  if (isSet(attributes, "rewrite-timestamp") && (attributes["source-date-epoch"] ?? "") !== "")
    throw invalidArgument(
      'the exporter option "rewrite-timestamp" needs the time as a build argument: layers are made with it',
      { hint: "Set --build-arg SOURCE_DATE_EPOCH=… instead of source-date-epoch=…" },
    );
}

/** What Docker's types have no place for (BuildKit's words). */
function refuseForDocker(
  { compression }: Readonly<Record<string, string>>,
  annotations: readonly Annotation[],
): void {
  if (compression === "zstd")
    throw invalidArgument('exporter option "compression=zstd" conflicts with "oci-mediatypes=false"');
  if (annotations.length > 0) throw invalidArgument('cannot export annotations with "oci-mediatypes=false"');
}

/** `source-date-epoch=`; undefined when nothing is said. Throws `invalidArgument`. */
export function epochOf(
  attributes: Readonly<Record<string, string>>,
): { readonly ns: bigint | undefined } | undefined {
  const epoch = attributes["source-date-epoch"];
  if (epoch === undefined) return undefined;
  if (epoch === "") return { ns: undefined };
  if (!/^\d{1,12}$/.test(epoch)) throw invalidArgument(`invalid source-date-epoch: ${epoch}`);
  return { ns: BigInt(epoch) * 1_000_000_000n };
}

/** A word alone is true. */
function isSet(attributes: Readonly<Record<string, string>>, name: string, otherwise = false): boolean {
  const text = attributes[name];
  if (text === undefined) return otherwise;
  const value = text === "" ? true : parseBoolean(text);
  if (value === undefined) throw invalidArgument(`non-bool value ${text} specified for ${name}`);
  return value;
}

function compressionOf(
  attributes: Readonly<Record<string, string>>,
): Pick<ImageOptions, "compression" | "compressionLevel" | "isForced"> {
  const { compression, "compression-level": level } = attributes;
  if (compression !== undefined && !["uncompressed", "gzip", "zstd"].includes(compression))
    throw invalidArgument(`unsupported layer compression type ${JSON.stringify(compression)}`, {
      hint: "There are uncompressed, gzip and zstd.",
    });
  if (level !== undefined && !/^\d{1,2}$/.test(level))
    throw invalidArgument(`non-integer value ${level} specified for compression-level`);
  return {
    compression: compression as LayerCompression | undefined,
    compressionLevel: level === undefined ? undefined : Number(level),
    isForced: isSet(attributes, "force-compression"),
  };
}

/** `annotation.KEY`, `annotation-index.KEY`, `annotation[linux/amd64].KEY`, …; undefined for another attribute. */
function annotationOf(attribute: string, value: string): Annotation | undefined {
  const match = /^annotation(?:-([a-z-]+))?(?:\[([A-Za-z0-9_/-]+)\])?\.(\S+)$/.exec(attribute);
  if (match === null) return undefined;
  const [, place = "manifest", platform, key = ""] = match;
  if (!places.includes(place)) throw invalidArgument(`unknown annotation type ${JSON.stringify(place)}`);
  return {
    place: place as AnnotationPlace,
    platform: platform === undefined ? undefined : formatPlatform(parsePlatform(platform)),
    key,
    value,
  };
}

/** The annotations for a place, of one platform's image or of the index; as a part of a descriptor or manifest. */
export function annotationsFor(
  { annotations }: ImageOptions,
  place: AnnotationPlace,
  platform?: Platform,
): { annotations?: Record<string, string> } {
  const own = platform === undefined ? undefined : formatPlatform(platform);
  const found = annotations.filter(
    (annotation) =>
      annotation.place === place && (annotation.platform === undefined || annotation.platform === own),
  );
  if (found.length === 0) return {};
  return { annotations: Object.fromEntries(found.map(({ key, value }) => [key, value])) };
}
