import { invalidArgument } from "../../base/errors.ts";
import { decompress } from "../../image/decompress.ts";
import { entriesInSlices } from "../../oci/tar-entries.ts";
import { TarReader, textOf } from "../../oci/tar-reader.ts";
import type { Readable } from "node:stream";
import { cleanParts } from "./file-tree.ts";
import type { Pack } from "./pack.ts";

/**
 * Receives a tar, plain or compressed, into a pack. Everything in it belongs to root then, as in a context that BuildKit's
 * client sends, unless `keepsOwners`. Throws `invalidArgument` for what is no tar.
 */
export async function receiveTar(
  stream: Readable,
  pack: Pack,
  signal: AbortSignal,
  options: {
    readonly keepsOwners?: boolean;
    /** Called when its first entry has been read: a tar it is. */
    readonly onEntry?: () => void;
  } = {},
): Promise<void> {
  const tar = new TarReader(decompress(stream));
  for await (const entry of entriesInSlices(tar)) {
    signal.throwIfAborted();
    options.onEntry?.();
    const path = cleanParts(entry.name).join("/");
    const common = {
      path,
      mode: entry.mode,
      uid: options.keepsOwners === true ? entry.uid : 0,
      gid: options.keepsOwners === true ? entry.gid : 0,
      timeNs: entry.timeNs,
      linkTarget: entry.linkName,
      device: entry.device,
      xattrs: entry.xattrs,
      identity: undefined,
    };
    if (entry.type === "link") {
      const target = pack.stat(cleanParts(entry.linkName).join("/"));
      if (target === undefined)
        throw invalidArgument(
          `the archive's ${textOf(entry.name)} is a link to ${textOf(entry.linkName)}, which is not in it`,
        );
      pack.add({ ...target, path, identity: target.identity ?? `link:${target.path}` });
      if (target.identity === undefined) pack.add({ ...target, identity: `link:${target.path}` });
    } else if (entry.type === "file") {
      if (entry.sparse !== undefined)
        await pack.addFile({ ...common, type: "file" }, sparseReader(tar, entry));
      else await pack.addFile({ ...common, type: "file" }, () => tar.read());
    } else if (path !== "" || entry.type === "directory")
      pack.add({ ...common, type: entry.type, sizeBytes: 0 });
  }
  pack.flush();
}

/** The bytes of a sparse file with its holes filled. */
function sparseReader(
  tar: TarReader,
  entry: NonNullable<Awaited<ReturnType<TarReader["next"]>>>,
): () => Promise<Uint8Array | undefined> {
  const filled = fill();
  return async () => {
    const { value, done } = await filled.next();
    return done === true ? undefined : value;
  };
  async function* fill(): AsyncGenerator<Uint8Array, undefined> {
    let position = 0;
    let rest = Buffer.alloc(0);
    for (const piece of entry.sparse!.pieces) {
      yield* zeros(piece.offset - position);
      position = piece.offset;
      while (position < piece.offset + piece.sizeBytes) {
        if (rest.length === 0) rest = Buffer.from((await tar.read()) ?? []);
        if (rest.length === 0) throw invalidArgument("the sparse file is shorter than its map says");
        const chunk = rest.subarray(0, piece.offset + piece.sizeBytes - position);
        yield chunk;
        position += chunk.length;
        rest = rest.subarray(chunk.length);
      }
    }
    yield* zeros(entry.sizeBytes - position);
    return undefined;
  }
}

function* zeros(count: number): Generator<Uint8Array> {
  const block = Buffer.alloc(Math.min(count, 64 * 1024));
  for (let left = count; left > 0; left -= block.length) yield block.subarray(0, left);
}
