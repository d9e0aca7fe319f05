import { EngineError, notFound } from "../base/errors.ts";
import { blobsOf } from "../image/garbage.ts";
import type { ImageRecord } from "../image/image.ts";
import type { StoredImage } from "../image/register.ts";
import { isUnpacked } from "../image/unpacked.ts";
import { formatPlatform, hostPlatform, parsePlatform, platformMatches } from "../oci/platform.ts";
import type { Platform } from "../oci/image-spec.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDigest,
  withTag,
} from "../oci/reference.ts";
import { fetchTags } from "../registry/manifests.ts";
import type { RegistryCredentials } from "../registry/registry.ts";
import type { RegistrySession } from "../registry/session.ts";
import type { ProgressMessage } from "../wire/image.ts";
import type { ImageContext } from "./image-context.ts";
import { isBuiltIn, pullBuiltIn } from "./image-pull-builtin.ts";
import { fetchConfig, fetchLayers } from "./image-pull-layers.ts";
import { resolveImage, type ResolvedImage } from "./image-resolve.ts";
import { type Report, reportWhile } from "./progress-report.ts";

export interface ImagePullOptions {
  readonly image: string;
  /** A tag or a digest; undefined for every tag, unless the name itself says one. */
  readonly tag: string | undefined;
  readonly platform: string | undefined;
  readonly credentials?: RegistryCredentials;
  readonly signal: AbortSignal;
  /**
   * For a build: an image that has no index is taken whatever platform it is for, and a name that stands for an image of
   * this machine's is not given to one of another platform.
   */
  readonly isBase?: boolean;
  /** Told the id of each image that was brought in. */
  readonly onImage?: (id: string) => void;
}

/** One name that is being pulled. */
interface PullTask {
  readonly reference: Reference;
  readonly platform: Platform | undefined;
  readonly isBase: boolean;
  readonly onImage: ((id: string) => void) | undefined;
  readonly sessions: readonly RegistrySession[];
  readonly report: Report;
  readonly signal: AbortSignal;
}

function wantedReference({ image, tag }: ImagePullOptions): Reference {
  const reference = parseReference(image);
  if (tag === undefined || tag === "") return reference;
  return tag.includes(":") ? withDigest(reference, tag) : withTag(reference, tag);
}

/**
 * Brings an image in: from its registry or a mirror, or made on the spot when it is the built-in one. Messages and their
 * order are Docker's. Throws `notFound` for what the registry has not got, `unavailable` when it cannot be reached.
 */
export async function* imagePull(
  context: ImageContext,
  options: ImagePullOptions,
): AsyncGenerator<ProgressMessage, void> {
  const reference = wantedReference(options);
  if (isBuiltIn(reference)) {
    yield* pullBuiltIn(context, { reference, platform: options.platform });
    return;
  }
  const platform = options.platform ? parsePlatform(options.platform) : undefined;
  yield* reportWhile(options.signal, async (report, signal) => {
    const opened = { reference, action: "pull", credentials: options.credentials ?? {}, signal } as const;
    const sessions = await Array.fromAsync(context.registry.open(opened));
    const { isBase = false, onImage } = options;
    const task = { reference, platform, isBase, onImage, sessions, report, signal };
    const isOne = reference.tag !== undefined || reference.digest !== undefined;
    const isNewer = isOne ? await pullOne(context, task) : await pullAllTags(context, task);
    const shown = isOne ? familiarReference(reference) : familiarName(reference);
    const status = isNewer ? "Downloaded newer image for" : "Image is up to date for";
    report({ status: `Status: ${status} ${shown}` });
  });
}

async function pullAllTags(context: ImageContext, task: PullTask): Promise<boolean> {
  const { reference, sessions, signal } = task;
  const tags = await fetchTags(sessions.at(-1)!, signal);
  if (tags.length === 0) throw notFound(`the repository ${familiarName(reference)} has no tags`);
  let isNewer = false;
  for (const tag of tags)
    isNewer = (await pullOne(context, { ...task, reference: withTag(reference, tag) })) || isNewer;
  return isNewer;
}

