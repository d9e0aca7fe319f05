/**
 * Writing image archives in the form of Docker 25 and later: an OCI layout that also has `manifest.json` and
 * `repositories`, so that every version of `docker load`, skopeo and podman read it. Blobs are written as they came.
 */
import { Readable } from "node:stream";
import type { ContentStore } from "../content/content.ts";
import { parseDigest } from "../oci/digest.ts";
import { mediaTypes, type Descriptor, type ImageIndex } from "../oci/image-spec.ts";
import { familiarName, formatReference, parseReference } from "../oci/reference.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { tarEnd, tarHeader, tarPadding } from "../oci/tar-writer.ts";
import { blobsOf } from "./garbage.ts";
import type { ImageRecord } from "./image.ts";

/** One image to save, with the names it shall have in the archive. */
export interface SavedImage {
  readonly image: ImageRecord;
  /** Familiar tags; empty when it was asked for by id. */
  readonly tags: readonly string[];
}

/** The archive as a stream. The same images give the same bytes. */
export function writeArchive(content: ContentStore, images: readonly SavedImage[]): Readable {
  return Readable.from(archiveChunks(content, images), { objectMode: false });
}

async function* archiveChunks(content: ContentStore, images: readonly SavedImage[]): AsyncGenerator<Buffer> {
  const digests = [...new Set(images.flatMap(({ image }) => blobsOf(image)))].sort();
  const algorithms = [...new Set(digests.map((digest) => parseDigest(digest).algorithm))].sort();
  yield directory("blobs/");
  for (const algorithm of algorithms) yield directory(`blobs/${algorithm}/`);
  for (const digest of digests) {
    const { sizeBytes } = content.info(digest);
    yield tarHeader({ name: blobName(digest), type: "file", mode: 0o644, sizeBytes });
    yield* content.open(digest) as AsyncIterable<Buffer>;
    yield tarPadding(sizeBytes);
  }
  yield* file("index.json", indexOf(content, images));
  yield* file("manifest.json", images.map(dockerManifestOf));
  yield* file("oci-layout", { imageLayoutVersion: "1.0.0" });
  const repositories = repositoriesOf(images);
  if (Object.keys(repositories).length > 0) yield* file("repositories", repositories);
  yield tarEnd();
}

function blobName(digest: string): string {
  const { algorithm, hex } = parseDigest(digest);
  return `blobs/${algorithm}/${hex}`;
}

function directory(name: string): Buffer {
  return tarHeader({ name, type: "directory", mode: 0o755 });
}

function* file(name: string, value: unknown): Generator<Buffer> {
  const data = Buffer.from(JSON.stringify(value));
  yield tarHeader({ name: byteStringOf(name), type: "file", mode: 0o644, sizeBytes: data.length });
  yield data;
  yield tarPadding(data.length);
}

function indexOf(content: ContentStore, images: readonly SavedImage[]): ImageIndex {
  const descriptorOf = (image: ImageRecord, tag?: string): Descriptor =>
    describeManifest(image, content.info(image.manifestDigest).sizeBytes, tag);
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: images.flatMap(({ image, tags }) =>
      tags.length === 0 ? [descriptorOf(image)] : tags.map((tag) => descriptorOf(image, tag)),
    ),
  };
}

function describeManifest(image: ImageRecord, size: number, tag: string | undefined): Descriptor {
  const { architecture, os, variant } = image.config;
  return {
    mediaType: image.manifestMediaType,
    digest: image.manifestDigest,
    size,
    ...(tag === undefined
      ? {}
      : {
          annotations: {
            "io.containerd.image.name": formatReference(parseReference(tag)),
            "org.opencontainers.image.ref.name": parseReference(tag).tag ?? "latest",
          },
        }),
    platform: { architecture, os, ...(variant === undefined ? {} : { variant }) },
  };
}

function dockerManifestOf({ image, tags }: SavedImage): Record<string, unknown> {
  const { config, layers } = image.manifest;
  return {
    Config: blobName(config.digest),
    RepoTags: tags.length === 0 ? null : tags,
    Layers: layers.map((layer) => blobName(layer.digest)),
    LayerSources: Object.fromEntries(
      image.config.rootfs.diff_ids.map((diffId, index) => [diffId, layers[index]]),
    ),
  };
}

/** Repository -> tag -> top layer, for what is older than manifest.json. */
function repositoriesOf(images: readonly SavedImage[]): Record<string, Record<string, string>> {
  const repositories: Record<string, Record<string, string>> = {};
  for (const { image, tags } of images)
    for (const tag of tags) {
      const reference = parseReference(tag);
      const top = image.manifest.layers.at(-1) ?? image.manifest.config;
      (repositories[familiarName(reference)] ??= {})[reference.tag ?? "latest"] = parseDigest(top.digest).hex;
    }
  return repositories;
}
