/** The builder: reads the Dockerfile, plans, builds each platform, exports; and keeps the cache within its limits. */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseIgnoreFile } from "../base/path-patterns.ts";
import { EngineError, errorText, invalidArgument, notFound } from "../base/errors.ts";
import { KeyedLock } from "../base/keyed-lock.ts";
import { log } from "../base/log.ts";
import type { Platform } from "../oci/image-spec.ts";
import { formatPlatform, hostPlatform } from "../oci/platform.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { BaseImages } from "./base-images.ts";
import {
  type Builder,
  type BuildRequest,
  type BuildResult,
  type ContextSource,
  type LookingRequest,
  maxDockerfileBytes,
  type OpenedFiles,
  withBuildFailure,
} from "./build.ts";
import type { BuildCacheRecord, CachePruneRequest } from "./build-cache.ts";
import { CachePruner } from "./cache-prune.ts";
import type { CacheStore } from "./cache-store.ts";
import { CacheImports, exportCache, listRecords } from "./cache-transfer.ts";
import { ContextStore } from "./contexts.ts";
import type { Dockerfile, SourceFile } from "./dockerfile/ast.ts";
import { checkDockerfile } from "./dockerfile/check.ts";
import { DockerfileError } from "./dockerfile/error.ts";
import { parseDockerfile } from "./dockerfile/parse.ts";
import { metaVariables, platformArgs, unknownBuildArgs } from "./dockerfile/scope.ts";
import { exportResult, type PlatformResult } from "./export.ts";
import { type FileTree, findEntry } from "./files/file-tree.ts";
import { filteredTree } from "./files/filtered-tree.ts";
import { compilePatterns, type PatternRules } from "./files/patterns.ts";
import { defaultBuilderSettings, type GcRule, gcRules } from "./gc-policy.ts";
import type { BuildHost } from "./host.ts";
import { stepsDirectory } from "./layers.ts";
import { imageConfig, openFiles } from "./look.ts";
import { planBuild, readsContext } from "./plan.ts";
import { Progress, type VertexProgress } from "./progress.ts";
import { sweepSteps } from "./run-step.ts";
import { sweepIndexes } from "./built-indexes.ts";
import { openContextTree, type OpeningParts } from "./open-context.ts";
import { BuildSession } from "./session.ts";
import type { SessionParts, StageState } from "./session-parts.ts";
import { StepSlots } from "./slots.ts";

/** Steps that may run at the same time, of all builds. */
const maxSteps = 8;

class ImageBuilder implements Builder {
  readonly #host: BuildHost;
  readonly #cache: CacheStore;
  readonly #contexts: ContextStore;
  readonly #pruner: CachePruner;
  readonly #stepLocks = new KeyedLock();
  readonly #cacheLocks = new KeyedLock();
  readonly #slots = new StepSlots(maxSteps);
  readonly #running = new Map<string, AbortController>();

  constructor(host: BuildHost, cache: CacheStore) {
    this.#host = host;
    this.#cache = cache;
    this.#contexts = new ContextStore(host, cache);
    this.#pruner = new CachePruner(host, cache);
  }

  cancel(id: string): void {
    this.#running.get(id)?.abort(new EngineError("conflict", "the build was canceled"));
  }

  get gcRules(): readonly GcRule[] {
    return gcRules(this.#host.config.builder ?? defaultBuilderSettings, this.#host.config.dataRoot);
  }

  cacheList(): Promise<BuildCacheRecord[]> {
    return this.#pruner.list();
  }

  prune(
    request: CachePruneRequest,
    onRecord?: (record: BuildCacheRecord) => void,
  ): Promise<{ removed: string[]; reclaimedBytes: number }> {
    return this.#prune(request, onRecord);
  }

  async #prune(
    request: CachePruneRequest,
    onRecord?: (record: BuildCacheRecord) => void,
  ): Promise<{ removed: string[]; reclaimedBytes: number }> {
    const pruned = await this.#pruner.prune(request, onRecord);
    this.#host.emit("builder", "prune", "", { reclaimed: String(pruned.reclaimedBytes) });
    return pruned;
  }

