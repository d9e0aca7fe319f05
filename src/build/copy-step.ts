/** COPY and ADD. */
import { rmSync } from "node:fs";
import { posix } from "node:path";
import { Readable } from "node:stream";
import { EngineError, invalidArgument, isKind } from "../base/errors.ts";
import { redactCredentials } from "../base/redact-url.ts";
import { detectCompression } from "../image/decompress.ts";
import { parseDigest } from "../oci/digest.ts";
import { byteStringOf, textOf } from "../oci/tar-reader.ts";
import type { AddInstruction, CopyInstruction } from "./dockerfile/ast.ts";
import { type StepPlace, takeCached } from "./cached-step.ts";
import { type Owner, parseMode } from "./file-options.ts";
import { stepOwner } from "./step-owner.ts";
import { emptyTree, type FileEntry, type FileTree, rootEntry } from "./files/file-tree.ts";
import { memoryTree } from "./files/filtered-tree.ts";
import { Pack } from "./files/pack.ts";
import { compilePatterns } from "./files/patterns.ts";
import { LayerPlan } from "./files/place.ts";
import { receiveTar } from "./files/receive-tar.ts";
import { RootTree } from "./files/root-tree.ts";
import { type Selection, selectionDigest, selectSources } from "./files/select.ts";
import { hashParts, layerOfItems, openRoot, topOf } from "./layers.ts";
import { rootless } from "./open-context.ts";
import { nowNs, type VertexProgress } from "./progress.ts";
import { openGitAccess } from "./git-access.ts";
import { checkoutGit, parseGitUrl, resolveGit } from "./git-sources.ts";
import { download, isHttpUrl, urlFileName } from "./remote-sources.ts";
import type { BuildSession } from "./session.ts";
import type { StageState } from "./session-parts.ts";
import { shownCode } from "./step-titles.ts";

/** Files that one source of the instruction gives. */
interface Part {
  readonly tree: FileTree;
  readonly selections: readonly Selection[];
  /** Out of an archive. */
  readonly isArchive?: boolean;
  /** Its content for the cache; of a stage, by what it is made of. */
  readonly digest: () => string;
}

type CopyLike = CopyInstruction | AddInstruction;

/** Takes a COPY or ADD. */
export async function takeCopy(
  session: BuildSession,
  state: StageState,
  instruction: CopyLike,
  place: StepPlace,
): Promise<void> {
  const { host, epochNs, lease } = session.parts;
  const destination = absoluteDestination(instruction, state.config.WorkingDir || "/");
  const chmod = instruction.chmod === undefined ? undefined : parseMode(instruction.chmod);
  const parent = topOf(state.layers);
  let parts: Promise<readonly Part[]> | undefined;
  const load = (): Promise<readonly Part[]> => (parts ??= loadParts(session, state, instruction));
  await takeCached(session, state, place, {
    keys: await copyKeys(session, state, { instruction, destination, load, place }),
    description: shownCode(instruction),
    createdBy: historyWords(instruction),
    isLink: instruction.link,
    make: async () => {
      using below = openRoot(host, parent);
      const owner = ownerOf(session, instruction, { root: below.path, place });
      const plan = new LayerPlan(instruction.link ? emptyTree : below.tree, {
        destination,
        owner,
        chmod,
        nowNs: nowNs(),
        timeNs: epochNs,
      });
      for (const { tree, selections, isArchive = false } of await load())
        plan.add(tree, selections, { isArchive });
      return await layerOfItems(host, parent, plan.items, { latestNs: epochNs, lease });
    },
  });
}

interface Copy {
  readonly instruction: CopyLike;
  readonly destination: string;
  readonly load: () => Promise<readonly Part[]>;
  readonly place: StepPlace;
}

