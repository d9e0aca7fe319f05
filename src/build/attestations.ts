/**
 * Attestations: what a result was made of and what is in it, as in-toto statements in manifests beside an image's, or in
 * files beside a result's own.
 */
import type { ContentStore } from "../content/content.ts";
import { storeManifest } from "../image/build-manifest.ts";
import type { Descriptor, ImageConfigFile, ImageManifest } from "../oci/image-spec.ts";
import type { MadeImage, PlatformResult } from "./export.ts";
import { imagePurl } from "./package-url.ts";
import { provenanceOf, provenancePredicate } from "./provenance.ts";
import { scanResult } from "./sbom.ts";
import { spdxPredicate } from "./scan-output.ts";
import type { SessionParts } from "./session-parts.ts";

/** What is attested of a result, of whatever it is then said. */
export interface Attested {
  /** What BuildKit calls a file with it. */
  readonly fileName: string;
  readonly predicateType: string;
  readonly predicate: unknown;
}

/** What a statement is about. */
export interface Subject {
  readonly name: string;
  readonly digest: Readonly<Record<string, string>>;
}

export interface Statement {
  readonly _type: string;
  readonly predicateType: string;
  readonly subject: readonly Subject[];
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

/** Finds out what is asked for of a result: the scanner runs, and what was used is listed. Empty when nothing is asked for. */
export async function attested(
  parts: Omit<SessionParts, "platform">,
  result: PlatformResult,
): Promise<readonly Attested[]> {
  const found: Attested[] = [];
  if (parts.request.sbom !== undefined)
    for (const { name, predicate } of await scanResult(parts, result))
      found.push({ fileName: name, predicateType: spdxPredicate, predicate });
  if (parts.request.provenance !== undefined)
    found.push({
      fileName: parts.request.provenance.attributes?.["filename"] || "provenance.json",
      predicateType: provenancePredicate,
      predicate: await provenanceOf(parts, result),
    });
  return found;
}

/** The statement that something attested makes of its subjects. */
export const statementOf = (
  { predicateType, predicate }: Attested,
  subject: readonly Subject[],
): Statement => ({ _type: "https://in-toto.io/Statement/v0.1", predicateType, subject, predicate });

/** Stores what is attested of each image as a manifest (in-toto) that refers to it; the images are called by `names`. */
export async function attestImages(
  parts: Pick<SessionParts, "host" | "lease">,
  images: readonly { readonly image: MadeImage; readonly attested: readonly Attested[] }[],
  names: readonly string[],
): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  for (const { image, attested: things } of images) {
    if (things.length === 0) continue;
    const digest = { sha256: image.descriptor.digest.split(":")[1]! };
    // An image without a name is called by nothing but its digest.
    const called = names.length === 0 ? ["_"] : names.map((name) => imagePurl(name, image.platform));
    const subjects = called.map((name) => ({ name, digest }));
    const statements = things.map((thing) => statementOf(thing, subjects));
    found.push(await attestationManifest(parts, image, statements));
  }
  return found;
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
