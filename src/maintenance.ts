/** Composition root of `gantry system check` for a data root that no daemon uses, and of `gantry system doctor`. */
import { existsSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DamagedRecords, type Database } from "./base/database.ts";
import { EngineError } from "./base/errors.ts";
import { setLogLevel } from "./base/log.ts";
import { defaultConfigFile } from "./base/paths.ts";
import { CacheStore } from "./build/cache-store.ts";
import type { Maintenance, Places } from "./cli/system/maintenance.ts";
import { createMonitor } from "./container/conmon.ts";
import type { ContainerStore } from "./container/container.ts";
import { createContainerStore } from "./container/container-store.ts";
import { RecordCopies } from "./container/record-copies.ts";
import { FsContentStore } from "./content/fs-content-store.ts";
import { isUnrecordedRoot, openRecords, recordsPath } from "./daemon-records.ts";
import { claimRoots } from "./daemon-roots.ts";
import { type DaemonOptions, mergeDaemonOptions, readConfigFile } from "./daemon-config.ts";
import { checkStore, databaseComplaints } from "./engine/check/check.ts";
import { createRepairs, type RepairParts } from "./engine/check/repair.ts";
import type { CheckedStore } from "./engine/check/store.ts";
import { rescueImages, restoreImages } from "./engine/check/rescue-images.ts";
import { keepBlobs, keepContainerFiles, type Salvage, salvageRecords } from "./engine/check/salvage.ts";
import { endCgroupOf } from "./engine/check/tasks.ts";
import { examine } from "./engine/doctor/doctor.ts";
import { ImageGarbage, lostPins } from "./image/garbage.ts";
import { ImageCopies } from "./image/image-copies.ts";
import type { ImageStore } from "./image/image.ts";
import { createImageStore } from "./image/image-store.ts";
import { detectCgroups } from "./linux/cgroup.ts";
import { removeMountDirectory } from "./linux/mount.ts";
import { NetworkRecords } from "./network/records.ts";
import { createSnapshotter } from "./snapshot/create-snapshotter.ts";
import { createVolumeStore } from "./volume/volume-store.ts";
import { VolumeRecords } from "./volume/volume-records.ts";
import type { Fault } from "./wire/check.ts";

/** So many of a kind are named. */
const mostNamed = 20;

