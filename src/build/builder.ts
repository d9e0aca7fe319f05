/** The builder: reads the Dockerfile, plans, builds each platform, exports; and keeps the cache within its limits. */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { KeyedLock } from "../base/keyed-lock.ts";
import { log } from "../base/log.ts";
import type { Platform } from "../oci/image-spec.ts";
import { formatPlatform, hostPlatform } from "../oci/platform.ts";
import { BaseImages } from "./base-images.ts";
import {
  type Builder,
  type BuildRequest,
  type BuildResult,
  type ContextSource,
  type LookingRequest,
  type OpenedFiles,
} from "./build.ts";
import type { BuildCacheRecord, CachePruneRequest } from "./build-cache.ts";
import { sweepIndexes } from "./built-indexes.ts";
import { CachePruner } from "./cache-prune.ts";
import type { CacheStore } from "./cache-store.ts";
import {
  CacheImports,
  type CacheParts,
  checkCacheExports,
  exportCache,
  listRecords,
} from "./cache-transfer.ts";
import { ContextStore } from "./contexts.ts";
import { parseDockerfile } from "./dockerfile/parse.ts";
import { unknownBuildArgs } from "./dockerfile/scope.ts";
import { checkExports, exportResult, type PlatformResult } from "./export.ts";
import { defaultBuilderSettings, type GcRule, gcRules } from "./gc-policy.ts";
import type { BuildHost } from "./host.ts";
import { stepsDirectory } from "./layers.ts";
import { imageConfig, openFiles } from "./look.ts";
import {
  findWarnings,
  type OpenedDockerfile,
  openDockerfile,
  planPlatform,
  tellWarnings,
  withPlace,
} from "./open-dockerfile.ts";
import { readsContext } from "./plan.ts";
import { Progress } from "./progress.ts";
import { FetchedSources } from "./provenance.ts";
import { sweepSteps } from "./run-step.ts";
import { BuildSession } from "./session.ts";
import type { SessionParts, StageState } from "./session-parts.ts";
import { StepSlots } from "./slots.ts";

/** Steps that may run at the same time, of all builds. */
const maxSteps = 8;

class ImageBuilder implements Builder {
  readonly #host: BuildHost;
  /** What all builds share. */
  readonly #parts: Pick<SessionParts, "host" | "cache" | "contexts" | "stepLocks" | "cacheLocks" | "slots">;
  readonly #pruner: CachePruner;
  readonly #running = new Map<string, AbortController>();

  constructor(host: BuildHost, cache: CacheStore) {
    this.#host = host;
    this.#parts = {
      host,
      cache,
      contexts: new ContextStore(host, cache),
      stepLocks: new KeyedLock(),
      cacheLocks: new KeyedLock(),
      slots: new StepSlots(maxSteps),
    };
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

  async prune(
    request: CachePruneRequest,
    onRecord?: (record: BuildCacheRecord) => void,
  ): Promise<{ removed: string[]; reclaimedBytes: number }> {
    const pruned = await this.#pruner.prune(request, onRecord);
    this.#host.emit("builder", "prune", "", { reclaimed: String(pruned.reclaimedBytes) });
    return pruned;
  }

