/** Layers as an exporter wants them compressed. */
import { pipeline } from "node:stream";
import { constants, createGzip, createZstdCompress } from "node:zlib";
import { decompress } from "../image/decompress.ts";
import { type Descriptor, mediaTypes } from "../oci/image-spec.ts";
import type { ImageOptions, LayerCompression } from "./export-options.ts";
import type { SessionParts } from "./session-parts.ts";

const types: Readonly<Record<LayerCompression, string>> = {
  uncompressed: mediaTypes.ociLayer,
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
};

const presentOf = (mediaType: string): LayerCompression =>
  mediaType.endsWith("gzip") ? "gzip" : mediaType.endsWith("zstd") ? "zstd" : "uncompressed";

const dockerTypes: Readonly<Record<LayerCompression, string>> = {
  uncompressed: mediaTypes.dockerLayer,
  gzip: mediaTypes.dockerLayerGzip,
  zstd: mediaTypes.dockerLayerZstd,
};

/** A layer's blob and its type as the options want them. */
export async function exportedLayer(
  parts: Pick<SessionParts, "host" | "lease" | "signal">,
  layer: Descriptor,
  options: ImageOptions,
): Promise<Descriptor> {
  const compressed = await compressedLayer(parts, layer, options);
  if (options.hasOciTypes) return compressed;
  return { ...compressed, mediaType: dockerTypes[presentOf(compressed.mediaType)] };
}

/** A layer's blob as the options want it; a layer that came compressed stays unless they force it. */
async function compressedLayer(
  { host, lease, signal }: Pick<SessionParts, "host" | "lease" | "signal">,
  layer: Descriptor,
  options: Pick<ImageOptions, "compression" | "compressionLevel" | "isForced">,
): Promise<Descriptor> {
  const { compression: wanted, compressionLevel, isForced } = options;
  const present = presentOf(layer.mediaType);
  if (wanted === undefined || present === wanted || (present !== "uncompressed" && !isForced)) return layer;
  signal.throwIfAborted();
  const plain = decompress(host.content.open(layer.digest));
  const compressor =
    wanted === "gzip"
      ? createGzip({ level: Math.min(compressionLevel ?? constants.Z_DEFAULT_COMPRESSION, 9) })
      : wanted === "zstd"
        ? createZstdCompress({
            params: {
              [constants.ZSTD_c_compressionLevel]: compressionLevel ?? constants.ZSTD_CLEVEL_DEFAULT,
            },
          })
        : undefined;
  // A fault of either ends the reader of the last.
  const stream = compressor === undefined ? plain : pipeline(plain, compressor, () => {});
  const { digest, sizeBytes } = await host.content.ingest(stream);
  lease.add(digest);
  return { mediaType: types[wanted], digest, size: sizeBytes };
}