  openFiles(source: ContextSource, asked: LookingRequest): Promise<OpenedFiles> {
    return openFiles({ host: this.#host, contexts: this.#contexts }, source, asked);
  }

  imageConfig(
    reference: string,
    platform: Platform | undefined,
    asked: LookingRequest,
  ): ReturnType<Builder["imageConfig"]> {
    return imageConfig({ host: this.#host, contexts: this.#contexts }, reference, platform, asked);
  }

  async build(request: BuildRequest): Promise<BuildResult> {
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(abortReason(request.signal.reason));
    if (request.signal.aborted) onAbort();
    request.signal.addEventListener("abort", onAbort, { once: true });
    this.#running.set(request.id, stop);
    try {
      return await this.#build(request, stop);
    } finally {
      request.signal.removeEventListener("abort", onAbort);
      this.#running.delete(request.id);
      this.#host.background.add(this.#pruner.collect());
      this.#sweepIndexes();
    }
  }

  /** What names had beside their images goes with these. */
  #sweepIndexes(): void {
    const { images } = this.#host;
    const dropped = sweepIndexes(this.#cache, (reference) => images.find(reference)?.manifestDigest);
    if (dropped.size > 0) this.#host.collect(dropped);
  }

  async #build(request: BuildRequest, stop: AbortController): Promise<BuildResult> {
    const startedAt = new Date().toISOString();
    const progress = new Progress(request.onEvent, stop.signal);
    using lease = this.#host.lease();
    await using undo = new AsyncDisposableStack();
    const base = { contexts: this.#contexts, signal: stop.signal, request, undo };
    const opened = await openDockerfile(base, request, progress);
    const dockerfile = withPlace(opened.source, () => parseDockerfile(opened.source));
    const platforms =
      request.platforms && request.platforms.length > 0 ? request.platforms : [hostPlatform()];
    const buildArgs = request.buildArgs ?? {};
    const images = new BaseImages({
      host: this.#host,
      request: { ...request, signal: stop.signal },
      progress,
      lease,
    });
    const states = new Map<string, StageState>();
    const usedRecords = new Set<string>();
    const cacheParts = {
      host: this.#host,
      cache: this.#cache,
      request,
      progress,
      lease,
      signal: stop.signal,
    };
    const imports = new CacheImports(cacheParts);
    const shared = {
      host: this.#host,
      cache: this.#cache,
      stepLocks: this.#stepLocks,
      cacheLocks: this.#cacheLocks,
      slots: this.#slots,
      dockerfile,
      progress,
      lease,
      images,
      ignore: opened.ignore,
      isMultiPlatform: platforms.length > 1,
      epochNs: epochOf(buildArgs),
      startedAt,
      abort: (reason: Error) => stop.abort(reason),
      usedRecords,
      importedRecord: (key: string) => imports.find(key),
      mainContext: () => opened.mainContext(),
      stateOf: (platform: Platform) => states.get(formatPlatform(platform))!,
      ...base,
    };
    withPlace(opened.source, () => tellWarnings(opened, dockerfile, { request, platform: platforms[0]! }));
    const sessions = platforms.map((platform) => {
      const predefined = platformArgs(
        { build: hostPlatform(), target: platform },
        request.target ?? "",
        buildArgs,
      );
      const meta = withPlace(opened.source, () => metaVariables(dockerfile, predefined, buildArgs));
      const contexts = new Set(Object.keys(request.namedContexts ?? {}));
      const plan = withPlace(opened.source, () =>
        planBuild(dockerfile, { target: request.target ?? "", meta, contexts }),
      );
      const parts: SessionParts = { ...shared, meta, plan, platform };
      return { platform, parts, session: new BuildSession(parts) };
    });
    // The client's files come while the first steps run.
    const isAwaited =
      request.context.kind === "remote" && sessions.some(({ parts }) => parts.plan.stages.some(readsContext));
    const receive = async (): Promise<void> => {
      try {
        if (isAwaited) await opened.mainContext();
      } catch (error) {
        // Nothing that runs meanwhile is of use then.
        stop.abort(error);
      }
    };
    const context = receive();
    const settled = await Promise.allSettled(sessions.map(({ session }) => session.run()));
    const failed = settled.find(({ status }) => status === "rejected");
    if (failed !== undefined && !stop.signal.aborted) stop.abort((failed as PromiseRejectedResult).reason);
    // What it has received so far is given back by this build.
    await context;
    const results = settled.map((outcome, index): PlatformResult => {
      if (outcome.status === "rejected") throw stop.signal.aborted ? stop.signal.reason : outcome.reason;
      const { platform } = sessions[index]!;
      states.set(formatPlatform(platform), outcome.value);
      return { platform, state: outcome.value };
    });
    const exported = await exportResult(sessions[0]!.parts, results);
    const metadata: Record<string, string> = { ...exported.metadata };
    for (const address of request.cacheTo ?? []) {
      const ids =
        address.attributes["mode"] === "max" ? usedRecords : targetRecords(this.#cache, usedRecords, results);
      const manifest = await exportCache(cacheParts, address, listRecords(this.#cache, ids));
      // Clients write it into the index of their directory.
      if (address.type === "local" && manifest !== undefined)
        metadata["cache.manifest"] = JSON.stringify(manifest);
    }
    return { ...exported, metadata, unusedBuildArgs: unknownBuildArgs(dockerfile, buildArgs) };
  }
}

/** Of the records those whose layers the results have; `mode=max` exports all. */
export function targetRecords(
  cache: CacheStore,
  used: ReadonlySet<string>,
  results: readonly PlatformResult[],
): string[] {
  const layers = new Set(results.flatMap(({ state }) => state.layers.map(({ diffId }) => diffId)));
  return [...used].filter((id) => {
    const top = cache.byId(id)?.layers.at(-1);
    return top !== undefined && layers.has(top.diffId);
  });
}

function abortReason(reason: unknown): Error {
  return reason instanceof EngineError
    ? reason
    : new EngineError("conflict", "the build was canceled", { cause: reason });
}

/** SOURCE_DATE_EPOCH in ns. Throws `invalidArgument` for what is no number of seconds. */
function epochOf(buildArgs: Readonly<Record<string, string>>): bigint | undefined {
  const text = buildArgs["SOURCE_DATE_EPOCH"];
  if (text === undefined || text === "") return undefined;
  if (!/^\d{1,12}$/.test(text)) throw invalidArgument(`invalid SOURCE_DATE_EPOCH: ${text}`);
  return BigInt(text) * 1_000_000_000n;
}

interface OpenedDockerfile {
  readonly source: SourceFile;
  /** "Load build definition", which has the warnings. */
  readonly vertex: VertexProgress;
  readonly ignore: PatternRules;
  mainContext(): Promise<FileTree>;
}

/** Finds the Dockerfile and the ignore rules; the main context is received when a step asks for it. */
async function openDockerfile(
  parts: OpeningParts,
  request: BuildRequest,
  progress: Progress,
): Promise<OpenedDockerfile> {
  const name = request.dockerfile?.name ?? "Dockerfile";
  const ignoreNames = [`${name}.dockerignore`, ".dockerignore"];
  const isRemote = request.context.kind === "remote";
  const vertex = progress.vertex(`dockerfile ${request.id}`, `[internal] load build definition from ${name}`);
  let whole: Promise<FileTree> | undefined;
  const openWhole = (): Promise<FileTree> =>
    (whole ??= isRemote ? Promise.reject(new Error("not opened as a whole")) : openMain());
  const openMain = (exclude: readonly string[] = []): Promise<FileTree> => {
    const loading = progress.vertex(`context ${request.id}`, "[internal] load build context");
    return loading.run(() => openContextTree(parts, request.context, loading, { exclude }));
  };
  let ignoreText: string | undefined;
  const source = await vertex.run(async (): Promise<SourceFile> => {
    const given = request.dockerfile?.text;
    const from = request.dockerfile?.source;
    // A Dockerfile from elsewhere has its own rules beside it; the general ones are the context's. Both are asked for at once.
    const contextRules =
      from !== undefined && isRemote
        ? openContextTree(parts, request.context, vertex, { include: [".dockerignore"] })
        : undefined;
    contextRules?.catch(() => {});
    const include = contextRules === undefined ? [name, ...ignoreNames] : [name, `${name}.dockerignore`];
    const tree =
      from !== undefined
        ? await openContextTree(parts, from, vertex, { include })
        : isRemote
          ? await openContextTree(parts, request.context, vertex, { include })
          : given === undefined || request.context.kind !== "empty"
            ? await openWhole()
            : undefined;
    if (tree !== undefined) for (const file of ignoreNames) ignoreText ??= readText(tree, file);
    const rules = await contextRules;
    if (rules !== undefined) ignoreText ??= readText(rules, ".dockerignore");
    const text = given ?? (tree === undefined ? undefined : readText(tree, name));
    if (text === undefined)
      throw notFound(`failed to read dockerfile: open ${name}: no such file or directory`, {
        hint: "Name the file with --file.",
      });
    return { name, text };
  });
  const lines = ignoreText === undefined ? [] : parseIgnoreFile(ignoreText);
  const ignore = compilePatterns(lines);
  let context: Promise<FileTree> | undefined;
  return {
    source,
    vertex,
    ignore,
    mainContext: () =>
      (context ??= (isRemote ? openMain(lines) : openWhole()).then((tree) => filteredTree(tree, ignore))),
  };
}

/** Tells what the build checks find. Throws when the Dockerfile wants that to fail the build. */
function tellWarnings(
  { source, vertex, ignore }: OpenedDockerfile,
  dockerfile: Dockerfile,
  { request, platform }: { readonly request: BuildRequest; readonly platform: Platform },
): void {
  const buildArgs = request.buildArgs ?? {};
  const target = request.target ?? "";
  const predefined = platformArgs({ build: hostPlatform(), target: platform }, target, buildArgs);
  const meta = metaVariables(dockerfile, predefined, buildArgs);
  const contexts = new Set(Object.keys(request.namedContexts ?? {}));
  const config = buildArgs["BUILDKIT_DOCKERFILE_CHECK"];
  const { warnings, failure } = checkDockerfile(dockerfile, {
    buildArgs,
    predefined,
    stages: new Set(withPlace(source, () => planBuild(dockerfile, { target, meta, contexts })).stages),
    ignore: ignore.patterns,
    ...(config === undefined ? {} : { config }),
  });
  for (const { rule, message, description, url, range } of warnings)
    vertex.warn({
      short: `${rule}: ${message} (line ${range.start.line})`,
      detail: [description],
      url,
      source,
      ranges: [range],
    });
  if (failure !== undefined) throw invalidArgument(failure);
}

/** A small text file of a tree; undefined when it is not there. */
function readText(tree: FileTree, path: string): string | undefined {
  const entry = findEntry(tree, byteStringOf(path));
  if (entry === undefined || entry.type !== "file") return undefined;
  if (entry.sizeBytes > maxDockerfileBytes)
    throw invalidArgument(`${path} is larger than ${maxDockerfileBytes} bytes`);
  const pieces: Buffer[] = [];
  for (const piece of tree.read(entry)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces).toString();
}

/** Runs what looks at the Dockerfile; its failure says where in it. */
function withPlace<T>(source: SourceFile, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    throw withBuildFailure(error, {
      source,
      ranges: error.range === undefined ? [] : [error.range],
      vertex: undefined,
      exitCode: undefined,
      command: undefined,
      lastLines: [],
    });
  }
}

/** The builder, after what an earlier daemon left of its builds was removed. */
export async function createBuilder(host: BuildHost, cache: CacheStore): Promise<Builder> {
  await removeLeftovers(host, cache);
  return new ImageBuilder(host, cache);
}

async function removeLeftovers(host: BuildHost, cache: CacheStore): Promise<void> {
  const root = join(host.config.dataRoot, "build");
  rmSync(join(root, "tmp"), { recursive: true, force: true });
  // Contexts and cache mounts that were cut off before they had a record.
  const kept = new Set(cache.list().map(({ directory }) => directory));
  for (const kind of ["contexts", "cache-mounts"])
    for (const name of existsSync(join(root, kind)) ? readdirSync(join(root, kind)) : [])
      if (!kept.has(join(kind, name))) rmSync(join(root, kind, name), { recursive: true, force: true });
  mkdirSync(stepsDirectory(host), { recursive: true, mode: 0o711 });
  try {
    await sweepSteps(host, readdirSync(stepsDirectory(host)));
  } catch (error) {
    log.warn("could not remove what is left of an earlier build", { error: errorText(error) });
  }
}
