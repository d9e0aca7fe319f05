import { conflict } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import type { ImageRecord } from "../image/image.ts";
import { chainIds } from "../oci/chain-id.ts";
import {
  familiarReference,
  formatReference,
  parseReference,
  tryParseReference,
  withDefaultTag,
} from "../oci/reference.ts";
import type { ImageDeleteEntry } from "../wire/image.ts";
import type { ImageDeps } from "./image-deps.ts";

/**
 * Removes a name, or an image with all its names, by Docker's rules: a name goes alone while there are others; the last
 * one takes the image along, unless a container uses it. An id takes all names, when they are of one repository or by
 * force. `noPrune` is accepted: gantry keeps no untagged parents that could stay.
 * Throws `notFound`, and `conflict` when a container is in the way.
 */
export async function imageRemove(
  deps: ImageDeps,
  nameOrId: string,
  options: { readonly force: boolean; readonly noPrune: boolean },
): Promise<ImageDeleteEntry[]> {
  const image = deps.images.resolve(nameOrId);
  const reference = namedReference(image, nameOrId);
  return reference === undefined
    ? removeById(deps, image, options.force)
    : removeByName(deps, image, reference, options.force);
}

/** The normalised reference that the user wrote; undefined when it was an id. */
function namedReference(image: ImageRecord, text: string): string | undefined {
  const parsed = tryParseReference(text);
  if (parsed === undefined) return undefined;
  const reference = withDefaultTag(parsed);
  const names = [...image.repoTags, ...image.repoDigests];
  return names.includes(familiarReference(reference)) ? formatReference(reference) : undefined;
}

function removeByName(
  deps: ImageDeps,
  image: ImageRecord,
  reference: string,
  force: boolean,
): ImageDeleteEntry[] {
  const name = familiarReference(parseReference(reference));
  const isTag = image.repoTags.includes(name);
  const remaining = isTag ? image.repoTags.length - 1 : image.repoTags.length;
  const others = remaining > 0 || (!isTag && image.repoDigests.length > 1);
  if (!others) {
    const users = deps.isImageUsed(image.id);
    const user = users.find((candidate) => candidate.running) ?? users[0];
    if (user !== undefined && !force)
      throw conflict(
        `conflict: unable to remove repository reference "${name}" (must force) - container ${shortId(user.containerId)} is using its referenced image ${shortId(image.id)}`,
      );
    if (user === undefined) return removeWhole(deps, image);
  }
  deps.images.untag(reference);
  return [untagged(deps, image, name)];
}

function removeById(deps: ImageDeps, image: ImageRecord, force: boolean): ImageDeleteEntry[] {
  const users = deps.isImageUsed(image.id);
  const running = users.find((user) => user.running);
  const id = shortId(image.id);
  if (running !== undefined)
    throw conflict(
      `conflict: unable to delete ${id} (cannot be forced) - image is being used by running container ${shortId(running.containerId)}`,
    );
  const repositories = new Set(image.repoTags.map((name) => name.slice(0, name.lastIndexOf(":"))));
  if (repositories.size > 1 && !force)
    throw conflict(
      `conflict: unable to delete ${id} (must be forced) - image is referenced in multiple repositories`,
    );
  if (users.length > 0 && !force)
    throw conflict(
      `conflict: unable to delete ${id} (must be forced) - image is being used by stopped container ${shortId(users[0]!.containerId)}`,
    );
  if (users.length === 0) return removeWhole(deps, image);
  // A stopped container still needs the layers: the names go, the image stays until nobody uses it.
  return [...image.repoTags, ...image.repoDigests].map((name) => {
    deps.images.untag(name);
    return untagged(deps, image, name);
  });
}

function untagged(deps: ImageDeps, image: ImageRecord, name: string): ImageDeleteEntry {
  deps.emit("image", "untag", image.id, { ...image.config.config?.Labels, name: image.id });
  return { Untagged: name };
}

/** The record goes first: what a crash leaves of layers and blobs belongs to nobody and is collected. */
function removeWhole(deps: ImageDeps, image: ImageRecord): ImageDeleteEntry[] {
  const entries = [...image.repoTags, ...image.repoDigests].map((name) => untagged(deps, image, name));
  deps.images.remove(image.id);
  entries.push({ Deleted: image.id });
  const others = deps.images.list();
  const keptChains = new Set(others.flatMap((other) => chainIds(other.config.rootfs.diff_ids)));
  // Top layer first: a layer never goes while another stands on it.
  for (const chainId of chainIds(image.config.rootfs.diff_ids).toReversed()) {
    if (keptChains.has(chainId)) continue;
    deps.snapshotter.remove(chainId);
    entries.push({ Deleted: chainId });
  }
  const keptBlobs = new Set(others.flatMap(blobsOf));
  for (const digest of blobsOf(image)) if (!keptBlobs.has(digest)) deps.content.remove(digest);
  deps.emit("image", "delete", image.id, { ...image.config.config?.Labels, name: image.id });
  return entries;
}

/** Digests of everything that an image consists of. */
export function blobsOf(image: ImageRecord): string[] {
  return [
    image.manifestDigest,
    image.manifest.config.digest,
    ...image.manifest.layers.map((layer) => layer.digest),
  ];
}