/** Pulls one tag or digest. False when the name pointed to the same image before. */
async function pullOne(context: ImageContext, task: PullTask): Promise<boolean> {
  const { reference, report } = task;
  const resolved = await resolveImage(task.sessions, {
    reference,
    platform: task.platform,
    signal: task.signal,
  });
  report({
    status: `Pulling from ${reference.path}`,
    id: reference.tag ?? reference.digest ?? "latest",
  });
  const before = context.images.find(familiarReference(reference));
  using lease = context.garbage.lease();
  const id = await bringIn(context, { ...task, resolved, lease });
  const name = familiarName(reference);
  const { tag } = reference;
  context.images.atomically(() => {
    context.images.tag(formatReference(withDigest(reference, resolved.digest)), id);
    if (tag !== undefined && before?.id !== id && !(task.isBase && keepsName(context, reference, id)))
      context.images.tag(formatReference(withTag(reference, tag)), id);
  });
  task.onImage?.(id);
  const labels = context.images.byId(id)?.config.config?.Labels;
  context.emit("image", "pull", familiarReference(reference), { ...labels, name });
  report({ status: `Digest: ${resolved.digest}` });
  return before?.id !== id;
}

/** Whether a name stands for an image of this machine's, and another image is for another platform. */
function keepsName({ images }: ImageContext, reference: Reference, id: string): boolean {
  const now = images.find(familiarReference(reference));
  if (now === undefined) return false;
  const isOwn = (image: ImageRecord): boolean => platformMatches(hostPlatform(), image.config);
  return isOwn(now) && !isOwn(images.byId(id)!);
}

/** Its blobs and layers are all here; after a loss of power, or when some were damaged, they may not be. */
function isWhole({ content, snapshotter }: ImageContext, image: ImageRecord): boolean {
  return isUnpacked(snapshotter, image) && blobsOf(image).every((digest) => content.has(digest));
}

/** Makes sure that the image is here, and returns its id. */
async function bringIn(
  context: ImageContext,
  task: PullTask & {
    readonly resolved: ResolvedImage;
    readonly lease: { add(key: string): void };
  },
): Promise<string> {
  const { resolved, lease, sessions, report, signal } = task;
  const { manifest } = resolved;
  const configDigest = manifest.config.digest;
  const known = context.images.byId(configDigest);
  if (known !== undefined && isWhole(context, known)) {
    checkPlatform(task, known.config);
    return known.id;
  }
  for (const digest of [
    resolved.manifestDigest,
    configDigest,
    ...manifest.layers.map((layer) => layer.digest),
  ])
    lease.add(digest);
  await context.content.ingest(resolved.bytes, { digest: resolved.manifestDigest });
  const config = await fetchConfig(context, { manifest, sessions, signal });
  checkPlatform(task, config);
  const image: StoredImage = {
    manifestDigest: resolved.manifestDigest,
    manifestMediaType: resolved.mediaType,
    manifest,
    configDigest,
    config,
  };
  await fetchLayers(context, { image, lease, sessions, report, signal });
  return configDigest;
}

/** An image without an index may be for another machine than was asked for. */
function checkPlatform({ reference, platform, isBase }: PullTask, actual: Platform): void {
  if (actual.os !== "linux")
    throw new EngineError(
      "invalidArgument",
      `${familiarReference(reference)} is an image for ${actual.os}: only Linux images run here`,
    );
  if (platform === undefined || isBase || platformMatches(platform, actual)) return;
  throw notFound(
    `image with reference ${familiarReference(reference)} was found but does not match the specified platform: ` +
      `wanted ${formatPlatform(platform)}, actual: ${formatPlatform(actual)}`,
    { hint: `This machine is ${formatPlatform(hostPlatform())}.` },
  );
}