/** The identity of the stage that is copied from, then the content of the files. */
async function copyKeys(
  session: BuildSession,
  state: StageState,
  { instruction, destination, load, place }: Copy,
): Promise<(() => Promise<string>)[]> {
  const { epochNs } = session.parts;
  const words = [
    instruction.kind,
    instruction.link ? "link" : topOf(state.layers),
    destination,
    ownerKey(session, state, instruction, place),
    instruction.chmod,
    JSON.stringify([
      instruction.parents ? "names" : false,
      instruction.excludes,
      epochNs === undefined ? null : String(epochNs),
    ]),
    instruction.kind === "add" ? String(instruction.unpack) : undefined,
  ];
  const ofContent = async (): Promise<string> => {
    const loaded = await load();
    return hashParts([...words, "content", ...loaded.map((part) => part.digest())]);
  };
  if (instruction.kind !== "copy" || instruction.from === undefined) return [ofContent];
  const origin = await session.origin(state.stage, instruction.from);
  if (!origin.isLayers) return [ofContent];
  const ofStage = async (): Promise<string> =>
    hashParts([
      ...words,
      "layers",
      origin.chainId,
      JSON.stringify(instruction.sources),
      JSON.stringify(instruction.heredocs),
    ]);
  return [ofStage, ofContent];
}

/** Ends with a slash when it is a directory. Throws `invalidArgument` with BuildKit's words when it has to be one. */
function absoluteDestination(instruction: CopyLike, workingDirectory: string): string {
  const written = instruction.destination;
  const path = posix.resolve(workingDirectory, written);
  const isDirectory = written.endsWith("/") || /(^|\/)\.\.?$/.test(written);
  const destination = isDirectory && path !== "/" ? `${path}/` : path;
  if (instruction.sources.length + instruction.heredocs.length > 1 && !destination.endsWith("/"))
    throw invalidArgument(
      `When using ${instruction.kind.toUpperCase()} with more than one source file, the destination must be a directory and end with a /`,
    );
  return destination;
}

function historyWords({ kind, parents, chown, chmod, sources, heredocs, destination }: CopyLike): string {
  const flags = [
    ...(parents ? ["--parents"] : []),
    ...(chown === undefined ? [] : [`--chown=${chown}`]),
    ...(chmod === undefined ? [] : [`--chmod=${chmod}`]),
  ];
  const shown = kind === "add" ? sources.map(redactCredentials) : sources;
  const names = [...shown, ...heredocs.map(({ name }) => `<<${name}`)];
  return [kind.toUpperCase(), ...flags, ...names, destination].join(" ");
}

/** Numbers are the same in every root; names are looked up in the one below. */
function ownerKey(
  session: BuildSession,
  state: StageState,
  instruction: CopyLike,
  place: StepPlace,
): string | undefined {
  if (instruction.chown === undefined) return undefined;
  if (/^\d+(:\d+)?$/.test(instruction.chown) || !instruction.link) return instruction.chown;
  using root = openRoot(session.parts.host, topOf(state.layers));
  const { uid, gid } = stepOwner(session, instruction.chown, { root: root.path, place });
  return `${uid}:${gid}`;
}

const ownerOf = (
  session: BuildSession,
  { chown }: CopyLike,
  where: Parameters<typeof stepOwner>[2],
): Owner | undefined => (chown === undefined || chown === "" ? undefined : stepOwner(session, chown, where));

async function loadParts(
  session: BuildSession,
  state: StageState,
  instruction: CopyLike,
): Promise<readonly Part[]> {
  const parts: Part[] = [];
  const local: string[] = [];
  checkChecksum(instruction);
  for (const source of instruction.sources) {
    const isRemote = instruction.kind === "add" && isElsewhere(source);
    if (isRemote) parts.push(await remotePart(session, source, instruction));
    else local.push(source);
  }
  if (local.length > 0) parts.push(...(await localParts(session, state, instruction, local)));
  if (instruction.heredocs.length > 0) parts.push(heredocPart(instruction));
  return parts;
}

const isElsewhere = (source: string): boolean => isHttpUrl(source) || parseGitUrl(source) !== undefined;

