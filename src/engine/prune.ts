/** Removing what nobody uses: containers, images, volumes. Filters and words are Docker's. */
import { errorText, invalidArgument, isKind } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { diskUsage } from "../snapshot/usage.ts";
import type { ImageDeleteEntry } from "../wire/image.ts";
import type { Filters } from "../wire/system.ts";
import { containerRemove } from "./container-remove.ts";
import type { EngineContext } from "./context.ts";
import type { Engine } from "./engine.ts";
import { checkFilterKeys, filterBoolean, filterValues, matchLabels, untilMs } from "./filters.ts";
import { findNetwork } from "./container-sandbox.ts";
import { networkRemove } from "./networks.ts";
import { volumeRemove } from "./volumes.ts";

const ageKeys = new Set(["label", "label!", "until"]);
const imageKeys = new Set([...ageKeys, "dangling"]);
const volumeKeys = new Set(["all", "label", "label!"]);

interface Candidate {
  readonly labels: Readonly<Record<string, string>>;
  readonly createdMs: number;
}

/** Whether something is old enough and has, and has not, the labels. */
export function pruneTest(filters: Filters): (candidate: Candidate) => boolean {
  const until = filterValues(filters, "until");
  if (until.length > 1) throw invalidArgument("more than one until filter specified");
  const latestMs = until.length === 0 ? Infinity : untilMs(until[0]!);
  const wanted = filterValues(filters, "label");
  const unwanted = filterValues(filters, "label!");
  return ({ labels, createdMs }) =>
    createdMs < latestMs &&
    matchLabels(labels, wanted) &&
    !unwanted.some((label) => matchLabels(labels, [label]));
}

/** Removes all containers that do not run. */
export async function containerPrune(
  context: EngineContext,
  filters: Filters,
): Promise<{ removed: string[]; reclaimedBytes: number }> {
  checkFilterKeys(filters, ageKeys);
  const test = pruneTest(filters);
  const removed: string[] = [];
  let reclaimedBytes = 0;
  for (const container of context.containers.list()) {
    const { status } = container.state;
    if (status !== "created" && status !== "exited" && status !== "dead") continue;
    if (!test({ labels: container.config.Labels ?? {}, createdMs: Date.parse(container.createdAt) }))
      continue;
    let sizeBytes = 0;
    const isGone = await attemptRemoval(`container ${container.id}`, async () => {
      ({ sizeBytes } = await context.snapshotter.usage(container.id));
      await containerRemove(context, container.id, { force: false, volumes: false, link: false });
    });
    if (!isGone) continue;
    removed.push(container.id);
    reclaimedBytes += sizeBytes;
  }
  emitPrune(context, "container", reclaimedBytes);
  return { removed, reclaimedBytes };
}

/** Removes images without a name, or with `dangling=false` all that no container was made of. */
export async function imagePrune(
  context: EngineContext,
  remove: Engine["imageRemove"],
  filters: Filters,
): Promise<{ removed: ImageDeleteEntry[]; reclaimedBytes: number }> {
  checkFilterKeys(filters, imageKeys);
  const test = pruneTest(filters);
  const onlyDangling = filterBoolean(filters, "dangling") ?? true;
  const before = await layerBytes(context);
  const removed: ImageDeleteEntry[] = [];
  for (const image of context.images.list()) {
    const createdMs = Date.parse(image.config.created ?? "") || 0;
    const names = [...image.repoTags, ...image.repoDigests];
    if (onlyDangling && image.repoTags.length > 0) continue;
    // What others were made from goes with them.
    if (context.images.hasChildren(image.id) && (onlyDangling || names.length === 0)) continue;
    if (!test({ labels: image.config.config?.Labels ?? {}, createdMs })) continue;
    if (context.containers.list().some((container) => container.imageId === image.id)) continue;
    for (const name of names.length === 0 ? [image.id] : names)
      await attemptRemoval(`image ${name}`, async () => {
        removed.push(...(await remove(name, { force: false, noPrune: false })));
      });
  }
  const reclaimedBytes = Math.max(0, before - (await layerBytes(context)));
  emitPrune(context, "image", reclaimedBytes);
  return { removed, reclaimedBytes };
}

async function layerBytes(context: EngineContext): Promise<number> {
  let total = 0;
  for (const { key, kind } of context.snapshotter.list())
    if (kind === "committed") total += (await context.snapshotter.usage(key)).sizeBytes;
  return total;
}

/**
 * Removes volumes that no container has: those without a name, with `all=true` the others too; none with options, which say
 * where somebody's files are.
 */
export async function volumePrune(
  context: EngineContext,
  filters: Filters,
): Promise<{ removed: string[]; reclaimedBytes: number }> {
  checkFilterKeys(filters, volumeKeys);
  const test = pruneTest(filters);
  const all = filterBoolean(filters, "all") ?? false;
  const removed: string[] = [];
  let reclaimedBytes = 0;
  for (const volume of context.volumes.records()) {
    // Docker's prune leaves alone what other drivers keep.
    if (volume.Driver !== "local" || Object.keys(volume.Options ?? {}).length > 0) continue;
    if (!all && !context.volumes.isAnonymous(volume.Name)) continue;
    if (!test({ labels: volume.Labels ?? {}, createdMs: 0 })) continue;
    const { sizeBytes } = await diskUsage(volume.Mountpoint);
    const isGone = await attemptRemoval(`volume ${volume.Name}`, () =>
      volumeRemove(context, volume.Name, { force: false }),
    );
    if (!isGone) continue;
    removed.push(volume.Name);
    reclaimedBytes += sizeBytes;
  }
  emitPrune(context, "volume", reclaimedBytes);
  return { removed, reclaimedBytes };
}

/** Removes networks of users that no running container is on. */
export async function networkPrune(context: EngineContext, filters: Filters): Promise<{ removed: string[] }> {
  checkFilterKeys(filters, ageKeys);
  const test = pruneTest(filters);
  const removed: string[] = [];
  for (const { Id, Name } of context.network.list()) {
    // While others were removed it may have gone.
    const network = findNetwork(context, Id);
    if (network === undefined) continue;
    const { isUserDefined, isConfigOnly, labels, createdAt } = network;
    if (!isUserDefined || isConfigOnly || context.network.members(Id).length > 0) continue;
    if (!test({ labels, createdMs: Date.parse(createdAt) })) continue;
    if (await attemptRemoval(`network ${Name}`, () => networkRemove(context, Id))) removed.push(Name);
  }
  emitPrune(context, "network", 0);
  return { removed };
}

/** False when it came into use, or was removed, meanwhile. */
async function attemptRemoval(what: string, remove: () => Promise<void>): Promise<boolean> {
  try {
    await remove();
    return true;
  } catch (error) {
    if (!isKind(error, "conflict", "notFound", "permissionDenied")) throw error;
    log.debug(`prune leaves ${what}`, { error: errorText(error) });
    return false;
  }
}

function emitPrune(context: EngineContext, type: string, reclaimedBytes: number): void {
  context.events.emit(type, "prune", "", { reclaimed: String(reclaimedBytes) });
}
