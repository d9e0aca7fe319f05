/**
 * Removing images. Rules and words are Docker's: a name is removed first, the image when it was the last one; what
 * containers use is kept unless forced, and never when one of them runs or another image was made from it. The images
 * without a name that it was made from go with it.
 */
import { conflict, EngineError, errorText } from "../base/errors.ts";
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
import type { Snapshotter } from "../snapshot/snapshot.ts";
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
  const obstacle = await writeLayersInUse(context, nameOrId);
  // Nothing may be waited for from here on: a container could be made of it.
  const image = context.images.resolve(nameOrId);
  const isId = image.id.startsWith(nameOrId) || image.id.startsWith(`sha256:${nameOrId}`);
  return isId
    ? removeById(context, image, { ...options, unwritten: obstacle })
    : removeByName(context, image, { ...options, unwritten: obstacle, name: nameOrId });
}

/**
 * A container that stays, or one that is being made and has no record yet, has nothing to unpack its layers from again when
 * the blobs are gone: they go to the disk first. Returns why that failed.
 */
async function writeLayersInUse(context: ImageContext, nameOrId: string): Promise<unknown> {
  for (;;) {
    const { id, config } = context.images.resolve(nameOrId);
    const chain = chainIds(config.rootfs.diff_ids);
    if (!isStoodOn(context.snapshotter, chain)) return undefined;
    const failure: unknown = await context.snapshotter.flush(chain).then(
      () => undefined,
      (error: unknown) => error,
    );
    // The name may lead to another one by now.
    if (context.images.resolve(nameOrId).id === id) return failure;
  }
}

/** True when an active snapshot is above one of these layers. */
function isStoodOn(snapshotter: Pick<Snapshotter, "list">, chain: readonly string[]): boolean {
  const snapshots = snapshotter.list();
  const parents = new Map(snapshots.map(({ key, parent }) => [key, parent]));
  const seen = new Set<string>();
  for (const { kind, parent } of snapshots)
    if (kind === "active")
      for (let id = parent; id !== undefined && !seen.has(id); id = parents.get(id)) seen.add(id);
  return chain.some((id) => seen.has(id));
}

/** With why the layers of containers that stay could not be written to disk. */
interface Removing extends ImageRemoveOptions {
  readonly unwritten: unknown;
}

function removeByName(
  context: ImageContext,
  image: ImageRecord,
  request: Removing & { readonly name: string },
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

function removeById(context: ImageContext, image: ImageRecord, options: Removing): ImageDeleteEntry[] {
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
 * as long as they have no name and nobody uses them. The image itself comes first. Throws `unavailable` when layers that stay
 * could be lost with the power.
 */
function takeRecords(context: ImageContext, image: ImageRecord, { noPrune, unwritten }: Removing): Removal[] {
  if (unwritten !== undefined)
    throw new EngineError(
      "unavailable",
      `unable to delete ${shortId(image.id)}: containers stand on its layers, which are not on the disk: ${errorText(unwritten)}`,
      {
        hint: "Remove the containers first, or see in the kernel's log (dmesg) what the disk has.",
        cause: unwritten,
      },
    );
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
