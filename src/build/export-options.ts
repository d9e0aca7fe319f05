/** What an exporter's attributes ask of an image (BuildKit, exporter/containerimage): compression of layers, annotations. */
import { invalidArgument } from "../base/errors.ts";
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
  const annotations = Object.entries(attributes).flatMap(([key, value]) => annotationOf(key, value) ?? []);
  const known = platforms.map(formatPlatform);
  for (const { place, platform } of annotations) {
    if (platform !== undefined && !known.includes(platform))
      throw invalidArgument(`invalid annotation: no platform ${platform} found in source`);
    if (place.startsWith("index") && platforms.length === 1)
      throw invalidArgument("index annotations not supported for single platform export");
  }
  return { ...compressionOf(attributes), isByDigest: isSet(attributes, "push-by-digest"), annotations };
}

/** A word alone is true. */
function isSet(attributes: Readonly<Record<string, string>>, name: string): boolean {
  const text = attributes[name];
  if (text === undefined) return false;
  const value = text === "" ? true : parseBoolean(text);
  if (value === undefined) throw invalidArgument(`non-bool value ${text} specified for ${name}`);
  return value;
}

function compressionOf(
  attributes: Readonly<Record<string, string>>,
): Omit<ImageOptions, "annotations" | "isByDigest"> {
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
