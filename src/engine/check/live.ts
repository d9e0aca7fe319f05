/** The check of a daemon that runs: what is being done is no fault, and repairs wait for their container's lock. */
import { conflict } from "../../base/errors.ts";
import { lostPins } from "../../image/garbage.ts";
import { NetworkRecords } from "../../network/records.ts";
import type { CheckReport } from "../../wire/check.ts";
import { removeBundle } from "../container-cleanup.ts";
import type { EngineContext } from "../context.ts";
import { checkStore } from "./check.ts";
import { createRepairs, type RepairParts } from "./repair.ts";
import { endCgroupOf } from "./tasks.ts";
import { type CheckedStore, isRunning } from "./store.ts";
import { within } from "../within.ts";

/** How long clean-up that goes on after answers is waited for, at most. */
const patienceMs = 5_000;

/** Throws what `signal` was aborted with. */
export async function checkEngine(
  context: EngineContext,
  options: { readonly verify: boolean; readonly repair: boolean; readonly signal: AbortSignal },
): Promise<CheckReport> {
  const { signal, verify } = options;
  await within(context.background.idle(), patienceMs);
  signal.throwIfAborted();
  const store = liveStore(context);
  const repairs = options.repair ? createRepairs(store, liveParts(context, store)) : undefined;
  return checkStore(store, { verify, repairs, signal });
}

function liveStore(context: EngineContext): CheckedStore {
  const { config } = context;
  return {
    dataRoot: config.dataRoot,
    execRoot: config.execRoot,
    cgroupParent: config.cgroupParent,
    bridge: context.network.bridgeName,
    database: context.database,
    images: context.images,
    containers: context.containers,
    networks: new NetworkRecords(context.database),
    volumes: () => context.volumes.records(),
    pins: () => [...(context.buildPins?.() ?? []), ...lostPins(context.images)],
    live: {
      isHeld: (key) => context.imageWork?.isHeld(key) === true,
      isReady: (name) => context.network.isReady(name),
      isBusy: (id) => context.locks.isHeld(id),
    },
  };
}

function liveParts(context: EngineContext, store: CheckedStore): RepairParts {
  return {
    content: context.content,
    snapshotter: context.snapshotter,
    images: context.images,
    volumes: context.volumes,
    collect: (candidates) => context.imageWork?.collect(candidates),
    repairFirewall: () => context.network.repair(),
    async restoreImages() {
      throw conflict("the daemon puts it on record again with its next start");
    },
    restoreContainers() {
      throw conflict("the daemon puts it on record again with its next start");
    },
    closeSandbox(id) {
      if (context.network.get(id) === undefined) store.networks.remove(id);
      else context.network.close(id);
    },
    async endTask(id) {
      using _ = await context.locks.acquire(id);
      const container = context.containers.byId(id);
      if (isRunning(container)) throw conflict("it was started meanwhile");
      const runtime = context.monitor.recordedRuntime(id) ?? context.runtimes.get(container?.runtime ?? "");
      await context.monitor.delete(id, runtime);
      await endCgroupOf(context.cgroups, context.config.cgroupParent, id);
      // Last: it says whose the group is.
      removeBundle(context, id);
    },
  };
}
