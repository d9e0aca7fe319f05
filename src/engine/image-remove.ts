/**
 * Removing images. Rules and words are Docker's: a name is removed first, the image when it was the last one; what
 * containers use is kept unless forced, and never when one of them runs or another image was made from it. The images
 * without a name that it was made from go with it.
 */
import { conflict } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import { blobsOf } from "../image/garbage.ts";
import type { ImageRecord } from "../image/image.ts";
import { chainIds } from "../oci/chain-id.ts";
import {
  familiarReference,
  formatReference,
  parseReference,
  repositoryName,
  withDefaultTag,
} from "../oci/reference.ts";
import type { ImageDeleteEntry } from "../wire/image.ts";
import { emitImageEvent, type ImageContext } from "./image-context.ts";

export interface ImageRemoveOptions {
  readonly force: boolean;
  /** Keep the images without a name that it was made from. */
  readonly noPrune: boolean;
}

/** Throws `notFound`, `conflict`. */
export async function imageRemove(
  context: ImageContext,
  nameOrId: string,
  options: ImageRemoveOptions,
): Promise<ImageDeleteEntry[]> {
  // A container that stays has nothing to unpack its layers from again when the blobs are gone.
  if (context.isImageUsed(context.images.resolve(nameOrId).id).length > 0) await context.snapshotter.flush();
  const image = context.images.resolve(nameOrId);
  const isId = image.id.startsWith(nameOrId) || image.id.startsWith(`sha256:${nameOrId}`);
  return isId
    ? removeById(context, image, options)
    : removeByName(context, image, { name: nameOrId, ...options });
}

function removeByName(
  context: ImageContext,
  image: ImageRecord,
  request: ImageRemoveOptions & { name: string },
): ImageDeleteEntry[] {
  const user = context.isImageUsed(image.id)[0];
  if (!request.force && user !== undefined && hasSingleName(image))
    throw conflict(
      `conflict: unable to remove repository reference ${JSON.stringify(request.name)} (must force) - container ${shortId(user.containerId)} is using its referenced image ${shortId(image.id)}`,
    );
  const reference = withDefaultTag(parseReference(request.name));
  // A daemon that ends half-way must not leave an image that only a digest names.
  const removals = context.images.atomically((): Removal[] => {
    const names = [takeName(context, formatReference(reference))];
    let rest = namesOf(context.images.byId(image.id)!);
    const repository = repositoryName(reference);
    const sameRepository = rest.filter((name) => repositoryName(parseReference(name)) === repository);
    // The digests of a repository go with its last tag.
    if (reference.digest === undefined && sameRepository.every((name) => name.includes("@"))) {
      for (const name of sameRepository) names.push({ ...takeName(context, name), isSilent: true });
      rest = rest.filter((name) => !sameRepository.includes(name));
    }
    // Its name is gone, as asked; it stays without one for the container that uses it, or the image made from it.
    const isKept =
      rest.length > 0 ||
      findObstacle(context, image, { force: request.force, ignoreNames: true }) !== undefined;
    if (isKept) return [{ image, names, isGone: false }];
    const [own, ...parents] = takeRecords(context, image, request);
    return [{ image, names: [...names, ...own!.names], isGone: true }, ...parents];
  });
  return removals.flatMap((removal) => tell(context, removal));
}

/** What was taken out of the records. */
interface Removal {
  readonly image: ImageRecord;
  readonly names: readonly TakenName[];
  /** The image itself, too. */
  readonly isGone: boolean;
}

interface TakenName {
  readonly name: string;
  readonly isSilent: boolean;
}

function removeById(
  context: ImageContext,
  image: ImageRecord,
  options: ImageRemoveOptions,
): ImageDeleteEntry[] {
  const { force } = options;
  const obstacle = findObstacle(context, image, { force, ignoreNames: hasSingleName(image) });
  if (obstacle !== undefined)
    throw conflict(
      `conflict: unable to delete ${shortId(image.id)} (${obstacle.hard ? "cannot" : "must"} be forced) - ${obstacle.reason}`,
    );
  const removals = context.images.atomically(() => takeRecords(context, image, options));
  return removals.flatMap((removal) => tell(context, removal));
}

/** Why the image cannot be deleted now: what cannot be forced first, in Docker's order. */
function findObstacle(
  context: ImageContext,
  image: ImageRecord,
  { force, ignoreNames }: { force: boolean; ignoreNames: boolean },
): { reason: string; hard: boolean } | undefined {
  if (context.images.hasChildren(image.id)) return { reason: "image has dependent child images", hard: true };
  const users = context.isImageUsed(image.id);
  const running = users.find((user) => user.running);
  if (running !== undefined)
    return {
      reason: `image is being used by running container ${shortId(running.containerId)}`,
      hard: true,
    };
  if (force) return undefined;
  if (!ignoreNames && namesOf(image).length > 0)
    return { reason: "image is referenced in multiple repositories", hard: false };
  const stopped = users[0];
  if (stopped === undefined) return undefined;
  return { reason: `image is being used by stopped container ${shortId(stopped.containerId)}`, hard: false };
}

function namesOf(image: ImageRecord): string[] {
  return [...image.repoTags, ...image.repoDigests].map((name) => formatReference(parseReference(name)));
}

/** True for at most one tag, with digests of the same repository only. */
function hasSingleName(image: ImageRecord): boolean {
  const names = namesOf(image);
  const repositories = new Set(names.map((name) => repositoryName(parseReference(name))));
  return names.length <= 1 || (image.repoTags.length <= 1 && repositories.size === 1);
}

function takeName(context: ImageContext, name: string): TakenName {
  context.images.untag(name);
  return { name, isSilent: false };
}

/**
 * Takes the names that are left and the record itself; then, unless that is not wanted, the images that it was made from,
 * as long as they have no name and nobody uses them. The image itself comes first.
 */
function takeRecords(
  context: ImageContext,
  image: ImageRecord,
  { noPrune }: Pick<ImageRemoveOptions, "noPrune">,
): Removal[] {
  const removals: Removal[] = [];
  for (let next: ImageRecord | undefined = image; next !== undefined; next = parentToPrune(context, next)) {
    const current = context.images.byId(next.id);
    const names = (current === undefined ? [] : namesOf(current)).map((name) => takeName(context, name));
    context.images.remove(next.id);
    removals.push({ image: next, names, isGone: true });
    if (noPrune) break;
  }
  return removals;
}

function parentToPrune(context: ImageContext, { parentId }: ImageRecord): ImageRecord | undefined {
  const parent = parentId === undefined ? undefined : context.images.byId(parentId);
  if (parent === undefined) return undefined;
  const obstacle = findObstacle(context, parent, { force: false, ignoreNames: false });
  return obstacle === undefined ? parent : undefined;
}

/** Tells what went, and removes what only this image used. */
function tell(context: ImageContext, { image, names, isGone }: Removal): ImageDeleteEntry[] {
  const deleted: ImageDeleteEntry[] = [];
  for (const { name, isSilent } of names) {
    if (!isSilent) emitImageEvent(context, "untag", image, image.id);
    deleted.push({ Untagged: familiarReference(parseReference(name)) });
  }
  if (!isGone) return deleted;
  emitImageEvent(context, "delete", image, image.id);
  const layers = context.garbage.collect(
    new Set([...blobsOf(image), ...chainIds(image.config.rootfs.diff_ids)]),
  );
  return [...deleted, { Deleted: image.id }, ...layers.map((chainId) => ({ Deleted: chainId }))];
}
