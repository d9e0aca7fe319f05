/** Containers' directories and tasks against their records: bundles, monitors, mounts, control groups. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { containerIdForm } from "../../container/record-copies.ts";
import { detectCgroups, isCgroupEmpty } from "../../linux/cgroup.ts";
import { mountPoints, realPath } from "../../linux/mount.ts";
import { type CheckedStore, type Found, isRunning } from "./store.ts";

export function checkContainers(store: CheckedStore): Found[] {
  return [
    ...checkDirectories(store),
    ...(store.live === undefined ? [] : checkRunning(store)),
    ...leftTasks(store),
    ...leftMounts(store),
    ...leftCgroups(store),
  ];
}

const namesIn = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);

function checkDirectories(store: CheckedStore): Found[] {
  const root = join(store.dataRoot, "containers");
  const found: Found[] = [];
  // What has another name is not the engine's.
  for (const id of namesIn(root).filter((name) => containerIdForm.test(name))) {
    if (store.containers.byId(id) !== undefined || store.live?.isBusy(id) === true) continue;
    const lost = store.containers.unrecorded(id);
    if (lost !== undefined) found.push(unrecorded(store, join(root, id), lost.name));
    else
      found.push({
        kind: "container-directory-orphan",
        object: join(root, id),
        message: "the files of a container that is not on record",
      });
  }
  for (const { id, name } of store.containers.list())
    if (!existsSync(join(root, id)))
      found.push({
        kind: "container-directory-missing",
        object: name,
        message: "the directory of its log and its network files is not there",
      });
  return found;
}

/** A container whose files say that it had a record. */
function unrecorded(store: CheckedStore, path: string, name: string | undefined): Found {
  const what = "the record of this container is lost";
  const kind = "container-unrecorded";
  if (name === undefined)
    return {
      kind,
      object: path,
      message: `${what}, and the copy beside its files cannot be read`,
      isRepairable: false,
      remedy: `its files are kept in ${path}: move them away when nobody needs them`,
    };
  return {
    kind,
    object: path,
    message: `${what}; a copy of it is there: ${name}`,
    isRepairable: store.live === undefined,
    ...(store.live === undefined
      ? {}
      : { remedy: "restart the daemon: it puts the container on record again" }),
  };
}

/** While a daemon runs; without one a task whose machine was started anew is no fault: the next daemon notes its end. */
function checkRunning(store: CheckedStore): Found[] {
  return store.containers
    .list()
    .filter((container) => isRunning(container) && store.live?.isBusy(container.id) !== true)
    .filter(({ state }) => !existsSync(`/proc/${state.pid}`) || !existsSync(`/proc/${state.monitorPid}`))
    .map(({ name, state }) => ({
      kind: "container-ended",
      object: name,
      message: `it is recorded as running, and process ${state.pid} or its monitor ${state.monitorPid} is gone`,
      remedy: "restart the daemon",
    }));
}

/** Tasks that may have something on the exec root: of containers that run, or may do so when they are on record again. */
function mayHaveTask(store: CheckedStore, id: string): boolean {
  return (
    isRunning(store.containers.byId(id)) ||
    store.live?.isBusy(id) === true ||
    store.containers.unrecorded(id) !== undefined
  );
}

/** Ids that have bundles, notes of monitors, states of runtimes or monitors on this exec root, and where. */
function tasksOnDisk({ execRoot }: CheckedStore): Map<string, string> {
  const places = [
    "containers",
    "monitors",
    "exits",
    ...namesIn(execRoot).filter((name) => /^runtime-(?!trial)/.test(name)),
  ];
  const ids = new Map<string, string>();
  for (const place of places)
    for (const name of namesIn(join(execRoot, place)))
      if (containerIdForm.test(name) && !ids.has(name)) ids.set(name, join(execRoot, place, name));
  for (const id of monitoredIds(execRoot)) if (!ids.has(id)) ids.set(id, "a monitor that runs");
  return ids;
}

/** What tasks have left that no running container has. */
function leftTasks(store: CheckedStore): Found[] {
  return [...tasksOnDisk(store)]
    .filter(([id]) => !mayHaveTask(store, id))
    .map(([id, where]) => ({
      kind: "task-leftover",
      object: id,
      message: `what is left of the task of a container that does not run: ${where}`,
    }));
}

/** Ids of the containers that conmon processes of this exec root look after. */
function monitoredIds(execRoot: string): string[] {
  const ids: string[] = [];
  const exits = join(realPath(execRoot), "exits");
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
      // The daemon may have been told another name of the same directory.
      const named = words[words.indexOf("--exit-dir") + 1] ?? "";
      const isOurs = words[0]?.endsWith("conmon") === true && realPath(named) === exits;
      if (isOurs && words[1] === "--cid" && containerIdForm.test(words[2] ?? "")) ids.push(words[2]!);
    } catch {
      // It ended meanwhile.
    }
  }
  return ids;
}

/** Mounts below the exec root's bundles and steps of builds that nobody should have any more. */
function leftMounts(store: CheckedStore): Found[] {
  // Mounts are known by their real paths, and the exec root may be a link.
  const execRoot = realPath(store.execRoot);
  const bundles = join(execRoot, "containers");
  const steps = join(execRoot, "build");
  const found: Found[] = [];
  for (const target of mountPoints()) {
    const isBundle = target.startsWith(`${bundles}/`);
    // Steps of builds come and go; the daemon's start removes what is left of them.
    const isStep = store.live === undefined && target.startsWith(`${steps}/`);
    const id = target.slice(bundles.length + 1).split("/")[0] ?? "";
    if (isStep || (isBundle && !mayHaveTask(store, id)))
      found.push({
        kind: "mount-leftover",
        object: target,
        message: "a mount of a container or a build step that is gone",
      });
  }
  return found;
}

/**
 * Daemons beside this one have their containers and steps of builds below the same parent: of a group that nothing says is
 * this one's only an empty one is left over.
 */
function leftCgroups(store: CheckedStore): Found[] {
  const roots = ["/sys/fs/cgroup", ...namesIn("/sys/fs/cgroup").map((name) => join("/sys/fs/cgroup", name))];
  const ids = new Set<string>();
  for (const root of roots) {
    const parent = join(root, store.cgroupParent);
    if (existsSync(join(parent, "cgroup.procs")))
      for (const name of namesIn(parent)) if (containerIdForm.test(name)) ids.add(name);
  }
  if (ids.size === 0) return [];
  const layout = detectCgroups();
  const isOwn = ownIds(store);
  return [...ids]
    .filter((id) => !mayHaveTask(store, id) && !isLiveStep(store, id))
    .map((id) => ({ id, path: `/${store.cgroupParent}/${id}`.replaceAll(/\/+/g, "/") }))
    .filter(({ id, path }) => isOwn(id) || isCgroupEmpty(layout, path))
    .map(({ path }) => ({
      kind: "cgroup-leftover",
      object: path,
      message: "the control group of a container that does not run",
    }));
}

/** A running daemon's builds have control groups beside those of containers. */
const isLiveStep = (store: CheckedStore, id: string): boolean =>
  store.live !== undefined && existsSync(join(store.execRoot, "build", id));

/** Tells the ids of this store's containers and steps of builds from those of others. */
export function ownIds(store: CheckedStore): (id: string) => boolean {
  const onDisk = tasksOnDisk(store);
  return (id) =>
    onDisk.has(id) ||
    store.containers.byId(id) !== undefined ||
    existsSync(join(store.execRoot, "build", id));
}
