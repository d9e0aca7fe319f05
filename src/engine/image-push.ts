import { EngineError, invalidArgument } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import type { ImageRecord } from "../image/image.ts";
import { digestOf } from "../oci/digest.ts";
import {
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  isAttestation,
  mediaTypes,
} from "../oci/image-spec.ts";
import { formatPlatform } from "../oci/platform.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  repositoryName,
  withDigest,
  withTag,
} from "../oci/reference.ts";
import { putManifest } from "../registry/manifests.ts";
import type { RegistryCredentials } from "../registry/registry.ts";
import type { RegistrySession } from "../registry/session.ts";
import { uploadBlob, type UploadResult } from "../registry/upload.ts";
import type { ProgressMessage } from "../wire/image.ts";
import { emitImageEvent, type ImageContext } from "./image-context.ts";
import { amountReporter, type Report, reportWhile } from "./progress-report.ts";

export interface ImagePushOptions {
  /** Repository, perhaps with a tag. */
  readonly image: string;
  /** Undefined for every tag of the repository, unless the name itself says one. */
  readonly tag: string | undefined;
  readonly credentials: RegistryCredentials;
  readonly signal: AbortSignal;
}

interface PushTask {
  readonly session: RegistrySession;
  readonly report: Report;
  readonly signal: AbortSignal;
}

function wantedReference({ image, tag }: ImagePushOptions): Reference {
  const reference = parseReference(image);
  if (reference.digest !== undefined) throw invalidArgument("cannot push a digest reference");
  return tag === undefined || tag === "" ? reference : withTag(reference, tag);
}

/**
 * Sends an image, or every tag of a repository, to its registry, byte for byte as it is stored. Messages and their order
 * are Docker's. Throws `notFound` for a name that is not here.
 */
export async function* imagePush(
  context: ImageContext,
  options: ImagePushOptions,
): AsyncGenerator<ProgressMessage, void> {
  const reference = wantedReference(options);
  yield { status: `The push refers to repository [${familiarRepository(reference)}]` };
  const tagged = imagesToPush(context, reference);
  yield* reportWhile(options.signal, async (report, signal) => {
    const { credentials } = options;
    const session = await context.registry.openOwn({ reference, action: "pull,push", credentials, signal });
    for (const { reference: one, image } of tagged) {
      await pushOne(context, { session, report, signal }, { reference: one, image });
    }
  });
}

/** Docker names the repository in full here. */
function familiarRepository(reference: Reference): string {
  return repositoryName(reference);
}

interface Tagged {
  readonly reference: Reference;
  readonly image: ImageRecord;
}

function imagesToPush(context: ImageContext, reference: Reference): Tagged[] {
  const shown = familiarReference(reference);
  if (reference.tag !== undefined) {
    const image = context.images.find(shown);
    if (image !== undefined && image.repoTags.includes(shown)) return [{ reference, image }];
    const isRepositoryKnown = tagsOf(context, reference).length > 0;
    throw new EngineError(
      "notFound",
      isRepositoryKnown
        ? `tag does not exist: ${shown}`
        : `An image does not exist locally with the tag: ${familiarName(reference)}`,
    );
  }
  const all = tagsOf(context, reference);
  if (all.length === 0)
    throw new EngineError(
      "notFound",
      `An image does not exist locally with the tag: ${familiarName(reference)}`,
    );
  return all;
}

function tagsOf(context: ImageContext, { domain, path }: Reference): Tagged[] {
  return context.images.list().flatMap((image) =>
    image.repoTags
      .map(parseReference)
      .filter((name) => name.domain === domain && name.path === path)
      .map((reference) => ({ reference, image })),
  );
}

async function pushOne(context: ImageContext, task: PushTask, { reference, image }: Tagged): Promise<void> {
  using lease = context.garbage.lease();
  const { manifest, manifestDigest, manifestMediaType } = image;
  for (const digest of [manifestDigest, manifest.config.digest, ...manifest.layers.map((it) => it.digest)])
    lease.add(digest);
  const bytes = context.content.read(manifestDigest);
  await pushBlobs(context, task, image);
  const tag = reference.tag!;
  const own = { bytes, digest: manifestDigest, mediaType: manifestMediaType };
  const pushed = await pushOthers(context, task, { reference, own });
  await putManifest(task.session, tag, pushed, task.signal);
  // The image may have been removed meanwhile; what was pushed is pushed.
  if (context.images.byId(image.id) !== undefined)
    context.images.tag(formatReference(withDigest(reference, pushed.digest)), image.id);
  emitImageEvent(context, "push", image, familiarReference(reference));
  const { digest, bytes: sent } = pushed;
  task.report({ status: `${tag}: digest: ${digest} size: ${sent.length}` });
  task.report({ progressDetail: {}, aux: { Tag: tag, Digest: digest, Size: sent.length } });
}

type SentManifest = Parameters<typeof putManifest>[2];

/**
 * What the tag is to name: the image's own manifest, or the index of a build for several platforms, whose images are sent
 * with it. Throws `notFound` when one of them was removed.
 */
async function pushOthers(
  context: ImageContext,
  task: PushTask,
  { reference, own }: { readonly reference: Reference; readonly own: SentManifest },
): Promise<SentManifest> {
  const manifests = context.builtIndex?.(formatReference(reference), own.digest);
  if (manifests === undefined) return own;
  const sent: Descriptor[] = [];
  for (const manifest of manifests) {
    if (isAttestation(manifest)) {
      if (!(await pushAttestation(context, task, manifest))) {
        task.report({ status: `Skipped attestation ${shortId(manifest.digest)}: it is no longer here` });
        continue;
      }
    } else await pushOther(context, task, { manifest, reference, own });
    sent.push(manifest);
  }
  if (sent.length === 1 && sent[0]!.digest === own.digest) return own;
  const index: ImageIndex = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: sent };
  const bytes = Buffer.from(JSON.stringify(index));
  return { bytes, digest: digestOf(bytes), mediaType: mediaTypes.ociIndex };
}

