/** What a build itself brings to registries and from them: indexes of several platforms, and cache. */
import { digestOf } from "../oci/digest.ts";
import type { Descriptor, ImageManifest } from "../oci/image-spec.ts";
import { parseReference, type Reference, withDefaultTag } from "../oci/reference.ts";
import { putManifest } from "../registry/manifests.ts";
import type { RegistrySession } from "../registry/session.ts";
import { uploadBlob } from "../registry/upload.ts";
import type { BuildRequest } from "./build.ts";
import type { BuildHost } from "./host.ts";
import type { VertexProgress } from "./progress.ts";

export interface TransferParts {
  readonly host: BuildHost;
  readonly request: BuildRequest;
  readonly signal: AbortSignal;
}

/** A conversation about one repository. Throws `unavailable`, `unauthenticated`. */
export async function openRegistry(
  { host, request, signal }: TransferParts,
  reference: Reference,
  action: "pull" | "pull,push",
  options: { readonly isInsecure?: boolean } = {},
): Promise<RegistrySession> {
  const credentials = (await request.credentials?.get(reference.domain)) ?? {};
  return host.registry.openOwn({ reference, action, credentials, signal, ...options });
}

/** Sends blobs that are stored here. */
export async function sendBlobs(
  { host, signal }: TransferParts,
  session: RegistrySession,
  blobs: readonly Pick<Descriptor, "digest" | "size">[],
  vertex: VertexProgress,
): Promise<void> {
  for (const descriptor of blobs)
    await uploadBlob(session, host.content, {
      descriptor,
      mountFrom: [],
      signal,
      onProgress: (current) =>
        vertex.status(`pushing ${descriptor.digest}`, { current, total: descriptor.size }),
      onRetry: () => {},
    });
}

export interface IndexPush {
  readonly name: string;
  /** What the name means; undefined for manifests that stand for themselves. */
  readonly index: { readonly bytes: Buffer; readonly mediaType: string } | undefined;
  readonly manifests: readonly Descriptor[];
  /** No tag of the repository is set. */
  readonly isByDigest: boolean;
  /** The registry may speak in the clear, or with any certificate. */
  readonly isInsecure: boolean;
}

/** Pushes manifests, and an index of them under a name or by its digest. */
export async function pushIndex(
  parts: TransferParts,
  push: IndexPush,
  vertex: VertexProgress,
): Promise<void> {
  const { host, signal } = parts;
  const reference = withDefaultTag(parseReference(push.name));
  const session = await openRegistry(parts, reference, "pull,push", push);
  for (const { digest, mediaType } of push.manifests) {
    const bytes = host.content.read(digest);
    const { config, layers } = JSON.parse(bytes.toString()) as ImageManifest;
    await sendBlobs(parts, session, [config, ...layers], vertex);
    await putManifest(session, digest, { bytes, digest, mediaType }, signal);
  }
  if (push.index === undefined) return;
  const digest = digestOf(push.index.bytes);
  await putManifest(session, push.isByDigest ? digest : reference.tag!, { ...push.index, digest }, signal);
}
