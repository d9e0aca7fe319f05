/** Images whose records are lost, and whose blobs are there: they get records again, without names. */
import { readdirSync, statSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorText, isKind } from "../../base/errors.ts";
import { type ImageStores, maxMetadataBytes, readStoredImage, registerImage } from "../../image/register.ts";

/** What an image's manifest has without saying what it is (OCI image specification, manifest.md). */
const ociManifest = "application/vnd.oci.image.manifest.v1+json";

/**
 * Returns the ids of those that have a record again. What is no whole image is left as it is. Throws when the machine is in
 * the way (no room, no storage driver): what has no record is removed as a leftover.
 */
export async function rescueImages(stores: ImageStores, dataRoot: string): Promise<string[]> {
  const rescued: string[] = [];
  const known = new Set(stores.images.list().map(({ manifestDigest }) => manifestDigest));
  for (const { digest, mediaType } of manifestsIn(join(dataRoot, "content/blobs/sha256"))) {
    if (known.has(digest)) continue;
    try {
      const stored = readStoredImage(stores.content, { digest, mediaType });
      const register = registerImage(stores, stored, { add: () => {} });
      let step = await register.next();
      while (step.done !== true) step = await register.next();
      rescued.push(step.value.id);
    } catch (error) {
      // A part of it is gone, or it is something else than an image.
      if (isKind(error, "invalidArgument", "notFound")) continue;
      const what = `cannot give the image with manifest ${digest} its record again`;
      throw error instanceof EngineError
        ? new EngineError(error.kind, `${what}: ${error.message}`, { hint: error.hint, cause: error })
        : new Error(`${what}: ${errorText(error)}`, { cause: error });
    }
  }
  return rescued;
}

function* manifestsIn(directory: string): Generator<{ digest: string; mediaType: string }> {
  for (const hex of existsSync(directory) ? readdirSync(directory) : []) {
    const path = join(directory, hex);
    if (statSync(path).size > maxMetadataBytes) continue;
    const text = readFileSync(path);
    // Not every small blob is read as JSON: a manifest begins with a brace.
    if (text[0] !== 0x7b) continue;
    try {
      const { config, layers, mediaType } = JSON.parse(text.toString("utf8")) as Record<string, unknown>;
      if (typeof config === "object" && Array.isArray(layers))
        yield { digest: `sha256:${hex}`, mediaType: typeof mediaType === "string" ? mediaType : ociManifest };
    } catch {
      // A layer that begins so.
    }
  }
}
