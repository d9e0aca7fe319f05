import { rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { conflict, errorText, isKind } from "../base/errors.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import type { ContainerRecord } from "../container/container.ts";
import { dropAnonymousVolume } from "./anonymous-volumes.ts";
import { removeBundle, taskLeftovers } from "./container-cleanup.ts";
import { cancelRestart } from "./cancel-restart.ts";
import { sendSignal } from "./container-kill.ts";
import { emitContainer, type EngineContext } from "./context.ts";
import { removeLink } from "./links.ts";
import { containerPaths } from "./paths.ts";

export interface RemoveOptions {
  readonly force: boolean;
  /** Remove its anonymous volumes, too. */
  readonly volumes: boolean;
  readonly link: boolean;
}

const sigkill = 9;

/** Removes a container; a running one only by force. Throws `conflict` with Docker's words, `notFound`. */
export async function containerRemove(
  context: EngineContext,
  nameOrId: string,
  options: RemoveOptions,
): Promise<void> {
  if (options.link) {
    removeLink(context, nameOrId);
    return;
  }
  const container = context.containers.resolve(nameOrId);
  if (!options.force) requireStopped(container);
  const live = context.live.of(container.id);
  if (live.isRemoving) throw conflict(`removal of container ${nameOrId} is already in progress`);
  live.isRemoving = true;
  try {
    await removeWhenEnded(context, container, options);
  } finally {
    live.isRemoving = false;
  }
}

async function removeWhenEnded(
  context: EngineContext,
  container: ContainerRecord,
  options: RemoveOptions,
): Promise<void> {
  // From here on neither its policy nor its `--rm` acts on the exit: this removal does.
  using _stopping = context.live.of(container.id).beginStop();
  for (;;) {
    if (options.force) await killAndAwait(context, container);
    using _lock = await context.locks.acquire(container.id);
    const current = context.containers.byId(container.id);
    if (current === undefined) return;
    if (!options.force) requireStopped(current);
    const { status } = current.state;
    // Somebody started it meanwhile.
    if (status === "running" || status === "paused") continue;
    await removeLocked(context, cancelRestart(context, current), options);
    return;
  }
}

/** Throws Docker's `conflict` for a container that only force removes. */
function requireStopped({ name, state: { status } }: ContainerRecord): void {
  if (status === "paused")
    throw conflict(`cannot remove container "/${name}": container is paused and must be unpaused first`);
  if (status === "running" || status === "restarting")
    throw conflict(
      `cannot remove container "/${name}": container is ${status}: stop the container before removing or force remove`,
    );
}

async function killAndAwait(context: EngineContext, container: ContainerRecord): Promise<void> {
  const exited = context.live.of(container.id).exited;
  if (exited === undefined) return;
  try {
    await sendSignal(context, container, sigkill);
  } catch (error) {
    if (!isKind(error, "notFound", "conflict")) throw error;
  }
  await exited.promise;
}

/**
 * Removes a stopped container whose lock the caller holds. The record goes first: with it the container is gone for
 * everybody, and what a crash leaves of the rest has no record and is swept at the next start.
 */
export async function removeLocked(
  context: EngineContext,
  container: ContainerRecord,
  options: { readonly volumes: boolean },
): Promise<void> {
  const { id } = container;
  const live = context.live.of(id);
  if (options.volumes) noteUnownedVolumes(context, container);
  crashpoint("container-remove.before-record");
  try {
    context.containers.remove(id);
  } catch (error) {
    // The container stays, and its volumes with it.
    rmSync(containerPaths(context.config, id).unownedVolumes, { force: true });
    throw error;
  }
  const volumesRemoved = Promise.withResolvers<void>();
  using _volumes = { [Symbol.dispose]: () => volumesRemoved.resolve() };
  context.background.add(
    removeFiles(context, container, { before: live.cleanup, volumesRemoved: volumesRemoved.promise }),
  );
  try {
    failpoint("container-remove.after-record");
    context.execs.forgetContainer(id);
  } finally {
    // The container is gone whatever fails: nobody could remove them with it any more.
    if (options.volumes) await removeAnonymousVolumes(context, container);
  }
  crashpoint("container-remove.before-answer");
  emitContainer(context, container, "destroy");
  live.notifyRemoval({ StatusCode: container.state.exitCode });
  for (const pending of live.pending) pending.giveUp();
  context.live.forget(id);
}

/** Removes a `--rm` container whose lock the caller holds. A failure is told to those who wait for the removal. */
export async function removeAutomatically(context: EngineContext, container: ContainerRecord): Promise<void> {
  try {
    await removeLocked(context, container, { volumes: true });
  } catch (error) {
    log.error(`could not remove container ${container.id} after its end`, { error: errorText(error) });
    const Message = errorText(error);
    context.live.of(container.id).notifyRemoval({ StatusCode: container.state.exitCode, Error: { Message } });
  }
}

async function removeFiles(
  context: EngineContext,
  container: ContainerRecord,
  others: { readonly before: Promise<void>; readonly volumesRemoved: Promise<void> },
): Promise<void> {
  const { id } = container;
  await others.before;
  const { directory } = containerPaths(context.config, id);
  const below = layersBelow(context, id);
  await context.leftovers.run(`files of ${id}`, `remove the files of container ${id}`, async () => {
    // A layer that is still mounted stays.
    await context.leftovers.finish(taskLeftovers(id));
    await context.logs.discard(container);
    crashpoint("container-remove.log-discarded");
    removeBundle(context, id);
    context.snapshotter.remove(id);
    crashpoint("container-remove.snapshot-removed");
    // Its image was removed by force: the layers waited for it.
    if (context.images.byId(container.imageId) === undefined) context.imageWork?.collect(below);
    // It says which volumes are to go: it stays until they are gone.
    await others.volumesRemoved;
    await rm(directory, { recursive: true, force: true });
    crashpoint("container-remove.directory-removed");
  });
}

/** The committed layers that a container stands on, by chainID. */
function layersBelow(context: EngineContext, id: string): Set<string> {
  const parents = new Map(context.snapshotter.list().map(({ key, parent }) => [key, parent]));
  const found = new Set<string>();
  for (let key = parents.get(id); key !== undefined; key = parents.get(key)) found.add(key);
  return found;
}

/** With its record gone, nothing else would tell a crash's next daemon which volumes were to go with a container. */
function noteUnownedVolumes(context: EngineContext, container: ContainerRecord): void {
  const names = anonymousVolumes(context, container);
  if (names.length === 0) return;
  try {
    writeFileSync(containerPaths(context.config, container.id).unownedVolumes, names.join("\n"));
  } catch (error) {
    // A full disk is no reason to keep the container.
    log.warn(`could not note the volumes of ${container.id}`, { error: errorText(error) });
  }
}

function anonymousVolumes(context: EngineContext, { mounts }: ContainerRecord): string[] {
  return mounts.flatMap(({ Type, Name }) =>
    Type === "volume" && Name !== undefined && context.volumes.isAnonymous(Name) ? [Name] : [],
  );
}

async function removeAnonymousVolumes(context: EngineContext, container: ContainerRecord): Promise<void> {
  const drivers = new Map(container.mounts.map(({ Name, Driver }) => [Name, Driver]));
  for (const name of anonymousVolumes(context, container))
    await dropAnonymousVolume(context, name, drivers.get(name) ?? "local");
}
