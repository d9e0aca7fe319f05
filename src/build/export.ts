/** What becomes of a build's result: an image in the store, an archive, files, a push. */
import { Readable } from "node:stream";
import { invalidArgument } from "../base/errors.ts";
import { type SavedImage, writeArchive } from "../image/archive-writer.ts";
import { storeManifest } from "../image/build-manifest.ts";
import type { StoredImage } from "../image/register.ts";
import { type Descriptor, type ImageConfigFile, type Platform } from "../oci/image-spec.ts";
import { familiarReference, formatReference, parseReference, withDefaultTag } from "../oci/reference.ts";
import type { BuildExport, BuildRequest, BuildResult } from "./build.ts";
import { type Attested, attested, attestImages } from "./attestations.ts";
import { exportedLayer } from "./compress-layers.ts";
import { exportImage, ownImage } from "./export-image.ts";
import { drain, exportLocal, exportTar, fileExportOf } from "./export-files.ts";
import { sendOciLayout, writeOciLayout } from "./export-oci.ts";
import { annotationsFor, type ImageOptions, imageOptionsOf } from "./export-options.ts";
import { inlineField, inlineText, listRecords } from "./cache-transfer.ts";
import { provenanceOf } from "./provenance.ts";
import type { BuildSession } from "./session.ts";
import type { SessionParts, StageState } from "./session-parts.ts";
import { imageFile } from "./step-images.ts";

export interface PlatformResult {
  readonly platform: Platform;
  readonly state: StageState;
  /** Knows the stages that it came from. */
  readonly session: BuildSession;
}

/** What is attested of a result. */
export interface AttestedResult extends PlatformResult {
  readonly attested: readonly Attested[];
}

/** An image whose blobs are stored. */
export interface MadeImage {
  readonly stored: StoredImage;
  readonly descriptor: Descriptor;
  readonly platform: Platform;
  readonly state: StageState;
}

export interface ExportedImages {
  readonly made: readonly MadeImage[];
  /** Manifests that say something of them. */
  readonly attestations: readonly Descriptor[];
  readonly options: ImageOptions;
}

type ImageExport = Extract<BuildExport, { readonly names: readonly string[] }>;

/** What an output asks of the images in it. Throws `invalidArgument`. */
function imageExportOf(
  { attributes, names, type }: ImageExport,
  { provenance, sbom }: Pick<BuildRequest, "provenance" | "sbom">,
  platforms: readonly Platform[],
): ImageOptions {
  const options = imageOptionsOf(attributes, platforms);
  if (type === "docker" && platforms.length > 1)
    throw invalidArgument(
      "docker exporter does not support exporting manifest lists, use the oci exporter instead",
    );
  const isAttested = provenance !== undefined || sbom !== undefined;
  if (isAttested && (type === "docker" || !options.hasOciTypes))
    throw invalidArgument('cannot export attestations with "oci-mediatypes=false"', {
      hint:
        type === "docker"
          ? "An archive of the type docker has no place for them: write one of the type oci."
          : "Manifest lists of Docker have no place for them.",
    });
  const tagged = names.find((name) => parseReference(name).tag !== undefined);
  if (options.isByDigest && tagged !== undefined)
    throw invalidArgument(`can't push tagged ref ${tagged} by digest`);
  return options;
}

/** Throws `invalidArgument` for outputs that cannot be as they are asked for, before anything is built for them. */
export function checkExports(request: BuildRequest, platforms: readonly Platform[]): void {
  for (const target of request.exports)
    if (target.type === "local" || target.type === "tar")
      fileExportOf(target.attributes, { platforms: platforms.length, epochNs: undefined });
    else if (target.type !== "none") imageExportOf(target, request, platforms);
}

/** Sends the result wherever it was asked for, one after another. */
export async function exportResult(
  parts: Omit<SessionParts, "platform">,
  results: readonly PlatformResult[],
): Promise<Omit<BuildResult, "unusedBuildArgs">> {
  const { request } = parts;
  const known: AttestedResult[] = [];
  if (request.exports.some(({ type }) => type !== "none"))
    for (const result of results) known.push({ ...result, attested: await attested(parts, result) });
  const metadata: Record<string, string> = {};
  let names: string[] = [];
  let root: Descriptor | undefined;
  let first: MadeImage | undefined;
  for (const target of request.exports) {
    if (target.type === "local") await exportLocal(parts, known, target);
    else if (target.type === "tar") await exportTar(parts, known, target);
    else if (target.type !== "none") {
      names = target.names.map(canonical);
      const platforms = results.map(({ platform }) => platform);
      const options = imageExportOf(target, request, platforms);
      const made = await makeImages(parts, results, options);
      first = ownImage(made);
      const images = made.map((image, index) => ({ image, attested: known[index]!.attested }));
      const attestations = await attestImages(parts, images, names);
      root = await (target.type === "image"
        ? exportImage(parts, { made, attestations, options }, target, names)
        : exportArchive(parts, { made, attestations, options }, { ...target, type: target.type }, names));
    }
  }
  if (first !== undefined && root !== undefined) {
    // What stays in the store goes by its configuration's digest, as with Docker: Compose looks for its images by this.
    const stays = request.exports.some((target) => target.type === "image" && target.push !== true);
    metadata["containerimage.digest"] = stays ? first.stored.configDigest : root.digest;
    metadata["containerimage.config.digest"] = first.stored.configDigest;
    metadata["containerimage.descriptor"] = Buffer.from(JSON.stringify(root)).toString("base64");
    if (names.length > 0) metadata["image.name"] = names.join(",");
  }
  if (request.provenance !== undefined && results.length === 1)
    metadata["buildx.build.provenance"] = JSON.stringify(await provenanceOf(parts, results[0]!));
  return {
    images: results.map(({ platform, state }) => ({
      platform,
      config: fileOf(parts, state),
      layers: state.layers,
    })),
    imageId: first?.stored.configDigest,
    descriptor:
      root === undefined ? undefined : { mediaType: root.mediaType, digest: root.digest, size: root.size },
    names,
    metadata,
  };
}

