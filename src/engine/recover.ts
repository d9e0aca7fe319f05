/**
 * Start-up: brings the records together with what is really there, after a stop, a crash or a reboot of the machine.
 * Running containers are taken over as they are; what has no record is removed.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { nowRfc3339, zeroTime } from "../base/time.ts";
import type { ContainerRecord } from "../container/container.ts";
import { containerIdForm } from "../container/record-copies.ts";
import { attempt, attemptNow } from "./attempt.ts";
import { rescueImages, restoreImages } from "./check/rescue-images.ts";
import { releaseTask, removeBundle } from "./container-cleanup.ts";
import { unmountVolumes, volumeNames } from "./volume-mounts.ts";
import { scheduleRestart, watchTask } from "./container-exit.ts";
import { removeLocked } from "./container-remove.ts";
import { startLocked } from "./container-start.ts";
import type { EngineContext } from "./context.ts";
import { startHealthChecks } from "./health-checks.ts";
import { restoreLayers } from "./image-restore.ts";
import { dropUnrecordedEndpoints } from "./networks.ts";
import { requireOwnTasks } from "./other-exec-root.ts";
import { containerPaths } from "./paths.ts";
import { wantsStartWithDaemon } from "./restart-policy.ts";

/**
 * Runs before the API listens. Containers whose policy asks for it are started afterwards, by {@link startByPolicy}. Throws
 * `conflict` when containers run that were started with another exec root.
 */
export async function recover(context: EngineContext): Promise<void> {
  const { config } = context;
  requireOwnTasks(context);
  mkdirSync(join(config.dataRoot, "containers"), { recursive: true, mode: 0o710 });
  mkdirSync(join(config.execRoot, "containers"), { recursive: true, mode: 0o711 });
  await restoreRecords(context);
  // A leftover that cannot be removed is no reason not to start.
  attemptNow("remove unfinished downloads", () => context.content.sweep());
  attemptNow("remove unfinished layers", () => context.snapshotter.sweep());
  await restoreLayers(context);
  await sweepBundles(context);
  await context.network.restore(
    (id) => isRecordedAsRunning(context.containers.byId(id)) && hasBundle(context, id),
  );
  await dropUnrecordedEndpoints(context);
  for (const container of context.containers.list()) await takeOver(context, container);
  restoreDirectories(context);
  await attempt("unmount volumes that nobody uses", () => context.volumes.unmountUnused());
  await sweepFiles(context);
}

/**
 * Before anything is taken for a leftover: containers whose records were lost with an older database in the place of the
 * present one, or with what it had written last. With them may have gone those of images.
 */
async function restoreRecords(context: EngineContext): Promise<void> {
  let restored: ContainerRecord[] = [];
  // What has none meanwhile is not swept.
  attemptNow("put containers on record again", () => (restored = context.containers.restoreLost()));
  context.containers.refreshCopies();
  for (const { id, name } of restored)
    log.warn("a container's record was lost; it has one again by the copy beside its files", {
      container: id,
      name,
    });
  await attempt("give images their records again", () => restoreImageRecords(context, restored));
}

async function restoreImageRecords(
  context: EngineContext,
  restored: readonly ContainerRecord[],
): Promise<void> {
  const { images, config } = context;
  const outcomes = [await restoreImages(context)];
  images.refreshCopies();
  // Of those that they have there may be no note, when an earlier version made them. (Others may have lost theirs by force.)
  if (restored.some(({ imageId }) => images.byId(imageId) === undefined))
    outcomes.push(await rescueImages(context, config.dataRoot));
  for (const { rescued, unread } of outcomes) {
    for (const { id, repoTags } of rescued)
      log.warn("an image's record was lost; it has one again", { image: id, names: repoTags.join(", ") });
    for (const { name, reason } of unread)
      log.error("an image's record is lost, and it cannot be read; its files are kept", {
        image: name,
        error: reason,
      });
  }
}

function isRecordedAsRunning(container: ContainerRecord | undefined): boolean {
  return (
    container !== undefined && (container.state.status === "running" || container.state.status === "paused")
  );
}

function hasBundle(context: EngineContext, id: string): boolean {
  return existsSync(containerPaths(context.config, id).bundle);
}

/** Ends and removes tasks that were never recorded as running: their start was cut off in the middle. */
async function sweepBundles(context: EngineContext): Promise<void> {
  for (const id of readdirSync(join(context.config.execRoot, "containers"))) {
    const container = context.containers.byId(id);
    if (isRecordedAsRunning(container)) continue;
    log.info("removing what is left of an unfinished start or removal", { container: id });
    // Its runtime may be configured no more: that is no reason not to start.
    await attempt(`delete ${id} from the runtime`, () =>
      context.monitor.delete(
        id,
        context.monitor.recordedRuntime(id) ?? context.runtimes.get(container?.runtime ?? ""),
      ),
    );
    removeBundle(context, id);
    if (container === undefined) continue;
    // Its plugins were perhaps told that it uses them.
    for (const name of volumeNames(container)) context.volumes.adopt(name, id);
    await unmountVolumes(context, container, id);
  }
}

