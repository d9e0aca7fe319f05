import { chainIds } from "../oci/chain-id.ts";
import type { Snapshotter } from "../snapshot/snapshot.ts";
import type { ImageRecord } from "./image.ts";

/**
 * True when every layer of the image is unpacked. The topmost says nothing of those below: a loss of power can take one that
 * was unpacked again lately and leave the older ones that stand on it.
 */
export function isUnpacked(
  snapshotter: Pick<Snapshotter, "has">,
  { config }: Pick<ImageRecord, "config">,
): boolean {
  return chainIds(config.rootfs.diff_ids).every((id) => snapshotter.has(id));
}
