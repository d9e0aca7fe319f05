import { invalidArgument } from "../base/errors.ts";
import type { ImageRecord } from "../image/image.ts";
import { chainIds } from "../oci/chain-id.ts";
import { familiarName, parseReference } from "../oci/reference.ts";
import type { ImageManifestSummary, ImageSummary } from "../wire/image.ts";
import type { Filters } from "../wire/system.ts";
import { checkFilterKeys, filterBoolean, filterValues, matchLabels, untilMs } from "./filters.ts";
import type { ImageDeps } from "./image-deps.ts";

const filterKeys = new Set(["before", "dangling", "label", "reference", "since", "until"]);

/** Images, newest first. Throws `invalidArgument` for a filter that is unknown or can't be read. */
export async function imageList(
  deps: ImageDeps,
  options: {
    readonly all: boolean;
    readonly filters: Filters;
    readonly sharedSize: boolean;
    readonly manifests?: boolean;
  },
): Promise<ImageSummary[]> {
  checkFilterKeys(options.filters, filterKeys);
  const test = imageTest(deps, options.filters);
  // What others were made from and has no name is a step on the way: shown with all=1 only.
  const wanted = (image: ImageRecord): boolean =>
    test(image) && (options.all || !isNameless(image) || !deps.images.hasChildren(image.id));
  const patterns = filterValues(options.filters, "reference").map(referencePattern);
  const all = deps.images.list();
  const users = layerUsers(all);
  const summaries = all
    .filter(wanted)
    // Of those with the same time the one that came last: an image is before those that it was made from.
    .toReversed()
    .sort((a, b) => createdMs(b) - createdMs(a))
    .map(async (image): Promise<ImageSummary> => ({
      Id: image.id,
      ParentId: image.parentId ?? "",
      RepoTags: matchingNames(image.repoTags, patterns),
      RepoDigests: matchingNames(image.repoDigests, patterns),
      Created: Math.floor(createdMs(image) / 1000),
      Size: image.sizeBytes,
      SharedSize: options.sharedSize ? await sharedBytes(deps, image, users) : -1,
      Labels: image.config.config?.Labels ?? null,
      Containers: deps.isImageUsed(image.id).length,
      ...(options.manifests === true ? { Manifests: [manifestSummary(deps, image)] } : {}),
    }));
  return Promise.all(summaries);
}

/** Each image is here for one platform. */
function manifestSummary(deps: ImageDeps, image: ImageRecord): ImageManifestSummary {
  const { architecture, os, variant } = image.config;
  const size = deps.content.has(image.manifestDigest) ? deps.content.info(image.manifestDigest).sizeBytes : 0;
  const blobs = [image.manifest.config, ...image.manifest.layers];
  const contentBytes = blobs.reduce((sum, blob) => sum + blob.size, size);
  return {
    ID: image.manifestDigest,
    Descriptor: { mediaType: image.manifestMediaType, digest: image.manifestDigest, size },
    Available: true,
    Size: { Content: contentBytes, Total: contentBytes + image.sizeBytes },
    Kind: "image",
    ImageData: {
      Platform: { architecture, os, ...(variant === undefined || variant === "" ? {} : { variant }) },
      Size: { Unpacked: image.sizeBytes },
      Containers: deps.isImageUsed(image.id).map(({ containerId }) => containerId),
    },
  };
}

/** With a `reference` filter only the names that it asks for are shown. */
function matchingNames(names: readonly string[], patterns: readonly ((name: string) => boolean)[]): string[] {
  return names.filter((name) => patterns.length === 0 || patterns.some((matches) => matches(name)));
}

const isNameless = ({ repoTags, repoDigests }: ImageRecord): boolean =>
  repoTags.length + repoDigests.length === 0;

/** Milliseconds since the epoch; an image without a time is as old as the epoch. */
function createdMs(image: ImageRecord): number {
  const ms = Date.parse(image.config.created ?? "");
  return Number.isNaN(ms) ? 0 : ms;
}

function imageTest(deps: ImageDeps, filters: Filters): (image: ImageRecord) => boolean {
  const dangling = filterBoolean(filters, "dangling");
  const labels = filterValues(filters, "label");
  const references = filterValues(filters, "reference").map(referencePattern);
  const before = filterValues(filters, "before").map((name) => createdMs(deps.images.resolve(name)));
  const since = filterValues(filters, "since").map((name) => createdMs(deps.images.resolve(name)));
  const until = filterValues(filters, "until").map(untilMs);
  return (image) =>
    (dangling !== true || (image.repoTags.length === 0 && !deps.images.hasChildren(image.id))) &&
    (dangling !== false || !isNameless(image)) &&
    matchLabels(image.config.config?.Labels ?? {}, labels) &&
    (references.length === 0 ||
      [...image.repoTags, ...image.repoDigests].some((name) =>
        references.some((matches) => matches(name)),
      )) &&
    before.every((limit) => createdMs(image) < limit) &&
    since.every((limit) => createdMs(image) > limit) &&
    until.every((limit) => createdMs(image) < limit);
}

/** Go's path.Match over the familiar name, with or without the tag: `*` and `?` stop at a slash. */
function referencePattern(pattern: string): (name: string) => boolean {
  const source = pattern
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]");
  let expression: RegExp;
  try {
    expression = new RegExp(`^${source}$`);
  } catch (error) {
    throw invalidArgument("syntax error in pattern", { cause: error });
  }
  return (name) => expression.test(name) || expression.test(familiarName(parseReference(name)));
}

/** In how many images each layer is, by chainID. */
function layerUsers(images: readonly ImageRecord[]): Map<string, number> {
  const users = new Map<string, number>();
  for (const { config } of images)
    for (const chainId of chainIds(config.rootfs.diff_ids)) users.set(chainId, (users.get(chainId) ?? 0) + 1);
  return users;
}

/** Unpacked bytes of the layers that another image has, too. */
async function sharedBytes(
  { snapshotter }: ImageDeps,
  image: ImageRecord,
  users: ReadonlyMap<string, number>,
): Promise<number> {
  let sum = 0;
  for (const chainId of chainIds(image.config.rootfs.diff_ids))
    if ((users.get(chainId) ?? 0) > 1 && snapshotter.has(chainId))
      sum += (await snapshotter.usage(chainId)).sizeBytes;
  return sum;
}
