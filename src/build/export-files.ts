/** The files of a build's result, as a tar or one by one. */
import { once } from "node:events";
import { posix } from "node:path";
import { Readable, type Writable } from "node:stream";
import { invalidArgument } from "../base/errors.ts";
import type { Platform } from "../oci/image-spec.ts";
import { formatPlatform } from "../oci/platform.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { type Attested, type Subject, statementOf } from "./attestations.ts";
import type { BuildExport, ContextFile, FileListing } from "./build.ts";
import { parseBoolean } from "./dockerfile/values.ts";
import type { AttestedResult } from "./export.ts";
import { epochOf } from "./export-options.ts";
import type { FileEntry, FileTree } from "./files/file-tree.ts";
import { fileTypeBits, joinPath, rootEntry } from "./files/file-tree.ts";
import { type LayerItem, layerTar } from "./files/layer-tar.ts";
import { type AddedFile, overlaidTree } from "./files/overlaid-tree.ts";
import { openRoot, topOf } from "./layers.ts";
import { nowNs } from "./progress.ts";
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
function* walkTree(tree: FileTree, directory = ""): Generator<FileEntry> {
  for (const name of tree.list(directory)) {
    const entry = tree.stat(joinPath(directory, name));
    if (entry === undefined) continue;
    yield entry;
    if (entry.type === "directory") yield* walkTree(tree, entry.path);
  }
}

const directoryOf = (platform: Platform): string => formatPlatform(platform).replaceAll("/", "_");

/** How files are exported (BuildKit, exporter/local: attributes of the types local and tar). */
interface FileExport {
  /** Each platform's files are in a directory of its own. */
  readonly isSplit: boolean;
  readonly attestationPrefix: string;
  /** The time of all files, in ns, when one is given. */
  readonly epochNs: bigint | undefined;
}

/** Throws `invalidArgument` for values that mean nothing. */
export function fileExportOf(
  attributes: Readonly<Record<string, string>> = {},
  about: { readonly platforms: number; readonly epochNs: bigint | undefined },
): FileExport {
  const split = attributes["platform-split"];
  if (split !== undefined && parseBoolean(split) === undefined)
    throw invalidArgument(
      `non-bool value for platform-split: ${split}: strconv.ParseBool: parsing ${JSON.stringify(split)}: invalid syntax`,
    );
  const epoch = epochOf(attributes);
  const attestationPrefix = attributes["attestation-prefix"] ?? "";
  if (attestationPrefix.includes("/"))
    throw invalidArgument(`invalid attestation-prefix: ${attestationPrefix}`, {
      hint: "It is the beginning of the files' names and names no directory: leave out the slash.",
    });
  return {
    isSplit: about.platforms > 1 && (split === undefined || parseBoolean(split) === true),
    attestationPrefix,
    epochNs: epoch === undefined ? about.epochNs : epoch.ns,
  };
}

/** The files of a result, and what is attested of them in files of their own. */
interface ExportedTree {
  readonly platform: Platform;
  readonly tree: FileTree;
}

function exportedTrees(
  parts: Omit<SessionParts, "platform">,
  results: readonly AttestedResult[],
  options: FileExport,
  roots: DisposableStack,
): ExportedTree[] {
  return results.map(({ platform, state, attested }) => {
    const { tree } = roots.use(openRoot(parts.host, topOf(state.layers)));
    const suffix = results.length > 1 && !options.isSplit ? `.${directoryOf(platform)}` : "";
    const files = attestationFiles(tree, attested, { ...options, suffix });
    return { platform, tree: overlaidTree(tree, files) };
  });
}

/** `provenance.json`, `sbom.spdx.json`: statements about the files. Throws `invalidArgument` for two of one name. */
function attestationFiles(
  tree: FileTree,
  things: readonly Attested[],
  options: FileExport & { readonly suffix: string },
): AddedFile[] {
  if (things.length === 0) return [];
  const subjects = [...walkTree(tree)].flatMap((entry): Subject[] =>
    entry.type === "file" ? [{ name: textOf(entry.path), digest: { sha256: tree.digest(entry) } }] : [],
  );
  const timeNs = options.epochNs ?? (nowNs() / 1_000_000_000n) * 1_000_000_000n;
  const files = things.map((thing): AddedFile => {
    const { name, ext } = posix.parse(options.attestationPrefix + posix.basename(thing.fileName));
    const data = Buffer.from(JSON.stringify(statementOf(thing, subjects), undefined, 2));
    return { name: byteStringOf(`${name}${options.suffix}${ext}`), data, mode: 0o600, timeNs };
  });
  const names = files.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalidArgument(`duplicate attestation path name ${textOf(twice)}`);
  return files;
}

