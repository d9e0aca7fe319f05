/** The files of a build's result, as a tar or one by one. */
import { once } from "node:events";
import { Readable, type Writable } from "node:stream";
import type { Platform } from "../oci/image-spec.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { BuildExport, ContextFile, FileListing } from "./build.ts";
import type { PlatformResult } from "./export.ts";
import type { FileEntry, FileTree } from "./files/file-tree.ts";
import { fileTypeBits, joinPath } from "./files/file-tree.ts";
import { type LayerItem, layerTar } from "./files/layer-tar.ts";
import { openRoot, topOf } from "./layers.ts";
import type { SessionParts } from "./session-parts.ts";

/** Writes a stream out to its end. */
export async function drain(source: Readable, output: Writable, signal: AbortSignal): Promise<void> {
  const failed = once(output, "error").then(([error]) => {
    throw error instanceof Error ? error : new Error(String(error));
  });
  failed.catch(() => {});
  for await (const chunk of source as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    if (!output.write(chunk)) await Promise.race([once(output, "drain"), failed]);
  }
  const finished = once(output, "finish");
  output.end();
  await Promise.race([finished, failed]);
}

/** Every file of a tree, parents first. */
export function* walkTree(tree: FileTree, directory = ""): Generator<FileEntry> {
  for (const name of tree.list(directory)) {
    const entry = tree.stat(joinPath(directory, name));
    if (entry === undefined) continue;
    yield entry;
    if (entry.type === "directory") yield* walkTree(tree, entry.path);
  }
}

const directoryOf = (platform: Platform): string => formatPlatform(platform).replaceAll("/", "_");

/** The files of the results as one tar; of several platforms each in its directory. */
export async function exportTar(
  parts: Omit<SessionParts, "platform">,
  results: readonly PlatformResult[],
  target: Extract<BuildExport, { type: "tar" | "oci" | "docker" }>,
): Promise<void> {
  const vertex = parts.progress.vertex(`export ${parts.request.id} tar`, "exporting to client tarball");
  await vertex.run(async () => {
    const output = await target.open();
    using roots = new DisposableStack();
    const items = results.flatMap(({ platform, state }): LayerItem[] => {
      const { tree } = roots.use(openRoot(parts.host, topOf(state.layers)));
      const prefix = results.length > 1 ? `${directoryOf(platform)}/` : "";
      return [...walkTree(tree)].map((entry) => ({ path: prefix + entry.path, entry, tree }));
    });
    await vertex.part("sending tarball", () =>
      drain(Readable.from(layerTar(items, parts.epochNs), { objectMode: false }), output, parts.signal),
    );
  });
}

/** The files of the results, for a directory of the client's. */
export async function exportLocal(
  parts: Omit<SessionParts, "platform">,
  results: readonly PlatformResult[],
  target: Extract<BuildExport, { type: "local" }>,
): Promise<void> {
  const vertex = parts.progress.vertex(`export ${parts.request.id} local`, "exporting to client directory");
  await vertex.run(async () => {
    using roots = new DisposableStack();
    const trees = results.map(({ platform, state }) => ({
      prefix: results.length > 1 ? directoryOf(platform) : "",
      tree: roots.use(openRoot(parts.host, topOf(state.layers))).tree,
    }));
    await vertex.part("copying files", () => target.send(listingOf(trees, parts.epochNs), parts.signal));
  });
}

/** Trees as a listing that a client takes. */
function listingOf(
  trees: readonly { readonly prefix: string; readonly tree: FileTree }[],
  epochNs: bigint | undefined,
): FileListing {
  const places = new Map<string, { tree: FileTree; entry: FileEntry }>();
  async function* files(): AsyncGenerator<ContextFile> {
    for (const { prefix, tree } of trees) {
      if (prefix !== "")
        yield {
          path: prefix,
          mode: fileTypeBits.directory | 0o755,
          uid: 0,
          gid: 0,
          sizeBytes: 0,
          timeNs: 0n,
        };
      const links = new Map<string, string>();
      for (const entry of walkTree(tree)) {
        const path = prefix === "" ? entry.path : `${prefix}/${entry.path}`;
        places.set(path, { tree, entry });
        const first = entry.identity === undefined ? undefined : links.get(entry.identity);
        if (entry.identity !== undefined && first === undefined) links.set(entry.identity, path);
        const { uid, gid, sizeBytes, xattrs, device } = entry;
        yield {
          path,
          mode: entry.mode | fileTypeBits[entry.type],
          uid,
          gid,
          sizeBytes,
          timeNs: epochNs !== undefined && entry.timeNs > epochNs ? epochNs : entry.timeNs,
          ...(entry.type === "symlink" ? { linkTarget: entry.linkTarget } : {}),
          ...(first === undefined ? {} : { hardLinkTo: first }),
          ...(entry.type === "character" || entry.type === "block" ? { device } : {}),
          ...(xattrs.size === 0
            ? {}
            : { xattrs: new Map([...xattrs].map(([name, value]) => [name, Buffer.from(value)] as const)) }),
        };
      }
    }
  }
  return {
    files: files(),
    async *read(file) {
      const place = places.get(file.path);
      if (place === undefined || place.entry.type !== "file") return;
      for (const piece of place.tree.read(place.entry)) yield Buffer.from(piece);
    },
    async [Symbol.asyncDispose]() {},
  };
}
