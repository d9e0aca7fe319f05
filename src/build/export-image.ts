/** A result as an image: in the store under its names, and pushed. */
import { crashpoint, failpoint } from "../base/failpoint.ts";
import type { ImageRecord } from "../image/image.ts";
import { digestOf } from "../oci/digest.ts";
import { type Descriptor, type ImageIndex, mediaTypes } from "../oci/image-spec.ts";
import { formatPlatform, hostPlatform } from "../oci/platform.ts";
import { familiarReference, formatReference, parseReference, withDigest } from "../oci/reference.ts";
import { attestationBlobs } from "./attestations.ts";
import type { BuildExport } from "./build.ts";
import { noteIndex } from "./built-indexes.ts";
import type { ExportedImages, MadeImage } from "./export.ts";
import { annotationsFor, type ImageOptions } from "./export-options.ts";
import type { Progress, VertexProgress } from "./progress.ts";
import { pushIndex } from "./registry-transfer.ts";
import type { SessionParts } from "./session-parts.ts";
import { recordSteps } from "./step-images.ts";

type Parts = Omit<SessionParts, "platform">;

/** Puts the images on record under their names; the one of this machine has the names. Answers what they mean. */
export async function exportImage(
  parts: Parts,
  { made, attestations, options }: ExportedImages,
  target: Extract<BuildExport, { type: "image" }>,
  names: readonly string[],
): Promise<Descriptor> {
  const { host, progress, signal } = parts;
  const vertex = progress.vertex(`export ${parts.request.id}`, "exporting to image");
  return vertex.run(async () => {
    const layers = made.flatMap(({ stored }) => stored.manifest.layers.map(({ digest }) => digest));
    const blobs = attestationBlobs(host.content, attestations);
    await vertex.part("exporting layers", () => host.content.persist([...layers, ...blobs]));
    signal.throwIfAborted();
    failpoint("build-export.flushed");
    const manifests = [...made.map(({ descriptor }) => descriptor), ...attestations];
    const exported = { made, manifests, blobs, options };
    if (options.isStored) await storeImages(parts, exported, names, vertex);
    const own = ownImage(made);
    return target.push === true ? await pushImage(parts, { own, manifests, options }, names) : own.descriptor;
  });
}

interface Exported {
  readonly made: readonly MadeImage[];
  /** The images' own and those of attestations. */
  readonly manifests: readonly Descriptor[];
  readonly blobs: readonly string[];
  readonly options: ImageOptions;
}

async function storeImages(
  parts: Parts,
  { made, manifests, blobs, options }: Exported,
  names: readonly string[],
  vertex: VertexProgress,
): Promise<void> {
  const { host, lease } = parts;
  const records = new Map<MadeImage, ImageRecord>();
  for (const image of made)
    await vertex.part(`writing image ${image.stored.configDigest}`, async () => {
      const parentId =
        parts.request.keepsSteps === true
          ? await recordSteps(parts, image.state, image.stored.configDigest)
          : undefined;
      const stored = { ...image.stored, ...(parentId === undefined ? {} : { parentId }) };
      records.set(image, await host.register(stored, lease));
    });
  crashpoint("build-export.registered");
  const own = ownImage(made);
  const record = records.get(own)!;
  for (const name of names)
    await vertex.part(`naming to ${name}`, () => {
      host.images.tag(name, record.id);
      noteIndex(parts.cache, name, { manifests, blobs: [...blobs] });
      host.emit("image", "tag", record.id, {
        ...record.config.config?.Labels,
        name: familiarReference(parseReference(name)),
      });
    });
  for (const name of digestNames(options, names, own.descriptor.digest))
    await vertex.part(`naming to ${name}`, () => host.images.tag(name, record.id));
  await host.database.synced();
}

/** The names with its digest that an image is to have (BuildKit, exporter/containerimage: `name-canonical`, `dangling-name-prefix`). */
function digestNames(
  { isCanonical, danglingPrefix, isDanglingOnly }: ImageOptions,
  names: readonly string[],
  digest: string,
): string[] {
  const repositories = isCanonical ? names : [];
  const isDangling = danglingPrefix !== "" && (!isDanglingOnly || names.length === 0);
  return [...repositories, ...(isDangling ? [danglingPrefix] : [])].map((name) =>
    formatReference(withDigest(parseReference(name), digest)),
  );
}

/** Pushes under all names, or by digest alone. Returns what the names mean in their registries. */
async function pushImage(
  parts: Parts,
  {
    own,
    manifests,
    options,
  }: {
    readonly own: MadeImage;
    readonly manifests: readonly Descriptor[];
    readonly options: ImageOptions;
  },
  names: readonly string[],
): Promise<Descriptor> {
  const { host, progress, request } = parts;
  const { isByDigest, isInsecure } = options;
  const isOne = manifests.length === 1;
  // What is in the store is pushed from there, as by `docker push`.
  if (isOne && !isByDigest && !isInsecure && options.isStored) {
    for (const name of names) await push(parts, name, progress);
    return own.descriptor;
  }
  const root = isOne
    ? { bytes: host.content.read(own.descriptor.digest), mediaType: own.descriptor.mediaType }
    : indexOf(manifests, options);
  // By its digest a manifest is pushed as it is.
  const index = isOne && isByDigest ? undefined : root;
  for (const name of names) {
    const pushing = progress.vertex(`push ${request.id} ${name}`, `pushing ${name}`);
    await pushing.run(() => pushIndex(parts, { name, index, manifests, isByDigest, isInsecure }, pushing));
  }
  return isOne
    ? own.descriptor
    : { mediaType: root.mediaType, digest: digestOf(root.bytes), size: root.bytes.length };
}

function indexOf(
  manifests: readonly Descriptor[],
  options: ImageOptions,
): { readonly bytes: Buffer; readonly mediaType: string } {
  const mediaType = options.hasOciTypes ? mediaTypes.ociIndex : mediaTypes.dockerManifestList;
  const value: ImageIndex = {
    schemaVersion: 2,
    mediaType,
    manifests: [...manifests],
    ...annotationsFor(options, "index"),
  };
  return { bytes: Buffer.from(JSON.stringify(value)), mediaType };
}

/** The image of this machine, or the first one. */
export const ownImage = (made: readonly MadeImage[]): MadeImage =>
  made.find(({ platform }) => formatPlatform(platform) === formatPlatform(hostPlatform())) ?? made[0]!;

async function push(parts: Parts, name: string, progress: Progress): Promise<void> {
  const { host, request, signal } = parts;
  const reference = parseReference(name);
  const vertex = progress.vertex(`push ${request.id} ${name}`, `pushing ${name}`);
  await vertex.run(async () => {
    const credentials = (await request.credentials?.get(reference.domain)) ?? {};
    const image = familiarReference(reference);
    for await (const message of host.push({ image, tag: undefined, credentials, signal }))
      if (message.id !== undefined) {
        const { current = 0, total = 0 } = message.progressDetail ?? {};
        vertex.status(message.id, { current, total, name: message.status ?? "" });
      }
  });
}