export function maintenance(): Maintenance {
  setLogLevel("error");
  return {
    async check(places, { verify, repair, signal }) {
      const options = optionsOf(places);
      requireRoot("check a data root");
      // Without its records it is one all the same, when there are containers, images or volumes.
      if (
        !existsSync(recordsPath(options.dataRoot)) &&
        !existsSync(join(options.dataRoot, "snapshots")) &&
        !isUnrecordedRoot(options.dataRoot)
      )
        throw new EngineError("notFound", `there is no data root of gantry's in ${options.dataRoot}`, {
          hint: "Name another with --data-root, or a running daemon with -H.",
        });
      // A daemon that is started meanwhile says that somebody uses its directories.
      claimRoots(options);
      const { store, fault } = await soundStore(options, repair);
      const repairs = repair ? createRepairs(store, partsAtRest(store, options)) : undefined;
      const report = await checkStore(store, { verify, repairs, signal });
      return fault === undefined ? report : { ...report, Faults: [fault, ...report.Faults] };
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

/** The store; with `repair`, and records that are damaged, what could be saved of it, and the fault that it was. */
async function soundStore(
  options: DaemonOptions,
  repair: boolean,
): Promise<{ readonly store: StoreAtRest; readonly fault?: Fault }> {
  try {
    const store = storeAtRest(options);
    const [complaint] = repair ? databaseComplaints(store) : [];
    if (complaint === undefined) return { store };
    store.database.close();
    throw new DamagedRecords(recordsPath(options.dataRoot), complaint);
  } catch (error) {
    if (!repair || !(error instanceof DamagedRecords)) throw error;
    return { fault: await salvageStore(options, error), store: storeAtRest(options) };
  }
}

/**
 * Makes new records of what can be read of the damaged ones, and tells what became of them. They take the place of the
 * damaged ones last, when nothing is left of what would be removed for having no record: cut off, it is done again.
 */
async function salvageStore(options: DaemonOptions, damage: DamagedRecords): Promise<Fault> {
  const path = recordsPath(options.dataRoot);
  using salvage = salvageRecords(path);
  const saved = await saveFiles(options, salvage);
  salvage.replace();
  return {
    Kind: "database-damaged",
    Object: path,
    Message: [`${damage.reason}; saved: ${salvage.saved} rows`, ...saved].join("; "),
    Severity: "damage",
    State: "repaired",
    Repairable: true,
  };
}

/** Saves what the new records do not name, and says what. */
async function saveFiles(options: DaemonOptions, salvage: Salvage): Promise<string[]> {
  const store = storeAtRest(options, salvage.path);
  try {
    const restored = store.containers.restoreLost();
    const parts = partsAtRest(store, options);
    const noted = await restoreImages(parts);
    const found = await rescueImages(parts, options.dataRoot);
    const unread = [...noted.unread, ...found.unread];
    keepBlobs(
      options.dataRoot,
      unread.flatMap(({ needs }) => needs),
      parts.images,
      salvage,
    );
    const kept = keepContainerFiles(options.dataRoot, store.containers, salvage);
    const list = (what: string, names: readonly string[]): string[] => {
      const more = names.length > mostNamed ? [`and ${names.length - mostNamed} more`] : [];
      return names.length === 0 ? [] : [`${what}: ${[...names.slice(0, mostNamed), ...more].join(", ")}`];
    };
    const back = new Set(restored.map(({ name }) => `containers ${name}`));
    const lost = salvage.lost.filter((each) => !back.has(each));
    const short = (id: string): string => id.replace("sha256:", "").slice(0, 12);
    return [
      ...list("lost", lost),
      ...list(
        "containers that have a record again, by the copy beside their files",
        restored.map(({ name }) => name),
      ),
      ...list(
        "images that have a record again",
        noted.rescued.map(({ id, repoTags }) => repoTags[0] ?? short(id)),
      ),
      ...list(
        "images that have a record again, without their names",
        found.rescued.map(({ id }) => short(id)),
      ),
      ...list(
        "images that cannot be read, of which what there is was set aside",
        unread.map(({ name, reason }) => `${name} (${reason})`),
      ),
      ...list("containers without a record, whose files were set aside", kept.map(short)),
      `what was set aside is in ${salvage.directory}`,
    ];
  } finally {
    store.database.close();
  }
}

function storeAtRest(options: DaemonOptions, path?: string): StoreAtRest {
  const database = openRecords(options.dataRoot, path);
  try {
    return storeOf(database, options);
  } catch (error) {
    database.close();
    throw error;
  }
}

/** The store of a data root at rest. */
interface StoreAtRest extends CheckedStore {
  readonly images: ImageStore;
  readonly containers: ContainerStore;
}

function storeOf(database: Database, options: DaemonOptions): StoreAtRest {
  const cache = new CacheStore(database);
  const { dataRoot, execRoot } = options;
  const images = createImageStore(database, new ImageCopies(join(dataRoot, "images")));
  return {
    dataRoot,
    execRoot,
    cgroupParent: options.cgroupParent,
    bridge: options.bridge,
    database,
    images,
    containers: createContainerStore(database, { copies: new RecordCopies(join(dataRoot, "containers")) }),
    networks: new NetworkRecords(database),
    // Repairs write to them.
    volumes: () => new VolumeRecords(database).list(),
    pins: () => [...cache.pins(), ...lostPins(images)],
    live: undefined,
  };
}

/** The drivers are opened when the first fault is repaired: that alone puts some things right. */
function partsAtRest(store: StoreAtRest, options: DaemonOptions): RepairParts {
  const { dataRoot, execRoot } = options;
  const once = <T>(make: () => T): (() => T) => {
    let made: { readonly value: T } | undefined;
    return () => (made ??= { value: make() }).value;
  };
  const content = once(() => new FsContentStore(join(dataRoot, "content")));
  const snapshotter = once(() =>
    createSnapshotter({ driver: options.storageDriver || undefined, root: join(dataRoot, "snapshots") }),
  );
  const { images } = store;
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
    async restoreImages() {
      const { unread } = await restoreImages(this);
      if (unread.length > 0)
        throw new EngineError(
          "unavailable",
          unread.map(({ name, reason }) => `${name}: ${reason}`).join("; "),
        );
    },
    restoreContainers: () => void store.containers.restoreLost(),
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
