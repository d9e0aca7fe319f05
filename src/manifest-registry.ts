/** Composition root of the `manifest` commands: the registry client, for a command line that speaks to registries itself. */
import type { ManifestRegistry, RegistryAccess } from "./cli/manifest/access.ts";
import { EngineError } from "./base/errors.ts";
import { type Reference, withDefaultTag } from "./oci/reference.ts";
import { RegistryClient } from "./registry/client.ts";
import { fetchManifest, fetchSmallBlob, putManifest, putSmallBlob } from "./registry/manifests.ts";
import type { RepositoryAction } from "./registry/registry.ts";
import type { RegistrySession } from "./registry/session.ts";
import { hasBlob } from "./registry/upload.ts";

const maxConfigBytes = 16 * 1024 * 1024;

/** Opens a conversation for each call; what is asked is little. */
export function manifestRegistry(): ManifestRegistry {
  const { signal } = new AbortController();
  const open = (
    reference: Reference,
    { credentials, isInsecure }: RegistryAccess,
    action: RepositoryAction,
  ): Promise<RegistrySession> =>
    new RegistryClient({
      insecureRegistries: isInsecure ? [reference.domain] : [],
      registryMirrors: [],
      maxDownloadAttempts: 3,
    }).openOwn({ reference, action, credentials, signal });
  return {
    async fetch(reference, access) {
      const session = await open(reference, access, "pull");
      const { digest, tag } = withDefaultTag(reference);
      return await fetchManifest(session, digest ?? tag!, signal);
    },
    async readBlob(reference, digest, access) {
      const session = await open(reference, access, "pull");
      return await fetchSmallBlob(session, digest, { maxBytes: maxConfigBytes, signal });
    },
    async putBlob(reference, bytes, access) {
      await putSmallBlob(await open(reference, access, "pull,push"), bytes, signal);
    },
    async mountBlobs(from, to, digests, access) {
      const session = await open(to, access, "pull,push");
      for (const digest of digests) await mountBlob(session, from.path, digest, signal);
    },
    async put(reference, tagOrDigest, manifest, access) {
      await putManifest(await open(reference, access, "pull,push"), tagOrDigest, manifest, signal);
    },
  };
}

/** Throws `unavailable` when the registry does not hand it over from one repository to the other. */
async function mountBlob(
  session: RegistrySession,
  from: string,
  digest: string,
  signal: AbortSignal,
): Promise<void> {
  if (await hasBlob(session, digest, signal)) return;
  const query = new URLSearchParams({ mount: digest, from });
  const answer = await session.send({
    what: `mounting blob ${digest} from ${from}`,
    method: "POST",
    path: `/blobs/uploads/?${query.toString()}`,
    headers: { "Content-Length": "0" },
    accept: [201, 202],
    alsoPullFrom: from,
    signal,
  });
  answer.body.resume();
  if (answer.status === 201) return;
  throw new EngineError(
    "unavailable",
    `the registry ${session.host} does not take blob ${digest} over from ${from} to ${session.options.repository}`,
    { hint: `Push the image to ${session.host}/${session.options.repository} first.` },
  );
}
