/** Taking a step out of the cache, or making it and keeping it there. */
import { crashpoint, failpoint } from "../base/failpoint.ts";
import type { CacheRecord } from "./cache-store.ts";
import { addHistory } from "./image-config.ts";
import type { Layer } from "./layers.ts";
import type { VertexProgress } from "./progress.ts";
import type { BuildSession } from "./session.ts";
import type { StageState } from "./session-parts.ts";

export interface StepPlace {
  readonly vertex: VertexProgress;
  readonly tell: (state: "cached" | "running" | "removed", id?: string) => void;
}

/** How a step is found and taken. */
export interface CachedStep {
  /** Keys from the cheapest to the one that costs most to know; all of them name what is made. */
  readonly keys: readonly (() => Promise<string>)[];
  readonly description: string;
  readonly createdBy: string;
  /** Its words in the history end without `# buildkit`. */
  readonly isPlain?: boolean;
  /** Only its own layer is the result's, whatever is below (COPY --link). */
  readonly isLink?: boolean;
  make(): Promise<Layer>;
}

/**
 * Puts a step's layer on a stage: out of the cache when one of its keys is there, else made. Two builds that need the
 * same step at the same time take it once.
 */
export async function takeCached(
  session: BuildSession,
  state: StageState,
  place: StepPlace,
  step: CachedStep,
): Promise<void> {
  const { cache, stepLocks, slots, request, signal } = session.parts;
  const mayUseCache = request.noCache !== true && !isFiltered(session, state);
  const keys: string[] = [];
  const first = await step.keys[0]!();
  using _one = await stepLocks.acquire(first);
  signal.throwIfAborted();
  let found: CacheRecord | undefined;
  for (const [index, key] of step.keys.entries()) {
    if (index > 0 && found !== undefined) break;
    const value = index === 0 ? first : await key();
    keys.push(value);
    if (mayUseCache) found = await usable(session, value);
  }
  if (found !== undefined) {
    for (const key of keys) cache.alias(key, found.id);
    cache.touch(found.id);
    session.holdRecord(found);
    state.layers =
      step.isLink === true ? [...state.layers, await session.relayer(state, found)] : found.layers;
    addHistory(state, step.createdBy, {
      isStep: step.isPlain !== true,
      hasLayer: true,
      created: session.created(found.createdAt),
    });
    place.vertex.cached();
    place.tell("cached");
    return;
  }
  place.vertex.announce();
  using _slot = await slots.acquire();
  signal.throwIfAborted();
  await place.vertex.run(async () => {
    const layer = await step.make();
    failpoint("build-step.before-record");
    const createdAt = new Date().toISOString();
    const record = cache.put(keys, {
      type: "regular",
      description: step.description,
      layers: step.isLink === true ? [layer] : [...state.layers, layer],
      parents: session.recordBelow(state),
      sizeBytes: session.parts.host.snapshotter.has(layer.chainId)
        ? (await session.parts.host.snapshotter.usage(layer.chainId)).sizeBytes
        : 0,
      createdAt,
      ...(step.isLink === true ? { isLink: true } : {}),
    });
    crashpoint("build-step.recorded");
    session.holdRecord(record);
    state.layers = [...state.layers, layer];
    addHistory(state, step.createdBy, {
      isStep: step.isPlain !== true,
      hasLayer: true,
      created: session.created(createdAt),
    });
  });
}

function isFiltered(session: BuildSession, { stage }: StageState): boolean {
  const filters = session.parts.request.noCacheFilter ?? [];
  return filters.some((name) => name.toLowerCase() === stage.name || name === String(stage.index));
}

/** A record whose layers are all here (or come from where the cache was imported from). */
async function usable(session: BuildSession, key: string): Promise<CacheRecord | undefined> {
  const record = session.parts.cache.find(key) ?? (await session.parts.importedRecord(key));
  if (record === undefined || record.type !== "regular") return undefined;
  const { host, lease } = session.parts;
  for (const { descriptor, chainId } of record.layers) {
    lease.add(descriptor.digest);
    if (record.isLink !== true) lease.add(chainId);
    if (!host.content.has(descriptor.digest)) return undefined;
    if (record.isLink !== true && !host.snapshotter.has(chainId)) return undefined;
  }
  return record;
}
