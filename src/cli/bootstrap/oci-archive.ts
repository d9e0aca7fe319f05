import { createHash, type Hash } from "node:crypto";
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { Transform, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { pack } from "tar-stream";
import { mediaTypes, type Descriptor, type ImageManifest } from "../../oci/image-spec.ts";
import { hostPlatform } from "../../oci/platform.ts";

/** The image that is made out of a root file system. */
export interface ImageDescription {
  /** `debian:bookworm`. */
  readonly name: string;
  readonly createdSeconds: number;
  /** History: the command line and the program that made it. */
  readonly createdBy: string;
  readonly comment: string;
  /** The lists of packages that it was made from, `suite digest` each. */
  readonly releases: readonly string[];
}

/** Label that says what an image was made from, one list of packages a line. */
const releasesLabel = "io.gantry.bootstrap.releases";

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A layer on disk. */
interface Layer {
  readonly path: string;
  readonly descriptor: Descriptor;
  /** Digest of the tar archive before it was compressed. */
  readonly diffId: string;
}

/** Compresses the archive of a root file system beside it. */
export async function compressLayer(tarPath: string): Promise<Layer> {
  const path = `${tarPath}.gz`;
  const plain = createHash("sha256");
  const compressed = createHash("sha256");
  const source = createReadStream(tarPath, { highWaterMark: 1024 * 1024 });
  await pipeline(source, hashing(plain), createGzip(), hashing(compressed), createWriteStream(path));
  const digest = `sha256:${compressed.digest("hex")}`;
  return {
    path,
    descriptor: { mediaType: mediaTypes.ociLayerGzip, digest, size: statSync(path).size },
    diffId: `sha256:${plain.digest("hex")}`,
  };
}

function hashing(hash: Hash): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      hash.update(chunk);
      callback(null, chunk);
    },
  });
}

/**
 * An OCI layout with one image, as a tar archive for `POST /images/load`. It also has Docker's manifest.json, so that
 * daemons that know no OCI layouts can load it.
 */
export function ociArchive(layer: Layer, image: ImageDescription): Readable {
  const config = jsonBlob(imageConfig(layer, image));
  const manifestContent: ImageManifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: config.digest, size: config.data.length },
    layers: [layer.descriptor],
  };
  const manifest = jsonBlob(manifestContent);
  const [, tag = "latest"] = /:([^:/]+)$/.exec(image.name) ?? [];
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [
      {
        mediaType: mediaTypes.ociManifest,
        digest: manifest.digest,
        size: manifest.data.length,
        annotations: { "io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": tag },
      },
    ],
  };
  const dockerManifest = [
    { Config: blobPath(config.digest), RepoTags: [image.name], Layers: [blobPath(layer.descriptor.digest)] },
  ];
  const files: readonly [name: string, content: Buffer][] = [
    ["oci-layout", Buffer.from('{"imageLayoutVersion":"1.0.0"}')],
    ["index.json", Buffer.from(JSON.stringify(index))],
    ["manifest.json", Buffer.from(JSON.stringify(dockerManifest))],
    [blobPath(config.digest), config.data],
    [blobPath(manifest.digest), manifest.data],
  ];
  return packed(files, layer);
}

function packed(files: readonly (readonly [string, Buffer])[], layer: Layer): Readable {
  const archive = pack();
  for (const [name, content] of files) archive.entry({ name, mtime: new Date(0) }, content);
  const { digest, size } = layer.descriptor;
  const entry = archive.entry({ name: blobPath(digest), size, mtime: new Date(0) }, (error) => {
    if (error) archive.destroy(error);
    else archive.finalize();
  });
  createReadStream(layer.path, { highWaterMark: 256 * 1024 })
    .on("error", (error) => archive.destroy(error))
    .pipe(entry);
  return archive as unknown as Readable;
}

function imageConfig(layer: Layer, image: ImageDescription): object {
  const created = new Date(image.createdSeconds * 1000).toISOString().replace(".000Z", "Z");
  return {
    ...hostPlatform(),
    created,
    config: {
      Env: [`PATH=${defaultPath}`],
      Cmd: ["bash"],
      ...(image.releases.length === 0 ? {} : { Labels: { [releasesLabel]: image.releases.join("\n") } }),
    },
    rootfs: { type: "layers", diff_ids: [layer.diffId] },
    history: [{ created, created_by: image.createdBy, comment: image.comment }],
  };
}

function jsonBlob(value: object): { data: Buffer; digest: string } {
  const data = Buffer.from(JSON.stringify(value));
  return { data, digest: `sha256:${createHash("sha256").update(data).digest("hex")}` };
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}