async function pushOther(
  context: ImageContext,
  task: PushTask,
  other: { readonly manifest: Descriptor; readonly reference: Reference; readonly own: SentManifest },
): Promise<void> {
  const { digest, platform } = other.manifest;
  const image = context.images.list().find(({ manifestDigest }) => manifestDigest === digest);
  if (image === undefined)
    throw new EngineError(
      "notFound",
      `the image of ${familiarReference(other.reference)} for ${platform === undefined ? digest : formatPlatform(platform)} was removed`,
      { hint: "Build it again, or tag the one that is here with another name." },
    );
  if (digest !== other.own.digest) await pushBlobs(context, task, image);
  const bytes = context.content.read(digest);
  await putManifest(task.session, digest, { bytes, digest, mediaType: image.manifestMediaType }, task.signal);
}

/** What is said of an image, without an image of its own. False when it is no longer there. */
async function pushAttestation(
  { content, garbage }: ImageContext,
  { session, signal }: PushTask,
  { digest, mediaType }: Descriptor,
): Promise<boolean> {
  using lease = garbage.lease();
  lease.add(digest);
  if (!content.has(digest)) return false;
  const bytes = content.read(digest);
  const { config, layers } = JSON.parse(bytes.toString()) as ImageManifest;
  for (const descriptor of [config, ...layers]) {
    lease.add(descriptor.digest);
    if (!content.has(descriptor.digest)) return false;
    const silent = { onProgress: () => {}, onRetry: () => {} };
    await uploadBlob(session, content, { descriptor, mountFrom: [], signal, ...silent });
  }
  await putManifest(session, digest, { bytes, digest, mediaType }, signal);
  return true;
}

async function pushBlobs(context: ImageContext, task: PushTask, image: ImageRecord): Promise<void> {
  const { layers, config } = image.manifest;
  const stop = new AbortController();
  const signal = AbortSignal.any([task.signal, stop.signal]);
  const lines = layers.map((layer, index) => ({
    layer,
    id: shortId(image.config.rootfs.diff_ids[index] ?? layer.digest),
  }));
  for (const { id } of lines) task.report({ status: "Preparing", progressDetail: {}, id });
  const pushed = lines.map(({ layer, id }) => pushLayer(context, { ...task, signal }, { layer, id }));
  for (const one of pushed) one.catch((error: unknown) => stop.abort(error));
  await Promise.allSettled(pushed);
  task.signal.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
  await upload(context, task, { layer: config, onProgress: () => {}, onRetry: () => {} });
}

/** Layers that may not be handed on are named by their URLs in the manifest, and stay where they are (Docker's word). */
function isForeign(layer: Descriptor): boolean {
  return /nondistributable|foreign/.test(layer.mediaType);
}

async function pushLayer(
  context: ImageContext,
  task: PushTask,
  { layer, id }: { layer: Descriptor; id: string },
): Promise<void> {
  const { report } = task;
  if (isForeign(layer)) {
    report({ status: "Skipped foreign layer", progressDetail: {}, id });
    return;
  }
  if (context.uploadSlots.isFull) report({ status: "Waiting", progressDetail: {}, id });
  using _slot = await context.uploadSlots.take(task.signal);
  const amount = amountReporter(report, { id, total: layer.size });
  const result = await upload(context, task, {
    layer,
    onProgress: (bytes) => amount("Pushing", bytes),
    onRetry: (waitMs) =>
      report({ status: `Retrying in ${Math.ceil(waitMs / 1000)} seconds`, progressDetail: {}, id }),
  });
  report({ status: resultWords(result), progressDetail: {}, id });
}

function resultWords(result: UploadResult): string {
  if (result.kind === "exists") return "Layer already exists";
  return result.kind === "mounted" ? `Mounted from ${result.from}` : "Pushed";
}

async function upload(
  context: ImageContext,
  { session, signal }: PushTask,
  part: { layer: Descriptor; onProgress: (bytes: number) => void; onRetry: (waitMs: number) => void },
): Promise<UploadResult> {
  const { layer, onProgress, onRetry } = part;
  const { digest, size } = layer;
  const mountFrom = repositoriesWith(context, session, digest);
  return await uploadBlob(session, context.content, {
    descriptor: { digest, size },
    mountFrom,
    signal,
    onProgress,
    onRetry,
  });
}

/** More tries than that take longer than sending the bytes. */
const maxMountTries = 3;

/** Other repositories of this registry that an image with the blob was pulled from or pushed to. */
function repositoriesWith(context: ImageContext, session: RegistrySession, digest: string): string[] {
  const { host, options } = session;
  const paths = new Set<string>();
  for (const image of context.images.list()) {
    const blobs = [image.manifest.config, ...image.manifest.layers];
    if (!blobs.some((blob) => blob.digest === digest)) continue;
    for (const name of image.repoDigests) {
      const { domain, path } = parseReference(name);
      const isSameRegistry = domain === host || (domain === "docker.io" && host === "registry-1.docker.io");
      if (isSameRegistry && path !== options.repository) paths.add(path);
    }
  }
  return [...paths].slice(0, maxMountTries);
}
