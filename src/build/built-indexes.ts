/**
 * What builds made beside the image that a name points to: images for other platforms, and attestations. The image store
 * keeps an image for each platform, and attestations are blobs that the build's note of the name keeps. A push of the name
 * sends the whole index.
 */
import type { Descriptor } from "../oci/image-spec.ts";

/** The part of the cache that keeps small facts. */
interface Notes {
  note(key: string): string | undefined;
  setNote(key: string, value: string): void;
  notes(prefix: string): Iterable<readonly [key: string, value: string]>;
  removeNote(key: string): void;
}

interface Note {
  readonly manifests: readonly Descriptor[];
  /** Of attestations: their manifests, and what these consist of. */
  readonly blobs: readonly string[];
}

const prefix = "index ";
const keyOf = (reference: string): string => prefix + reference;

/** Earlier versions noted a list of manifests alone. */
function read(text: string): Note {
  if (text === "") return { manifests: [], blobs: [] };
  const value = JSON.parse(text) as Note | readonly Descriptor[];
  return "manifests" in value ? value : { manifests: value, blobs: [] };
}

/** Notes what a name stands for; nothing more than its image with one manifest. */
export function noteIndex(cache: Notes, reference: string, note: Note): void {
  if (note.manifests.length > 1) cache.setNote(keyOf(reference), JSON.stringify(note));
  else cache.removeNote(keyOf(reference));
}

/** The manifests, when the name still has the image of that build. */
export function builtIndex(
  cache: Notes,
  reference: string,
  manifestDigest: string,
): readonly Descriptor[] | undefined {
  const { manifests } = read(cache.note(keyOf(reference)) ?? "");
  return manifests.some(({ digest }) => digest === manifestDigest) ? manifests : undefined;
}

/** Blobs that notes keep. */
export function* indexPins(cache: Notes): Generator<string> {
  for (const [, value] of cache.notes(prefix)) yield* read(value).blobs;
}

/** Drops the notes of names that have another image now, or none. Returns the blobs that they kept. */
export function sweepIndexes(
  cache: Notes,
  manifestOf: (reference: string) => string | undefined,
): Set<string> {
  const dropped = new Set<string>();
  for (const [key, value] of cache.notes(prefix)) {
    const { manifests, blobs } = read(value);
    const present = manifestOf(key.slice(prefix.length));
    if (manifests.some(({ digest }) => digest === present)) continue;
    cache.removeNote(key);
    for (const blob of blobs) dropped.add(blob);
  }
  return dropped;
}
