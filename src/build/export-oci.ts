import { Readable } from "node:stream";
import type { ContentStore } from "../content/content.ts";
import { digestOf, parseDigest } from "../oci/digest.ts";
import { type Descriptor, type ImageIndex, type ImageManifest, mediaTypes } from "../oci/image-spec.ts";
import { parseReference } from "../oci/reference.ts";
import type { ClientStore } from "./build.ts";
import { tarEnd, tarHeader, tarPadding } from "../oci/tar-writer.ts";
import { annotationsFor, type ImageOptions } from "./export-options.ts";

interface Layout {
  readonly images: readonly Descriptor[];
  /** The names belong to an index. */
  readonly isIndex: boolean;
  readonly options: ImageOptions;
}

/**
 * An OCI image layout as a tar (OCI image specification 1.1, image-layout), also of several platforms: then the names
 * belong to an index. `onRoot` is told what the names point to.
 */
export async function* writeOciLayout(
  content: ContentStore,
  layout: Layout & { readonly names: readonly string[] },
  onRoot: (root: Descriptor) => void,
): AsyncGenerator<Buffer> {
  const { root, extra } = rootOf(layout);
  onRoot(root);
  yield tarHeader({ name: "blobs/", type: "directory", mode: 0o755 });
  yield tarHeader({ name: "blobs/sha256/", type: "directory", mode: 0o755 });
  for (const digest of [...blobsOf(content, layout.images), ...extra.keys()].sort()) {
    const bytes = extra.get(digest);
    const sizeBytes = bytes?.length ?? content.info(digest).sizeBytes;
    yield tarHeader({
      name: `blobs/sha256/${parseDigest(digest).hex}`,
      type: "file",
      mode: 0o644,
      sizeBytes,
    });
    if (bytes === undefined) yield* content.open(digest) as AsyncIterable<Buffer>;
    else yield bytes;
    yield tarPadding(sizeBytes);
  }
  const manifests = layout.names.length === 0 ? [root] : layout.names.map((name) => named(root, name));
  yield* file("index.json", { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
  yield* file("oci-layout", { imageLayoutVersion: "1.0.0" });
  yield tarEnd();
}

/** What the names point to, and what of it is no blob yet. */
function rootOf(layout: Layout): {
  readonly root: Descriptor;
  readonly extra: ReadonlyMap<string, Buffer>;
} {
  if (!layout.isIndex) return { root: layout.images[0]!, extra: new Map() };
  const mediaType = layout.options.hasOciTypes ? mediaTypes.ociIndex : mediaTypes.dockerManifestList;
  const index: ImageIndex = {
    schemaVersion: 2,
    mediaType,
    manifests: [...layout.images],
    ...annotationsFor(layout.options, "index"),
  };
  const bytes = Buffer.from(JSON.stringify(index));
  const root: Descriptor = {
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
    ...annotationsFor(layout.options, "index-descriptor"),
  };
  return { root, extra: new Map([[root.digest, bytes]]) };
}

/** The same blobs into a layout of the client's, which keeps its index itself. Returns what the names point to. */
export async function sendOciLayout(
  content: ContentStore,
  store: ClientStore,
  layout: Layout,
  signal: AbortSignal,
): Promise<Descriptor> {
  const { root, extra } = rootOf(layout);
  for (const digest of blobsOf(content, layout.images))
    await store.write(
      { digest, sizeBytes: content.info(digest).sizeBytes, data: content.open(digest) },
      signal,
    );
  for (const [digest, bytes] of extra)
    await store.write({ digest, sizeBytes: bytes.length, data: Readable.from([bytes]) }, signal);
  return root;
}

function named(root: Descriptor, name: string): Descriptor {
  return {
    ...root,
    annotations: {
      ...root.annotations,
      "io.containerd.image.name": name,
      "org.opencontainers.image.ref.name": parseReference(name).tag ?? "latest",
    },
  };
}

function blobsOf(content: ContentStore, images: readonly Descriptor[]): Set<string> {
  const digests = new Set<string>();
  for (const { digest } of images) {
    digests.add(digest);
    const { config, layers } = JSON.parse(content.read(digest).toString()) as ImageManifest;
    digests.add(config.digest);
    for (const layer of layers) digests.add(layer.digest);
  }
  return digests;
}

function* file(name: string, value: unknown): Generator<Buffer> {
  const data = Buffer.from(JSON.stringify(value));
  yield tarHeader({ name, type: "file", mode: 0o644, sizeBytes: data.length });
  yield data;
  yield tarPadding(data.length);
}
