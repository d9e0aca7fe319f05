/** Images whose records are lost, and whose blobs are there: they get records again, without names. */
import { readdirSync, statSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorText, isKind } from "../../base/errors.ts";
import type { ImageRecord } from "../../image/image.ts";
import { type ImageStores, maxMetadataBytes, readStoredImage, registerImage } from "../../image/register.ts";
import { isErrno } from "../../linux/fs-error.ts";

/** What an image's manifest has without saying what it is (OCI image specification, manifest.md). */
const ociManifest = "application/vnd.oci.image.manifest.v1+json";

export interface Rescued {
  /** Those that have a record again. */
  readonly rescued: readonly ImageRecord[];
  /** Those that the disk does not give back: by a name or a digest, with the reason. Their blobs are {@link Unread.needs}. */
  readonly unread: readonly Unread[];
}

interface Unread {
  readonly name: string;
  readonly reason: string;
  /** Digests of blobs, as far as they are known. */
  readonly needs: readonly string[];
}

/**
 * Puts images on record again by what is noted of them beside their blobs, with their names where nobody has those. What
 * is not whole any more is forgotten; what cannot be read is kept. Throws like {@link rescueImages}.
 */
export async function restoreImages(stores: ImageStores): Promise<Rescued> {
  const rescued: ImageRecord[] = [];
  const unread: Unread[] = [];
  const { images } = stores;
  for (const copy of images.lost()) {
    const { id, manifestDigest: digest, manifestMediaType: mediaType, parentId, needs } = copy;
    const name = copy.names[0] ?? id;
    const outcome = await register(stores, { digest, mediaType }, parentId);
    if (outcome === undefined) images.forgetLost(id);
    else if (outcome instanceof Error) unread.push({ name, reason: errorText(outcome), needs });
    else {
      for (const each of copy.names) if (images.find(each) === undefined) images.tag(each, id);
      rescued.push(images.byId(id) ?? outcome);
    }
  }
  return { rescued, unread };
}

/**
 * Looks through all blobs for images without a record. What is no whole image is left as it is. Throws when the machine is in
 * the way (no room, no storage driver): what has no record is removed as a leftover.
 */
export async function rescueImages(stores: ImageStores, dataRoot: string): Promise<Rescued> {
  const rescued: ImageRecord[] = [];
  const unread: Unread[] = [];
  const known = new Set(stores.images.list().map(({ manifestDigest }) => manifestDigest));
  for (const found of manifestsIn(join(dataRoot, "content/blobs/sha256"), unread)) {
    if (known.has(found.digest)) continue;
    const outcome = await register(stores, found, undefined);
    if (outcome instanceof Error)
      unread.push({
        name: `the image with manifest ${found.digest}`,
        reason: errorText(outcome),
        needs: found.needs,
      });
    else if (outcome !== undefined) rescued.push(outcome);
  }
  return { rescued, unread };
}

/** The record; the error of a disk that does not give a part of it; undefined when it is no whole image. */
async function register(
  stores: ImageStores,
  { digest, mediaType }: { readonly digest: string; readonly mediaType: string },
  parentId: string | undefined,
): Promise<ImageRecord | Error | undefined> {
  try {
    const stored = readStoredImage(stores.content, { digest, mediaType });
    const steps = registerImage(stores, parentId === undefined ? stored : { ...stored, parentId }, {
      add: () => {},
    });
    let step = await steps.next();
    while (step.done !== true) step = await steps.next();
    return step.value;
  } catch (error) {
    // A part of it is gone, or it is something else than an image.
    if (isKind(error, "invalidArgument", "notFound")) return undefined;
    if (isUnreadable(error)) return error;
    const what = `cannot give the image with manifest ${digest} its record again`;
    throw error instanceof EngineError
      ? new EngineError(error.kind, `${what}: ${error.message}`, { hint: error.hint, cause: error })
      : new Error(`${what}: ${errorText(error)}`, { cause: error });
  }
}

/** A disk, or a file system, that has bad places: the next file may be read well. */
function isUnreadable(error: unknown): error is Error {
  for (let each = error; each instanceof Error; each = each.cause)
    if (isErrno(each, "EIO", "EUCLEAN", "EBADMSG")) return true;
  return false;
}

interface FoundManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly needs: readonly string[];
}

function* manifestsIn(directory: string, unread: Unread[]): Generator<FoundManifest> {
  for (const hex of existsSync(directory) ? readdirSync(directory) : []) {
    const digest = `sha256:${hex}`;
    let text: Buffer;
    try {
      const path = join(directory, hex);
      if (statSync(path).size > maxMetadataBytes) continue;
      text = readFileSync(path);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      unread.push({ name: `blob ${digest}`, reason: errorText(error), needs: [digest] });
      continue;
    }
    // Not every small blob is read as JSON: a manifest begins with a brace.
    if (text[0] !== 0x7b) continue;
    try {
      const { config, layers, mediaType } = JSON.parse(text.toString("utf8")) as Record<string, unknown>;
      if (typeof config === "object" && Array.isArray(layers))
        yield {
          digest,
          mediaType: typeof mediaType === "string" ? mediaType : ociManifest,
          needs: [digest, ...[config, ...(layers as unknown[])].map(digestOfDescriptor)],
        };
    } catch {
      // A layer that begins so.
    }
  }
}

const digestOfDescriptor = (descriptor: unknown): string =>
  String((descriptor as { readonly digest?: unknown } | null)?.digest);