  openFiles(source: ContextSource, asked: LookingRequest): Promise<OpenedFiles> {
    return openFiles(this.#parts, source, asked);
  }

  imageConfig(
    reference: string,
    platform: Platform | undefined,
    asked: LookingRequest,
  ): ReturnType<Builder["imageConfig"]> {
    return imageConfig(this.#parts, reference, platform, asked);
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
    const dropped = sweepIndexes(this.#parts.cache, (reference) => images.find(reference)?.manifestDigest);
    if (dropped.size > 0) this.#host.collect(dropped);
  }

  async #build(request: BuildRequest, stop: AbortController): Promise<BuildResult> {
    const platforms =
      request.platforms && request.platforms.length > 0 ? request.platforms : [hostPlatform()];
    checkCacheExports(request.cacheTo);
    checkExports(request, platforms);
    const startedAt = new Date().toISOString();
    const { signal } = stop;
    const { host, cache, contexts } = this.#parts;
    const progress = new Progress(request.onEvent, signal);
    using lease = host.lease();
    await using undo = new AsyncDisposableStack();
    const fetched = new FetchedSources();
    const opened = await openDockerfile({ contexts, signal, request, undo, fetched }, request, progress);
    const dockerfile = withPlace(opened.source, () => parseDockerfile(opened.source));
    const buildArgs = request.buildArgs ?? {};
    const states = new Map<string, StageState>();
    const usedRecords = new Set<string>();
    const cacheParts: CacheParts = { host, cache, request, progress, lease, signal };
    const imports = new CacheImports(cacheParts);
    const shared = {
      ...this.#parts,
      request,
      dockerfile,
      progress,
      signal,
      lease,
      undo,
      fetched,
      images: new BaseImages({ host, request: { ...request, signal }, progress, lease }),
      ignore: opened.ignore,
      isMultiPlatform: platforms.length > 1,
      epochNs: epochOf(buildArgs),
      startedAt,
      abort: (reason: Error) => stop.abort(reason),
      usedRecords,
      importedRecord: (key: string) => imports.find(key),
      mainContext: () => opened.mainContext(),
      stateOf: (platform: Platform) => states.get(formatPlatform(platform))!,
    };
    const checking = { request, platform: platforms[0]! };
    const { isStrict } = withPlace(opened.source, () => findWarnings(opened, dockerfile, checking));
    const sessions = platforms.map((platform) => {
      const { meta, plan } = withPlace(opened.source, () => planPlatform(dockerfile, request, platform));
      return new BuildSession({ ...shared, meta, plan, platform });
    });
    const check = async (): Promise<void> => {
      const bases = await sessions[0]!.baseFacts();
      tellWarnings(opened, findWarnings(opened, dockerfile, { ...checking, bases }));
    };
    // Findings come when the base images are known. Where they fail the build, nothing is done before.
    if (isStrict) await check();
    const [ran, told] = await Promise.allSettled([
      runSessions(sessions, opened, stop),
      isStrict ? undefined : check(),
    ]);
    if (ran.status === "rejected") throw ran.reason;
    if (told.status === "rejected") throw told.reason;
    const results = ran.value;
    for (const { platform, state } of results) states.set(formatPlatform(platform), state);
    const exported = await exportResult(sessions[0]!.parts, results);
    const metadata = { ...exported.metadata, ...(await exportCaches(cacheParts, usedRecords, results)) };
    return { ...exported, metadata, unusedBuildArgs: unknownBuildArgs(dockerfile, buildArgs) };
  }
}

/** Runs all platforms at the same time. The first failure ends all of them and is thrown when they have ended. */
async function runSessions(
  sessions: readonly BuildSession[],
  opened: OpenedDockerfile,
  stop: AbortController,
): Promise<PlatformResult[]> {
  // The client's files come while the first steps run.
  const context = receiveContext(sessions, opened, stop);
  const settled = await Promise.allSettled(sessions.map((session) => session.run()));
  const failed = settled.find(({ status }) => status === "rejected");
  if (failed !== undefined && !stop.signal.aborted) stop.abort((failed as PromiseRejectedResult).reason);
  // What it has received so far is given back by this build.
  await context;
  return settled.map((outcome, index): PlatformResult => {
    if (outcome.status === "rejected") throw stop.signal.aborted ? stop.signal.reason : outcome.reason;
    const session = sessions[index]!;
    return { platform: session.parts.platform, state: outcome.value, session };
  });
}

/** Receives a client's context that a step reads. Never rejects: its failure ends the build. */
async function receiveContext(
  sessions: readonly BuildSession[],
  opened: OpenedDockerfile,
  stop: AbortController,
): Promise<void> {
  const isRead = sessions.some(({ parts }) => parts.plan.stages.some(readsContext));
  if (!isRead || sessions[0]!.parts.request.context.kind !== "remote") return;
  try {
    await opened.mainContext();
  } catch (error) {
    // Nothing that runs meanwhile is of use then.
    stop.abort(error);
  }
}

/** `--cache-to`. Returns what clients are told of it. */
async function exportCaches(
  parts: CacheParts,
  used: ReadonlySet<string>,
  results: readonly PlatformResult[],
): Promise<Record<string, string>> {
  const metadata: Record<string, string> = {};
  for (const address of parts.request.cacheTo ?? []) {
    const ids = address.attributes["mode"] === "max" ? used : targetRecords(parts.cache, used, results);
    const manifest = await exportCache(parts, address, listRecords(parts.cache, ids));
    // Clients write it into the index of their directory.
    if (address.type === "local" && manifest !== undefined)
      metadata["cache.manifest"] = JSON.stringify(manifest);
  }
  return metadata;
}

/** Of the records those whose layers the results have; `mode=max` exports all. */
function targetRecords(
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
