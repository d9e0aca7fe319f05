/** A layer's tar out of a list of what is in it (OCI image specification 1.1, layer). */
import { tarEnd, tarHeader, tarPadding } from "../../oci/tar-writer.ts";
import type { FileEntry, FileTree } from "./file-tree.ts";

export interface LayerItem {
  /** Where it goes. */
  readonly path: string;
  /** Undefined for a whiteout: what is at `path` is deleted. */
  readonly entry: FileEntry | undefined;
  /** Where a file's bytes are. */
  readonly tree: FileTree;
  /** Files of the same group and identity are names of one file. */
  readonly group?: number;
}

const chunkBytes = 256 * 1024;
const second = 1_000_000_000n;

/**
 * The tar in pieces of some size. Times are whole seconds, and none is after `latestNs`. Items stand in the order in which
 * they shall be, parents first.
 */
export function* layerTar(items: Iterable<LayerItem>, latestNs?: bigint): Generator<Buffer> {
  let chunk = Buffer.allocUnsafe(chunkBytes);
  let filled = 0;
  const links = new Map<string, string>();
  for (const item of items)
    for (const piece of entryPieces(item, links, latestNs)) {
      for (let done = 0; done < piece.length;) {
        const count = piece.copy(chunk, filled, done, Math.min(piece.length, done + chunkBytes - filled));
        done += count;
        filled += count;
        if (filled < chunkBytes) continue;
        yield chunk;
        chunk = Buffer.allocUnsafe(chunkBytes);
        filled = 0;
      }
    }
  yield Buffer.concat([chunk.subarray(0, filled), tarEnd()]);
}

function* entryPieces(
  item: LayerItem,
  links: Map<string, string>,
  latestNs: bigint | undefined,
): Generator<Buffer> {
  const { path, entry, tree } = item;
  if (entry === undefined) {
    const slash = path.lastIndexOf("/") + 1;
    const name = `${path.slice(0, slash)}.wh.${path.slice(slash)}`;
    yield tarHeader({ name, type: "file", mode: 0o600, sizeBytes: 0 });
    return;
  }
  const { type, mode, uid, gid, xattrs } = entry;
  const clamped = latestNs !== undefined && entry.timeNs > latestNs ? latestNs : entry.timeNs;
  const timeNs = (clamped / second) * second;
  const common = { mode, uid, gid, timeNs, xattrs };
  if (type === "directory") yield tarHeader({ ...common, name: `${path}/`, type });
  else if (type === "symlink") yield tarHeader({ ...common, name: path, type, linkName: entry.linkTarget });
  else if (type !== "file") yield tarHeader({ ...common, name: path, type, device: entry.device });
  else {
    const identity = entry.identity === undefined ? undefined : `${item.group ?? 0}:${entry.identity}`;
    const first = identity === undefined ? undefined : links.get(identity);
    if (first !== undefined) {
      yield tarHeader({ ...common, xattrs: new Map(), name: path, type: "link", linkName: first });
      return;
    }
    if (identity !== undefined) links.set(identity, path);
    yield tarHeader({ ...common, name: path, type, sizeBytes: entry.sizeBytes });
    yield* tree.read(entry);
    yield tarPadding(entry.sizeBytes);
  }
}
