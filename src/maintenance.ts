/** Composition root of `gantry system check` for a data root that no daemon uses, and of `gantry system doctor`. */
import { existsSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { openDatabase } from "./base/database.ts";
import { EngineError } from "./base/errors.ts";
import { setLogLevel } from "./base/log.ts";
import { defaultConfigFile } from "./base/paths.ts";
import { CacheStore } from "./build/cache-store.ts";
import type { Maintenance, Places } from "./cli/system/maintenance.ts";
import { createMonitor } from "./container/conmon.ts";
import { createContainerStore } from "./container/container-store.ts";
import { FsContentStore } from "./content/fs-content-store.ts";
import { claimRoots } from "./daemon-roots.ts";
import { type DaemonOptions, mergeDaemonOptions, readConfigFile } from "./daemon-config.ts";
import { checkStore } from "./engine/check/check.ts";
import { createRepairs, type RepairParts } from "./engine/check/repair.ts";
import type { CheckedStore } from "./engine/check/store.ts";
import { endCgroupOf } from "./engine/check/tasks.ts";
import { examine } from "./engine/doctor/doctor.ts";
import { ImageGarbage } from "./image/garbage.ts";
import { createImageStore } from "./image/image-store.ts";
import { detectCgroups } from "./linux/cgroup.ts";
import { removeMountDirectory } from "./linux/mount.ts";
import { NetworkRecords } from "./network/records.ts";
import { createSnapshotter } from "./snapshot/create-snapshotter.ts";
import { createVolumeStore } from "./volume/volume-store.ts";
import { VolumeRecords } from "./volume/volume-records.ts";

export function maintenance(): Maintenance {
  setLogLevel("error");
  return {
    async check(places, { verify, repair, signal }) {
      const options = optionsOf(places);
      requireRoot("check a data root");
      if (!existsSync(join(options.dataRoot, "gantry.db")))
        throw new EngineError("notFound", `there is no data root of gantry's in ${options.dataRoot}`, {
          hint: "Name another with --data-root, or a running daemon with -H.",
        });
      // A daemon that is started meanwhile says that somebody uses its directories.
      claimRoots(options);
      const store = storeAtRest(options);
      const repairs = repair ? createRepairs(store, partsAtRest(store, options)) : undefined;
      return checkStore(store, { verify, repairs, signal });
    },
    doctor: (places) => examine(optionsOf(places)),
  };
}

function optionsOf({ configFile, dataRoot, execRoot }: Places): DaemonOptions {
  const file = readConfigFile(configFile ?? defaultConfigFile, configFile !== undefined);
  return mergeDaemonOptions(
    { ...(dataRoot === undefined ? {} : { dataRoot }), ...(execRoot === undefined ? {} : { execRoot }) },
    file,
  );
}

function requireRoot(what: string): void {
  if (process.getuid?.() !== 0)
    throw new EngineError("permissionDenied", `to ${what} takes root`, { hint: "Use sudo." });
}

function storeAtRest(options: DaemonOptions): CheckedStore {
  const database = openDatabase(join(options.dataRoot, "gantry.db"));
  const cache = new CacheStore(database);
  return {
    dataRoot: options.dataRoot,
    execRoot: options.execRoot,
    cgroupParent: options.cgroupParent,
    bridge: options.bridge,
    database,
    images: createImageStore(database),
    containers: createContainerStore(database),
    networks: new NetworkRecords(database),
    // Repairs write to them.
    volumes: () => new VolumeRecords(database).list(),
    pins: () => cache.pins(),
    live: undefined,
  };
}

/** The drivers are opened when the first fault is repaired: that alone puts some things right. */
function partsAtRest(store: CheckedStore, options: DaemonOptions): RepairParts {
  const { dataRoot, execRoot } = options;
  const once = <T>(make: () => T): (() => T) => {
    let made: { readonly value: T } | undefined;
    return () => (made ??= { value: make() }).value;
  };
  const content = once(() => new FsContentStore(join(dataRoot, "content")));
  const snapshotter = once(() =>
    createSnapshotter({ driver: options.storageDriver || undefined, root: join(dataRoot, "snapshots") }),
  );
  const images = createImageStore(store.database);
  const volumes = once(() => createVolumeStore(store.database, join(dataRoot, "volumes")));
  const monitor = once(() => createMonitor({ execRoot }));
  return {
    get content() {
      return content();
    },
    get snapshotter() {
      return snapshotter();
    },
    get volumes() {
      return volumes();
    },
    images,
    collect(candidates) {
      const garbage = new ImageGarbage({
        content: content(),
        snapshotter: snapshotter(),
        images,
        pins: () => store.pins(),
      });
      garbage.collect(candidates);
    },
    closeSandbox: (id) => store.networks.remove(id),
    repairFirewall() {
      throw new EngineError("unavailable", "the daemon writes the firewall's table when it starts");
    },
    async endTask(id) {
      const runtime = monitor().recordedRuntime(id);
      if (runtime !== undefined) await monitor().delete(id, runtime);
      await endCgroupOf(detectCgroups(), options.cgroupParent, id);
      // Last: it says whose the group is.
      await removeRest(execRoot, id);
    },
  };
}

/** What of a task is in files of the exec root. */
async function removeRest(execRoot: string, id: string): Promise<void> {
  removeMountDirectory(join(execRoot, "containers", id));
  const runtimes = readdirSync(execRoot).filter((name) => name.startsWith("runtime-"));
  for (const place of ["monitors", "exits", ...runtimes])
    await rm(join(execRoot, place, id), { recursive: true, force: true });
}