/** As image names stand in a store. Throws `invalidArgument` for what is no name. */
function canonical(name: string): string {
  const reference = parseReference(name);
  if (reference.digest !== undefined)
    throw invalidArgument("refusing to create a tag with a digest reference");
  return formatReference(withDefaultTag(reference));
}

/** The configuration of what comes out, with the labels that were asked for. */
const fileOf = (
  { epochNs, request }: Omit<SessionParts, "platform">,
  state: StageState,
  epoch?: ImageOptions["epoch"],
): ImageConfigFile =>
  imageFile(state, {
    epochNs: epoch === undefined ? epochNs : epoch.ns,
    ...(request.labels === undefined ? {} : { labels: request.labels }),
  });

async function makeImages(
  parts: Omit<SessionParts, "platform">,
  results: readonly PlatformResult[],
  options: ImageOptions,
): Promise<MadeImage[]> {
  const made: MadeImage[] = [];
  for (const { platform, state } of results) {
    const config = { ...fileOf(parts, state, options.epoch), ...inlineCache(parts, state) };
    const layers: Descriptor[] = [];
    for (const { descriptor } of state.layers) {
      parts.lease.add(descriptor.digest);
      layers.push(await exportedLayer(parts, descriptor, options));
    }
    const isDocker = !options.hasOciTypes;
    const image = { config, layers, isDocker, ...annotationsFor(options, "manifest", platform) };
    const stored = await storeManifest(parts.host.content, image, parts.lease);
    const { sizeBytes } = parts.host.content.info(stored.manifestDigest);
    made.push({
      stored,
      platform,
      state,
      descriptor: {
        mediaType: stored.manifestMediaType,
        digest: stored.manifestDigest,
        size: sizeBytes,
        ...annotationsFor(options, "manifest-descriptor", platform),
        platform: {
          architecture: config.architecture,
          os: config.os,
          ...(config.variant ? { variant: config.variant } : {}),
        },
      },
    });
  }
  return made;
}

/** With `--cache-to type=inline`: the image's own steps, in its configuration. */
function inlineCache(
  { request, cache, usedRecords }: Omit<SessionParts, "platform">,
  state: StageState,
): Record<string, string> {
  if (!(request.cacheTo ?? []).some(({ type }) => type === "inline")) return {};
  const layers = new Set(state.layers.map(({ diffId }) => diffId));
  const own = [...usedRecords].filter((id) =>
    cache.byId(id)?.layers.every(({ diffId }) => layers.has(diffId)),
  );
  return { [inlineField]: inlineText(listRecords(cache, own)) };
}

/** An archive of the image: `docker load` reads both kinds; `oci` also holds several platforms. */
async function exportArchive(
  parts: Omit<SessionParts, "platform">,
  { made, attestations, options }: ExportedImages,
  target: Extract<BuildExport, { type: "tar" | "oci" | "docker" }>,
  names: readonly string[],
): Promise<Descriptor> {
  const { host, progress, request } = parts;
  const title = `exporting to ${target.type === "oci" ? "oci image" : "docker image"} format`;
  const vertex = progress.vertex(`export ${request.id} ${target.type}`, title);
  return vertex.run(async () => {
    const own = made[0]!;
    const isIndex = made.length > 1 || attestations.length > 0;
    const images = [...made.map(({ descriptor }) => descriptor), ...attestations];
    const layout = { images, isIndex, options };
    const { store } = target;
    if (store !== undefined)
      return await vertex.part("sending blobs", () =>
        sendOciLayout(host.content, store, layout, parts.signal),
      );
    const output = await target.open();
    let root = own.descriptor;
    const archive =
      target.type === "docker"
        ? writeArchive(host.content, [savedImage(own, names)])
        : Readable.from(
            writeOciLayout(host.content, { ...layout, names }, (index) => {
              root = index;
            }),
            { objectMode: false },
          );
    await vertex.part("sending tarball", () => drain(archive, output, parts.signal));
    return root;
  });
}

function savedImage({ stored }: MadeImage, names: readonly string[]): SavedImage {
  return {
    image: {
      id: stored.configDigest,
      manifestDigest: stored.manifestDigest,
      manifestMediaType: stored.manifestMediaType,
      manifest: stored.manifest,
      config: stored.config,
      chainId: undefined,
      sizeBytes: 0,
      repoTags: [],
      repoDigests: [],
      lastTagTime: "",
    },
    tags: names.map((name) => familiarReference(parseReference(name))),
  };
}