/** Watches a container that runs, or records the end of one that ended while no daemon was there. */
async function takeOver(context: EngineContext, container: ContainerRecord): Promise<void> {
  const { id, state } = container;
  if (isRecordedAsRunning(container)) {
    if (hasBundle(context, id)) {
      context.logs.resume(container);
      context.monitor.endLeftExecs(id, containerPaths(context.config, id).bundle);
      for (const name of volumeNames(container)) context.volumes.adopt(name, id);
      watchTask(context, { containerId: id, pid: state.pid, monitorPid: state.monitorPid });
      // An exit that happened meanwhile is recorded before the first request can ask for it.
      if (!isAlive(state.monitorPid)) await context.live.of(id).exited?.promise;
      else if (state.status === "running") startHealthChecks(context, container);
    } else {
      // The exec root is a tmpfs: no bundle means that the machine was started anew.
      context.containers.updateState(id, {
        status: "exited",
        pid: 0,
        monitorPid: 0,
        exitCode: 255,
        finishedAt: nowRfc3339(),
      });
      void releaseTask(context, container);
    }
  } else if (state.status === "restarting") context.containers.updateState(id, { status: "exited" });
  const current = context.containers.byId(id);
  // A `--rm` container that ended meanwhile is removed by the handling of its exit.
  if (current === undefined) return;
  if (!isRecordedAsRunning(current)) context.background.add(context.logs.finish(current));
  const isOver = current.state.status === "exited" || current.state.status === "dead";
  if (isOver && current.hostConfig.AutoRemove === true) {
    using _ = await context.locks.acquire(id);
    if (context.containers.byId(id) !== undefined) await removeLocked(context, current, { volumes: true });
  }
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

/**
 * After a loss of power a record may be there without what was made just before it: the file system's journal may lag
 * behind. A container that was never started has nothing of its own yet: its writable layer is made again.
 */
function restoreDirectories(context: EngineContext): void {
  const { containers, images, snapshotter } = context;
  for (const key of snapshotter.unattached()) {
    const container = containers.byId(key);
    const image = container === undefined ? undefined : images.byId(container.imageId);
    log.warn("it is not on the disk what a writable layer stands on", {
      container: container?.name ?? key,
      image: image?.id ?? "unknown",
    });
    if (image !== undefined)
      attemptNow("put a writable layer on its image again", () => snapshotter.attach(key, image.chainId));
  }
  for (const { id, name, imageId, state, snapshotDriver } of containers.list()) {
    const { directory } = containerPaths(context.config, id);
    if (!existsSync(directory)) mkdirSync(directory, { recursive: true, mode: 0o710 });
    if (snapshotter.has(id) || snapshotDriver !== snapshotter.name) continue;
    const image = images.byId(imageId);
    if (state.startedAt !== zeroTime || image === undefined) {
      log.error("the writable layer of a container is gone", { container: name });
      continue;
    }
    log.warn(
      "a container's writable layer was not on the disk when the machine went down; it is made again",
      {
        container: name,
      },
    );
    try {
      snapshotter.prepare(id, image.chainId);
    } catch (error) {
      log.error("it could not be made", { container: name, error: errorText(error) });
    }
  }
}

/**
 * Removes container directories and writable layers that have no record and never had: what a create or a removal that was
 * cut off has left. What says that it had one, or says nothing of the kind and has files in it, is kept.
 */
async function sweepFiles(context: EngineContext): Promise<void> {
  const { containers, snapshotter } = context;
  const directory = join(context.config.dataRoot, "containers");
  const ids = readdirSync(directory).filter((name) => containerIdForm.test(name));
  for (const id of ids) {
    if (containers.byId(id) !== undefined) continue;
    if (containers.unrecorded(id) !== undefined) {
      log.error("the record of a container is lost, and could not be had of its copy: its files are kept", {
        id,
      });
      continue;
    }
    for (const name of unownedVolumes(context, id))
      await attempt(`remove volume ${name}`, () => context.volumes.remove(name));
    await attempt(`remove ${id}`, () => rm(join(directory, id), { recursive: true, force: true }));
  }
  for (const { key, kind } of snapshotter.list()) {
    if (kind !== "active" || containers.byId(key) !== undefined) continue;
    if (containers.unrecorded(key) !== undefined) continue;
    // A create makes it before the directory, a removal removes it before that.
    if (containerIdForm.test(key) && !ids.includes(key) && hasChanges(context, key)) {
      log.error("a writable layer belongs to no container and has files in it: it is kept", { id: key });
      continue;
    }
    await attempt(`remove snapshot ${key}`, () => snapshotter.remove(key));
  }
  // A daemon that was killed leaves its temporary files.
  attemptNow("remove temporary files", () =>
    rmSync(join(context.config.dataRoot, "tmp"), { recursive: true, force: true }),
  );
}

function hasChanges({ snapshotter }: EngineContext, key: string): boolean {
  try {
    return snapshotter.changes(key, new Set()).changes.length > 0;
  } catch {
    return true;
  }
}

/** Anonymous volumes of a container that was never put on record, or was being removed with them. */
function unownedVolumes(context: EngineContext, id: string): string[] {
  const path = containerPaths(context.config, id).unownedVolumes;
  if (!existsSync(path)) return [];
  const inUse = new Set(context.containers.list().flatMap(({ mounts }) => mounts.map(({ Name }) => Name)));
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((name) => name !== "" && context.volumes.isAnonymous(name) && !inUse.has(name));
}

/** Starts what restart policies want started with the daemon. Failures are logged; a policy tries again by itself. */
export async function startByPolicy(context: EngineContext): Promise<void> {
  for (const { id } of context.containers.list().filter(wantsStartWithDaemon)) {
    using _ = await context.locks.acquire(id);
    const container = context.containers.byId(id);
    if (container === undefined || container.state.status !== "exited") continue;
    try {
      await startLocked(context, container);
    } catch (error) {
      log.warn(`could not start container ${container.name} for its restart policy`, {
        error: errorText(error),
      });
      // What it needs may come a little later than the daemon, at the machine's start.
      const failed = context.containers.byId(id);
      if (failed === undefined || !wantsStartWithDaemon(failed)) continue;
      // Also one that was stopped before, with `always`.
      context.containers.updateState(id, { stoppedByUser: false });
      scheduleRestart(context, failed, 0);
    }
  }
}