/** Throws `invalidArgument` for a checksum that no source can have. */
function checkChecksum(instruction: CopyLike): void {
  if (instruction.kind !== "add" || instruction.checksum === undefined) return;
  const { checksum, sources } = instruction;
  if (sources.length !== 1) throw invalidArgument("checksum can't be specified for multiple sources");
  if (!isElsewhere(sources[0]!)) throw invalidArgument("checksum requires HTTP(S) or Git sources");
  if (parseGitUrl(sources[0]!) === undefined) parseDigest(checksum);
}

function heredocPart({ heredocs }: CopyLike): Part {
  const files = new Map(heredocs.map(({ name, data }) => [byteStringOf(name), Buffer.from(data)]));
  const tree = memoryTree(files, (data) => hashParts([data.toString("latin1")]));
  const selections = [...files.keys()].map((name) => ({
    top: tree.stat(name)!,
    name,
    keepsName: false,
    kept: [],
    inner: [],
  }));
  return { tree, selections, digest: () => selectionDigest(tree, selections) };
}

async function localParts(
  session: BuildSession,
  state: StageState,
  instruction: CopyLike,
  sources: readonly string[],
): Promise<Part[]> {
  const from = instruction.kind === "copy" ? instruction.from : undefined;
  const { tree, name } = await session.origin(state.stage, from);
  const rules = instruction.excludes.length === 0 ? undefined : compilePatterns(instruction.excludes);
  const selections = selectSources(tree, {
    sources,
    parents: instruction.parents,
    isExcluded: rules === undefined ? undefined : (path) => rules.matches(path),
    treeName: name,
  });
  const isUnpacking = instruction.kind === "add" && instruction.unpack !== false;
  if (!isUnpacking) return [{ tree, selections, digest: () => selectionDigest(tree, selections) }];
  const parts: Part[] = [];
  for (const selection of selections) {
    const own = [selection];
    const digest = (): string => selectionDigest(tree, own);
    const unpacked = selection.top.type === "file" ? await unpack(session, tree, selection.top) : undefined;
    if (unpacked === undefined) parts.push({ tree, selections: own, digest });
    else parts.push({ ...unpacked, digest: () => hashParts(["unpacked", digest()]) });
  }
  return parts;
}

/** The files of an archive; undefined for what is none. */
async function unpack(
  session: BuildSession,
  tree: FileTree,
  entry: FileEntry,
): Promise<Omit<Part, "digest"> | undefined> {
  if (!looksPacked(tree, entry)) return undefined;
  const { contexts, undo, signal } = session.parts;
  const pack = new Pack(contexts.temporaryPath(), 0, nowNs());
  let isArchive = false;
  try {
    const bytes = Readable.from(copied(tree.read(entry)), { objectMode: false });
    await receiveTar(bytes, pack, signal, { keepsOwners: true, onEntry: () => (isArchive = true) });
  } catch (error) {
    pack.discard();
    signal.throwIfAborted();
    if (isArchive && error instanceof EngineError)
      throw new EngineError(error.kind, `cannot unpack ${textOf(entry.path)}: ${error.message}`, {
        cause: error,
      });
    // Compressed, but no archive: it is copied as it is. What the machine lacks is no property of the file.
    if (isArchive || !isKind(error, "invalidArgument")) throw error;
    return undefined;
  }
  undo.defer(() => pack.discard());
  return { tree: pack, selections: [wholeTree(pack)], isArchive: true };
}

function* copied(pieces: Iterable<Buffer>): Generator<Buffer> {
  for (const piece of pieces) yield Buffer.from(piece);
}

function looksPacked(tree: FileTree, entry: FileEntry): boolean {
  let head = Buffer.alloc(0);
  for (const piece of tree.read(entry)) {
    head = Buffer.concat([head, piece.subarray(0, 512)]);
    if (head.length >= 512) break;
  }
  return detectCompression(head) !== "none" || head.toString("latin1", 257, 262) === "ustar";
}