const textOf = (path: string): string => Buffer.from(path, "latin1").toString();

/** Without directories of their own no platform's file may be another's. Throws `invalidArgument`. */
function checkOverwriting(trees: readonly ExportedTree[]): void {
  const owners = new Map<string, string>();
  for (const { platform, tree } of trees)
    for (const { path, type } of walkTree(tree)) {
      if (type === "directory") continue;
      const own = formatPlatform(platform);
      const other = owners.get(path);
      if (other !== undefined)
        throw invalidArgument(
          `cannot overwrite ${textOf(path)} from ${other} with ${own} when split option is disabled`,
        );
      owners.set(path, own);
    }
}

/** The files of the results as one tar; of several platforms each in its directory, whatever is asked for. */
export async function exportTar(
  parts: Omit<SessionParts, "platform">,
  results: readonly AttestedResult[],
  target: Extract<BuildExport, { type: "tar" | "oci" | "docker" }>,
): Promise<void> {
  const options = fileExportOf(target.attributes, { platforms: results.length, epochNs: parts.epochNs });
  const vertex = parts.progress.vertex(`export ${parts.request.id} tar`, "exporting to client tarball");
  await vertex.run(async () => {
    const output = await target.open();
    using roots = new DisposableStack();
    const items: LayerItem[] = [];
    for (const { platform, tree } of exportedTrees(parts, results, options, roots)) {
      const prefix = results.length > 1 ? directoryOf(platform) : "";
      if (prefix !== "") items.push({ path: prefix, entry: dated(rootEntry, options), tree });
      for (const entry of walkTree(tree))
        items.push({ path: joinPath(prefix, entry.path), entry: dated(entry, options), tree });
    }
    await vertex.part("sending tarball", () =>
      drain(Readable.from(layerTar(items), { objectMode: false }), output, parts.signal),
    );
  });
}

const dated = (entry: FileEntry, { epochNs }: FileExport): FileEntry =>
  epochNs === undefined ? entry : { ...entry, timeNs: epochNs };

/** The files of the results, for a directory of the client's. */
export async function exportLocal(
  parts: Omit<SessionParts, "platform">,
  results: readonly AttestedResult[],
  target: Extract<BuildExport, { type: "local" }>,
): Promise<void> {
  const options = fileExportOf(target.attributes, { platforms: results.length, epochNs: parts.epochNs });
  const vertex = parts.progress.vertex(`export ${parts.request.id} local`, "exporting to client directory");
  await vertex.run(async () => {
    using roots = new DisposableStack();
    const trees = exportedTrees(parts, results, options, roots);
    if (!options.isSplit) checkOverwriting(trees);
    for (const { platform, tree } of trees) {
      const name = results.length > 1 ? ` ${formatPlatform(platform)}` : "";
      const prefix = options.isSplit ? directoryOf(platform) : "";
      await vertex.part(`copying files${name}`, () =>
        target.send(listingOf({ prefix, tree }, options), parts.signal),
      );
    }
  });
}

/** A tree as a listing that a client takes, below a directory of that name. */
function listingOf(
  { prefix, tree }: { readonly prefix: string; readonly tree: FileTree },
  options: FileExport,
): FileListing {
  const entries = new Map<string, FileEntry>();
  async function* files(): AsyncGenerator<ContextFile> {
    if (prefix !== "") yield contextFile(prefix, dated(rootEntry, options), undefined);
    const links = new Map<string, string>();
    for (const entry of walkTree(tree)) {
      const path = joinPath(prefix, entry.path);
      entries.set(path, entry);
      const first = entry.identity === undefined ? undefined : links.get(entry.identity);
      if (entry.identity !== undefined && first === undefined) links.set(entry.identity, path);
      yield contextFile(path, dated(entry, options), first);
    }
  }
  return {
    files: files(),
    async *read(file) {
      const entry = entries.get(file.path);
      if (entry?.type !== "file") return;
      for (const piece of tree.read(entry)) yield Buffer.from(piece);
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** An entry as a client takes it; `first` is another name of the same file. */
function contextFile(path: string, entry: FileEntry, first: string | undefined): ContextFile {
  const { type, uid, gid, sizeBytes, timeNs, xattrs, device } = entry;
  return {
    path,
    mode: entry.mode | fileTypeBits[type],
    uid,
    gid,
    sizeBytes,
    timeNs,
    ...(type === "symlink" ? { linkTarget: entry.linkTarget } : {}),
    ...(first === undefined ? {} : { hardLinkTo: first }),
    ...(type === "character" || type === "block" ? { device } : {}),
    ...(xattrs.size === 0
      ? {}
      : { xattrs: new Map([...xattrs].map(([name, value]) => [name, Buffer.from(value)] as const)) }),
  };
}
