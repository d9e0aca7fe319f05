import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { type ImageStores, readStoredImage, registerImage } from "../image/register.ts";
import { isUnpacked } from "../image/unpacked.ts";

/**
 * Unpacks the layers again that went with the power (they are not written to disk before they are used). An image whose
 * blobs went too stays on record and is said to be broken; pulling it again mends it.
 */
export async function restoreLayers(stores: ImageStores): Promise<void> {
  for (const image of stores.images.list()) {
    if (isUnpacked(stores.snapshotter, image)) continue;
    const names = image.repoTags.join(", ") || image.id;
    try {
      const stored = readStoredImage(stores.content, {
        digest: image.manifestDigest,
        mediaType: image.manifestMediaType,
      });
      // Nobody collects garbage yet, so nothing has to be held.
      const register = registerImage(stores, stored, { add: () => {} });
      for (let step = await register.next(); step.done !== true;) step = await register.next();
      log.info("layers were unpacked again", { image: names });
    } catch (error) {
      log.error("an image is broken: pull it again", { image: names, error: errorText(error) });
    }
  }
}
