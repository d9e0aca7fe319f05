import type { Filters } from "../../wire/system.ts";
import type { Exchange, Route } from "../exchange.ts";

async function containers(x: Exchange): Promise<void> {
  const { removed, reclaimedBytes } = await x.engine.containerPrune(x.query.filters());
  x.json(200, { ContainersDeleted: orNull(removed), SpaceReclaimed: reclaimedBytes });
}

async function images(x: Exchange): Promise<void> {
  const { removed, reclaimedBytes } = await x.engine.imagePrune(x.query.filters());
  x.json(200, { ImagesDeleted: orNull(removed), SpaceReclaimed: reclaimedBytes });
}

async function volumes(x: Exchange): Promise<void> {
  const { removed, reclaimedBytes } = await x.engine.volumePrune(volumeFilters(x));
  x.json(200, { VolumesDeleted: removed, SpaceReclaimed: reclaimedBytes });
}

async function networks(x: Exchange): Promise<void> {
  const { removed } = await x.engine.networkPrune(x.query.filters());
  x.json(200, { NetworksDeleted: orNull(removed) });
}

/** Before API version 1.42 volumes with a name were pruned, too. */
function volumeFilters(x: Exchange): Filters {
  const filters = x.query.filters();
  return x.apiMinor < 42 ? new Map([...filters, ["all", ["true"]]]) : filters;
}

const orNull = <T>(list: readonly T[]): readonly T[] | null => (list.length === 0 ? null : list);

export const pruneRoutes: readonly Route[] = [
  { method: "POST", path: "/containers/prune", handle: containers },
  { method: "POST", path: "/images/prune", handle: images },
  { method: "POST", path: "/volumes/prune", handle: volumes },
  { method: "POST", path: "/networks/prune", handle: networks },
];
