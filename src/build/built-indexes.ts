/**
 * Indexes of several platforms that builds made. The image store keeps an image for each platform, and names point to this
 * machine's; a push of such a name sends the whole index.
 */
import type { Descriptor } from "../oci/image-spec.ts";
import type { CacheStore } from "./cache-store.ts";

const keyOf = (reference: string): string => `index ${reference}`;

/** Notes what a name stands for; nothing more than its image with one manifest. */
export function noteIndex(cache: CacheStore, reference: string, manifests: readonly Descriptor[]): void {
  const isNoted = (cache.note(keyOf(reference)) ?? "") !== "";
  if (manifests.length > 1) cache.setNote(keyOf(reference), JSON.stringify(manifests));
  else if (isNoted) cache.setNote(keyOf(reference), "");
}

/** The manifests, when the name still has the image of that build. */
export function builtIndex(
  cache: CacheStore,
  reference: string,
  manifestDigest: string,
): readonly Descriptor[] | undefined {
  const note = cache.note(keyOf(reference)) ?? "";
  if (note === "") return undefined;
  const manifests = JSON.parse(note) as Descriptor[];
  return manifests.some(({ digest }) => digest === manifestDigest) ? manifests : undefined;
}
