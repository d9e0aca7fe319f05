/** A layer's tar out of what a container changed (OCI image specification 1.1, layer, section Representing Changes). */
import { closeSync, constants, openSync } from "node:fs";
import { posix } from "node:path";
import { isErrno } from "../linux/fs-error.ts";
import { openInRoot } from "../linux/resolve-in-root.ts";
import { O_PATH } from "../linux/tree-fd.ts";
import { tarEnd, tarHeader } from "../oci/tar-writer.ts";
import type { LayerChange } from "../snapshot/snapshot.ts";
import { PackedLinks, packOne } from "./pack-tree.ts";

/** `directory` holds what was added and modified. What vanishes meanwhile is left out. */
export async function* packChanges(
  directory: string,
  changes: readonly LayerChange[],
): AsyncGenerator<Buffer, void> {
  const root = openSync(directory, O_PATH | constants.O_DIRECTORY);
  const links = new PackedLinks();
  try {
    for (const { path, kind } of changes) {
      const parent = posix.dirname(path);
      const base = posix.basename(path);
      if (kind === "deleted") {
        yield tarHeader({ name: posix.join(parent, `.wh.${base}`), type: "file", mode: 0o600, sizeBytes: 0 });
        continue;
      }
      const parentFd = openParent(root, parent);
      if (parentFd === undefined) continue;
      try {
        yield* packOne(parentFd, base, path, links);
      } finally {
        closeSync(parentFd);
      }
    }
  } finally {
    closeSync(root);
  }
  yield tarEnd();
}

function openParent(root: number, path: string): number | undefined {
  try {
    return openInRoot(root, Buffer.from(path, "latin1"), O_PATH | constants.O_DIRECTORY);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw error;
  }
}
