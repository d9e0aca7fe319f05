/** Opening contexts of all kinds as trees of files. */
import { createReadStream, mkdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { errorText, invalidArgument } from "../base/errors.ts";
import { redactCredentials } from "../base/redact-url.ts";
import type { ContextSource } from "./build.ts";
import type { ContextStore, OpenContext } from "./contexts.ts";
import { emptyTree, type FileTree } from "./files/file-tree.ts";
import { memoryTree } from "./files/filtered-tree.ts";
import { RootTree } from "./files/root-tree.ts";
import { hashParts } from "./layers.ts";
import type { VertexProgress } from "./progress.ts";
import type { FetchedSources } from "./provenance.ts";
import { type GitClient, openGitAccess } from "./git-access.ts";
import { checkoutGit, parseGitUrl, resolveGit } from "./git-sources.ts";
import { download } from "./remote-sources.ts";

/** What opening needs of a build. */
export interface OpeningParts {
  readonly contexts: ContextStore;
  readonly signal: AbortSignal;
  /** Whose agent and secrets open repositories. */
  readonly request: GitClient;
  /** What was opened is given back by it. */
  readonly undo: AsyncDisposableStack;
  /** Told what is fetched. */
  readonly fetched?: FetchedSources;
}

/** Opens any kind of context; what it needs is given back at the build's end. */
export async function openContextTree(
  parts: OpeningParts,
  source: ContextSource,
  vertex: VertexProgress,
  options: { readonly include?: readonly string[]; readonly exclude?: readonly string[] } = {},
): Promise<FileTree> {
  const { contexts, signal, undo } = parts;
  const keep = (opened: OpenContext): FileTree => undo.use(opened).tree;
  switch (source.kind) {
    case "tar":
      return keep(await contexts.openTar(source.stream, signal));
    case "remote": {
      const title = `transferring ${source.name}:`;
      const opened = await contexts.openRemote(source, {
        include: options.include ?? [],
        exclude: options.exclude ?? [],
        signal,
        onProgress: (bytes) => vertex.status(title, { current: bytes }),
      });
      vertex.status(title, { current: opened.receivedBytes, done: true });
      return keep(opened);
    }
    case "directory":
      return rootless(new RootTree(source.path));
    case "git":
      return openGit(parts, source.url, source.keepGitDirectory === true);
    case "http":
      return source.fileName === undefined
        ? openHttp(parts, source.url)
        : openHttpFile(parts, source.url, source.fileName);
    case "empty":
      return emptyTree;
    case "image":
      throw invalidArgument(`${source.reference} is an image and has no files for a context`);
    case "built":
    case "layout":
      throw invalidArgument(`${source.name} is an image and has no files for a context`);
  }
}

/** Everything belongs to root in a context. */
export function rootless(tree: FileTree): FileTree {
  return {
    stat: (path) => {
      const entry = tree.stat(path);
      return entry === undefined ? undefined : { ...entry, uid: 0, gid: 0 };
    },
    list: (path) => tree.list(path),
    read: (entry) => tree.read(entry),
    digest: (entry) => tree.digest(entry),
  };
}

async function openGit(
  { contexts, signal, request, undo, fetched }: OpeningParts,
  url: string,
  keepGitDirectory: boolean,
): Promise<FileTree> {
  const source = parseGitUrl(url);
  if (source === undefined)
    throw invalidArgument(`${redactCredentials(url)} is no address of a git repository`);
  const directory = contexts.temporaryPath();
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const access = await openGitAccess(request, source.remote, { directory: contexts.temporaryPath(), undo });
  const commit = await resolveGit(source, access, signal);
  const checkout = { directory, commit, keepGitDirectory, access, signal };
  const { path, commit: sha1 } = await checkoutGit(source, checkout);
  fetched?.add(url, { sha1 });
  return rootless(new RootTree(path));
}

/** A directory with the one file. */
async function openHttpFile(
  { contexts, signal, undo, fetched }: OpeningParts,
  url: string,
  fileName: string,
): Promise<FileTree> {
  const directory = contexts.temporaryPath();
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(directory, { mode: 0o700 });
  const got = await download(url, join(directory, basename(fileName)), { signal });
  if (got !== undefined) fetched?.add(url, { sha256: got.sha256 });
  return rootless(new RootTree(directory));
}

/** A tar is unpacked; anything else is the Dockerfile. */
async function openHttp({ contexts, signal, undo, fetched }: OpeningParts, url: string): Promise<FileTree> {
  const path = contexts.temporaryPath();
  undo.defer(() => rmSync(path, { force: true }));
  const got = await download(url, path, { signal });
  if (got !== undefined) fetched?.add(url, { sha256: got.sha256 });
  try {
    return undo.use(await contexts.openTar(createReadStream(path), signal)).tree;
  } catch (error) {
    const data = readFileSync(path);
    if (data.includes(0))
      throw invalidArgument(
        `${redactCredentials(url)} is neither a tar nor a Dockerfile: ${errorText(error)}`,
      );
    return memoryTree(new Map([["Dockerfile", data]]), (bytes) => hashParts([bytes.toString("latin1")]));
  }
}
