import { existsSync, watch } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errorText } from "../base/errors.ts";
import { crashpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { parseRfc3339Ns, rfc3339Nano } from "../base/time.ts";
import type { ContainerRecord } from "../container/container.ts";
import { stoppedHealth } from "../container/health.ts";
import type { Task, TaskExit } from "../container/monitor.ts";
import { attemptNow } from "./attempt.ts";
import { emitDie, emitVolumeUnmounts, releaseTask } from "./container-cleanup.ts";
import { removeAutomatically } from "./container-remove.ts";
import { emitContainer, type EngineContext } from "./context.ts";
import { stopHealthChecks } from "./health-checks.ts";
import { containerPaths } from "./paths.ts";
import { nextDelayMs, wantsRestart } from "./restart-policy.ts";

/** After a failure to read an exit it is tried again, ms. */
const firstRetryMs = 500;
const longestRetryMs = 10_000;

/** Follows a running task to its end, whichever daemon started it. */
export function watchTask(context: EngineContext, task: Task): void {
  const live = context.live.of(task.containerId);
  live.exited = Promise.withResolvers();
  live.watchedSinceMs = performance.now();
  const { bundle } = containerPaths(context.config, task.containerId);
  watchMemory(context, task, bundle);
  void followTask(context, task, bundle);
}

/** An exit that cannot be read for a fault of the machine (no descriptor is left) is read when that has passed. */
async function followTask(context: EngineContext, task: Task, bundle: string): Promise<void> {
  for (let delayMs = firstRetryMs; ; delayMs = Math.min(delayMs * 2, longestRetryMs)) {
    try {
      await handleExit(context, task, await context.monitor.watch(task, bundle));
      return;
    } catch (error) {
      log.error(`could not handle the exit of container ${task.containerId}; it is tried again`, {
        error: error instanceof Error ? error : errorText(error),
      });
      await sleep(delayMs, undefined, { ref: false });
    }
  }
}

/**
 * Tells of a process that the kernel killed for the container's memory limit while others go on: conmon makes the file
 * `oom` then. Only containers with a limit are watched.
 */
function watchMemory(context: EngineContext, task: Task, bundle: string): void {
  const { hostConfig } = context.containers.byId(task.containerId) ?? {};
  if ((hostConfig?.Memory ?? 0) === 0) return;
  try {
    const watcher = watch(bundle, { persistent: false }, (_, name) => {
      if (name === "oom") noteOutOfMemory(context, task.containerId);
    });
    watcher.on("error", () => watcher.close());
    void context.live.of(task.containerId).exited?.promise.finally(() => watcher.close());
    if (existsSync(join(bundle, "oom"))) noteOutOfMemory(context, task.containerId);
  } catch (error) {
    // The container's end tells it in any case.
    log.debug("memory of a container is not watched", {
      container: task.containerId,
      error: errorText(error),
    });
  }
}

function noteOutOfMemory(context: EngineContext, id: string): void {
  const container = context.containers.byId(id);
  if (container === undefined || container.state.oomKilled) return;
  emitContainer(context, context.containers.updateState(id, { oomKilled: true }), "oom");
}

/**
 * What happens when a container's first process has ended: the exit is recorded and told before the slow part of the
 * cleaning is done, and before a policy restart or the removal of a `--rm` container.
 */
async function handleExit(context: EngineContext, task: Task, exit: TaskExit): Promise<void> {
  const { containerId: id } = task;
  using _ = await context.locks.acquire(id);
  const before = context.containers.byId(id);
  if (before === undefined || before.state.monitorPid !== task.monitorPid) return;
  const live = context.live.of(id);
  await live.signalsTold;
  stopHealthChecks(context, id);
  crashpoint("container-exit.before-record");
  const container = recordExit(context, before, exit);
  // A second try would find the exit on record and do nothing: each of these is done whatever became of the one before, so
  // that nobody waits for ever and no policy is stuck.
  attemptNow(`tell of the end of ${id}`, () => {
    crashpoint("container-exit.recorded");
    if (exit.oomKilled && !before.state.oomKilled) emitContainer(context, container, "oom");
    emitDie(context, container);
  });
  attemptNow(`release what ${id} ran with`, () => {
    void releaseTask(context, container);
    crashpoint("container-exit.network-released");
  });
  attemptNow(`finish the log and the volumes of ${id}`, () => {
    // With `--rm` the log goes too, and nobody needs it in the driver's form.
    if (container.hostConfig.AutoRemove !== true) context.background.add(context.logs.finish(container));
    emitVolumeUnmounts(context, container);
  });
  live.exited?.resolve();
  live.exited = undefined;
  const willRestart = !live.stopping && wantsRestart(container);
  attemptNow(`restart ${id}`, () => {
    if (willRestart) scheduleRestart(context, container, performance.now() - live.watchedSinceMs);
    crashpoint("container-exit.before-answer");
  });
  live.notifyExit({ StatusCode: container.state.exitCode });
  if (container.hostConfig.AutoRemove === true && !willRestart && !live.stopping)
    await removeAutomatically(context, container);
}

function recordExit(context: EngineContext, container: ContainerRecord, exit: TaskExit): ContainerRecord {
  for (const exec of context.execs.ofContainer(container.id))
    if (exec.task === undefined) exec.status = "exited";
  const startedNs = parseRfc3339Ns(container.state.startedAt) ?? 0n;
  return context.containers.updateState(container.id, {
    status: "exited",
    pid: 0,
    monitorPid: 0,
    exitCode: exit.exitCode,
    error: exit.error,
    oomKilled: exit.oomKilled || container.state.oomKilled,
    ...(container.state.health === undefined ? {} : { health: stoppedHealth(container.state.health) }),
    // The exit file is stamped by a coarser clock, which may lag behind the start of a short run.
    finishedAt: rfc3339Nano(exit.finishedAtNs > startedNs ? exit.finishedAtNs : startedNs),
  });
}

/**
 * Lets the restart policy start the container again after its delay; until then it is `restarting`. `ranMs` is how long
 * it ran, 0 when it could not even be started.
 */
export function scheduleRestart(context: EngineContext, container: ContainerRecord, ranMs: number): void {
  const live = context.live.of(container.id);
  live.restartDelayMs = nextDelayMs(live.restartDelayMs, ranMs);
  context.containers.updateState(container.id, { status: "restarting" });
  live.restartTimer = setTimeout(() => {
    live.restartTimer = undefined;
    context.background.add(context.live.restart(container.id));
  }, live.restartDelayMs);
}
