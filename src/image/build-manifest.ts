import { failpoint } from "../base/failpoint.ts";
import type { BlobInfo, ContentStore } from "../content/content.ts";
import { digestOf } from "../oci/digest.ts";
import { mediaTypes, type Descriptor, type ImageConfigFile, type ImageManifest } from "../oci/image-spec.ts";
import type { Lease } from "./leases.ts";
import type { StoredImage } from "./register.ts";

/**
 * Stores configuration and manifest of an image whose layers are stored already. `configBytes` when the configuration
 * came as a file: its digest is the image ID, so its bytes stay as they are.
 */
export async function storeManifest(
  content: ContentStore,
  image: {
    config: ImageConfigFile;
    configBytes?: Buffer;
    layers: readonly Descriptor[];
    annotations?: Record<string, string>;
    /** With Docker's types in place of the OCI's. */
    isDocker?: boolean;
  },
  lease: Pick<Lease, "add">,
): Promise<StoredImage> {
  const store = async (bytes: Buffer): Promise<BlobInfo> => {
    const digest = digestOf(bytes);
    lease.add(digest);
    return content.ingest(bytes, { digest });
  };
  const config = await store(image.configBytes ?? Buffer.from(JSON.stringify(image.config)));
  const isDocker = image.isDocker === true;
  const mediaType = isDocker ? mediaTypes.dockerManifest : mediaTypes.ociManifest;
  const configType = isDocker ? mediaTypes.dockerConfig : mediaTypes.ociConfig;
  const manifest: ImageManifest = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: configType, digest: config.digest, size: config.sizeBytes },
    layers: [...image.layers],
    ...(image.annotations === undefined ? {} : { annotations: image.annotations }),
  };
  failpoint("image-manifest.config-stored");
  const blob = await store(Buffer.from(JSON.stringify(manifest)));
  failpoint("image-manifest.stored");
  return {
    manifestDigest: blob.digest,
    manifestMediaType: mediaType,
    manifest,
    configDigest: config.digest,
    config: image.config,
  };
}
