/** Attestations of images: what they were made of and what is in them, as in-toto statements in manifests beside theirs. */
import type { ContentStore } from "../content/content.ts";
import { storeManifest } from "../image/build-manifest.ts";
import type { Descriptor, ImageConfigFile, ImageManifest } from "../oci/image-spec.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { MadeImage, PlatformResult } from "./export.ts";
import { provenanceOf, provenancePredicate } from "./provenance.ts";
import { scanResult } from "./sbom.ts";
import { spdxPredicate } from "./scan-output.ts";
import type { SessionParts } from "./session-parts.ts";

interface Statement {
  readonly _type: string;
  readonly predicateType: string;
  readonly subject: readonly object[];
  readonly predicate: unknown;
}

const inTotoType = "application/vnd.in-toto+json";

/** The blobs of attestations' manifests, themselves among them. */
export function attestationBlobs(
  content: Pick<ContentStore, "read">,
  attestations: readonly Descriptor[],
): string[] {
  return attestations.flatMap(({ digest }) => {
    const { config, layers } = JSON.parse(content.read(digest).toString()) as ImageManifest;
    return [digest, config.digest, ...layers.map((layer) => layer.digest)];
  });
}

/** Stores what is attested of each image as a manifest (in-toto) that refers to it. Nothing when nothing is asked for. */
export async function attest(
  parts: Omit<SessionParts, "platform">,
  made: readonly MadeImage[],
  results: readonly PlatformResult[],
): Promise<Descriptor[]> {
  const { request } = parts;
  const found: Descriptor[] = [];
  for (const image of made) {
    const statements: Statement[] = [];
    const about = results.find(({ state }) => state === image.state)!;
    if (request.sbom !== undefined)
      for (const { predicate } of await scanResult(parts, about))
        statements.push(statementOf(parts, image, { predicateType: spdxPredicate, predicate }));
    if (request.provenance !== undefined) {
      const predicate = await provenanceOf(parts, about);
      statements.push(statementOf(parts, image, { predicateType: provenancePredicate, predicate }));
    }
    if (statements.length > 0) found.push(await attestationManifest(parts, image, statements));
  }
  return found;
}

/** The in-toto statement about an image's manifest. */
function statementOf(
  { request }: Pick<SessionParts, "request">,
  { descriptor, platform }: MadeImage,
  about: { readonly predicateType: string; readonly predicate: unknown },
): Statement {
  return {
    _type: "https://in-toto.io/Statement/v0.1",
    predicateType: about.predicateType,
    subject: [
      {
        name: `pkg:docker/${request.id}?platform=${encodeURIComponent(formatPlatform(platform))}`,
        digest: { sha256: descriptor.digest.split(":")[1] },
      },
    ],
    predicate: about.predicate,
  };
}

async function attestationManifest(
  { host, lease }: Pick<SessionParts, "host" | "lease">,
  image: MadeImage,
  statements: readonly Statement[],
): Promise<Descriptor> {
  const layers: Descriptor[] = [];
  for (const statement of statements) {
    const { digest, sizeBytes } = await host.content.ingest(Buffer.from(JSON.stringify(statement)));
    lease.add(digest);
    layers.push({
      mediaType: inTotoType,
      digest,
      size: sizeBytes,
      annotations: { "in-toto.io/predicate-type": statement.predicateType },
    });
  }
  const config: ImageConfigFile = {
    architecture: "unknown",
    os: "unknown",
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  };
  const stored = await storeManifest(host.content, { config, layers }, lease);
  return {
    mediaType: stored.manifestMediaType,
    digest: stored.manifestDigest,
    size: host.content.info(stored.manifestDigest).sizeBytes,
    annotations: {
      "vnd.docker.reference.digest": image.descriptor.digest,
      "vnd.docker.reference.type": "attestation-manifest",
    },
    platform: { architecture: "unknown", os: "unknown" },
  };
}