/** Everything in a tree, to go into a directory. */
function wholeTree(tree: FileTree): Selection {
  return selectSources(tree, {
    sources: ["/"],
    parents: false,
    isExcluded: undefined,
    treeName: "the archive",
  })[0]!;
}

async function remotePart(session: BuildSession, source: string, instruction: CopyLike): Promise<Part> {
  const checksum = instruction.kind === "add" ? instruction.checksum : undefined;
  const git = parseGitUrl(source);
  return git === undefined
    ? httpPart(session, source, instruction, checksum)
    : gitPart(session, source, instruction, checksum);
}

/** What is fetched is shown by its address, before its step is known to be one of the cache's or not. */
const sourceVertex = ({ parts }: BuildSession, source: string): VertexProgress =>
  parts.progress.vertex(`source ${parts.request.id} ${source}`, redactCredentials(source));

async function gitPart(
  session: BuildSession,
  source: string,
  instruction: CopyLike,
  checksum: string | undefined,
): Promise<Part> {
  const { contexts, undo, request, signal, fetched } = session.parts;
  const reference = parseGitUrl(source)!;
  const keepGitDirectory = instruction.kind === "add" && instruction.keepGitDir === true;
  const directory = contexts.temporaryPath();
  const { path, commit } = await sourceVertex(session, source).run(async () => {
    const place = { directory: contexts.temporaryPath(), undo };
    const access = await openGitAccess(request, reference.remote, place);
    const commit = await resolveGit(reference, access, signal);
    if (checksum !== undefined && !commit.startsWith(checksum))
      throw invalidArgument(`expected checksum to match ${checksum}, got ${commit}`);
    undo.defer(() => rmSync(directory, { recursive: true, force: true }));
    return await checkoutGit(reference, { directory, commit, keepGitDirectory, access, signal });
  });
  fetched.add(source, { sha1: commit });
  const tree = rootless(new RootTree(path));
  const digest = (): string => hashParts(["git", commit, reference.subdirectory, String(keepGitDirectory)]);
  return { tree, selections: [wholeTree(tree)], digest };
}

async function httpPart(
  session: BuildSession,
  source: string,
  instruction: CopyLike,
  checksum: string | undefined,
): Promise<Part> {
  const { contexts, undo, signal, fetched } = session.parts;
  const path = contexts.temporaryPath();
  undo.defer(() => rmSync(path, { force: true }));
  const vertex = sourceVertex(session, source);
  const got = await vertex.run(async () => {
    const onProgress = (current: number, total: number): void =>
      vertex.status("downloading", { current, total, done: current === total });
    const file = (await download(source, path, { signal, onProgress }))!;
    if (checksum !== undefined && checksum !== `sha256:${file.sha256}`)
      throw invalidArgument(
        `digest mismatch sha256:${file.sha256}: expected ${checksum} for ${redactCredentials(source)}`,
      );
    return file;
  });
  fetched.add(source, { sha256: got.sha256 });
  const name = byteStringOf(urlFileName(source) || "__unnamed__");
  const whole = new RootTree(path);
  const entry: FileEntry = {
    ...rootEntry,
    path: name,
    type: "file",
    mode: 0o600,
    sizeBytes: got.sizeBytes,
    timeNs: got.modifiedNs,
  };
  const tree: FileTree = {
    stat: (at) => (at === name ? entry : at === "" ? rootEntry : undefined),
    list: (at) => (at === "" ? [name] : []),
    read: () => whole.read({ ...entry, path: "" }),
    digest: () => got.sha256,
  };
  const digest = (): string => hashParts(["http", name, got.sha256, String(got.modifiedNs)]);
  if (instruction.kind === "add" && instruction.unpack === true) {
    const unpacked = await unpack(session, tree, entry);
    if (unpacked !== undefined) return { ...unpacked, digest: () => hashParts(["unpacked", digest()]) };
  }
  return { tree, selections: [{ top: entry, name, keepsName: false, kept: [], inner: [] }], digest };
}
