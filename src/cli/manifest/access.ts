/** A registry as the `manifest` commands and compose's artifacts need it. They ask it themselves, as Docker's do; the daemon has no part in it. */
import type { Reference } from "../../oci/reference.ts";
import type { RegistryAuth } from "../../wire/registry.ts";

export interface RegistryAccess {
  readonly credentials: RegistryAuth;
  /** The registry may be spoken to without TLS. */
  readonly isInsecure: boolean;
}

export interface RawManifest {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly mediaType: string;
}

/** Given by the composition root: the command line may not know the registry client. */
export interface ManifestRegistry {
  /** The manifest or index that a name means. Throws `notFound`. */
  fetch(reference: Reference, access: RegistryAccess): Promise<RawManifest>;
  /** A small blob: a configuration. */
  readBlob(reference: Reference, digest: string, access: RegistryAccess): Promise<Buffer>;
  /** Makes sure that the repository has a small blob. */
  putBlob(reference: Reference, bytes: Buffer, access: RegistryAccess): Promise<void>;
  /** Makes sure that the repository of `to` has blobs of the repository of `from`, in the same registry. */
  mountBlobs(
    from: Reference,
    to: Reference,
    digests: readonly string[],
    access: RegistryAccess,
  ): Promise<void>;
  /** Stores a manifest under a tag or its digest. */
  put(
    reference: Reference,
    tagOrDigest: string,
    manifest: RawManifest,
    access: RegistryAccess,
  ): Promise<void>;
}
