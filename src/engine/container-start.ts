import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { conflict, EngineError, errorText, firstError } from "../base/errors.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { asMachineFault } from "../base/machine-fault.ts";
import { nowRfc3339, zeroTime } from "../base/time.ts";
import type { ContainerRecord } from "../container/container.ts";
import type { RuntimeBinary, Task } from "../container/monitor.ts";
import { type DeviceEdits, deviceEdits } from "../container/cdi.ts";
import { buildSpec, type JoinedNamespaces } from "../container/spec.ts";
import { probeCommand, startingHealth } from "../container/health.ts";
import { kernelLimits } from "../container/kernel-limits.ts";
import { allowRealtime } from "../linux/cgroup.ts";
import { mount, removeMountDirectory, unmount, unmountAll } from "../linux/mount.ts";
import type { Sandbox } from "../network/network.ts";
import { attempt } from "./attempt.ts";
import { checkBindSources } from "./container-mounts.ts";
import { dropTask, emitVolumeUnmounts, releaseNetwork, taskLeftovers } from "./container-cleanup.ts";
import { watchTask } from "./container-exit.ts";
import { labelledMounts, relabelMounts, relabelNetworkFiles } from "./container-labels.ts";
import { removeAutomatically } from "./container-remove.ts";
import { writeBfqWeights } from "./container-update.ts";
import { openSandbox, withOwnersName } from "./container-sandbox.ts";
import { emitContainer, type EngineContext } from "./context.ts";
import { startFailureCode } from "./exec.ts";
import { startHealthChecks } from "./health-checks.ts";
import { linkVariables } from "./links.ts";
import type { PendingAttach } from "./live.ts";
import { nameFilePaths, writeNetworkFiles } from "./network-files.ts";
import { emitNetwork } from "./networks.ts";
import { containerPaths, type ContainerPaths } from "./paths.ts";
import { prepareMounts } from "./prepared-mounts.ts";
import {
  dropUserNamespace,
  giveToRoot,
  mountRemapped,
  openUserNamespace,
  type UserNamespace,
} from "./remapped.ts";
import { joinedNamespaces, makeSharedMemory } from "./shared-namespaces.ts";
import { mountVolumes, unmountVolumes } from "./volume-mounts.ts";

/** Starts a container. Throws `notModified` when it runs, `conflict` when it can't be started as it is. */
export async function containerStart(context: EngineContext, nameOrId: string): Promise<void> {
  const { id } = context.containers.resolve(nameOrId);
  using _ = await context.locks.acquire(id);
  const container = context.containers.resolve(id);
  const { status } = container.state;
  if (status === "running") throw new EngineError("notModified", `container ${nameOrId} is already running`);
  if (status === "paused") throw conflict("cannot start a paused container, try unpause instead");
  if (status === "removing" || status === "dead")
    throw conflict("container is marked for removal and cannot be started");
  const live = context.live.of(id);
  clearTimeout(live.restartTimer);
  live.restartDelayMs = 0;
  await startLocked(context, context.containers.update(id, { restartCount: 0 }));
}

/**
 * Starts a stopped container whose lock the caller holds. Every acquisition registers its undo on the next line, so
 * that a failure half-way leaves nothing; it is noted in the record (Docker's 126, 127, 128) and a `--rm` container goes.
 */
export async function startLocked(context: EngineContext, container: ContainerRecord): Promise<void> {
  const { id } = container;
  await context.live.of(id).cleanup;
  let task: Task;
  try {
    await context.leftovers.finish(taskLeftovers(id));
    task = await startTask(context, container);
  } catch (thrown) {
    const error = asMachineFault(firstError(thrown));
    if (thrown instanceof SuppressedError)
      log.warn("a start that failed could not be undone at once", {
        container: id,
        error: thrown.error as unknown,
      });
    await noteFailure(context, container, error);
    throw error;
  }
  watchTask(context, task);
  startHealthChecks(context, context.containers.resolve(container.id));
}

/** What a start has so far, for the steps that follow. */
interface Start {
  readonly context: EngineContext;
  readonly paths: ContainerPaths;
  /** Undoes the steps that are done, last first, when one fails. */
  readonly undo: AsyncDisposableStack;
  readonly userNamespace: UserNamespace | undefined;
}

async function startTask(context: EngineContext, recorded: ContainerRecord): Promise<Task> {
  const paths = containerPaths(context.config, recorded.id);
  const runtime = context.runtimes.get(recorded.runtime);
  await using undo = new AsyncDisposableStack();

  checkBindSources(recorded.mounts);
  const joined = joinedNamespaces(context, recorded);
  const linkEnv = linkVariables(context, recorded);
  const devices = await requestedDevices(context, recorded);
  makeBundle(context, recorded, paths, undo);
  await using userNamespace = await openUserNamespace(context, recorded, paths);
  const start: Start = { context, paths, undo, userNamespace };
  makeOwnSharedMemory(start, recorded);
  const mounted = await mountContainerVolumes(start, recorded, linkEnv);
  const sandbox = await connectNetworks(start, mounted);
  const container = withOwnersName(context, mounted);
  mountLayers(start, container);
  await writeFiles(start, container, { sandbox, joined, devices });
  allowRealtimeShares(context, container);
  failpoint("container-start.after-files");
  const task = await createTask(start, container, runtime);
  // Attached clients are connected before the program can write its first byte. conmon looks for ended children before it
  // looks for connections: one that it has not accepted by the end of a short program gets nothing of its output.
  await Promise.all([...context.live.of(container.id).pending].map((pending) => pending.connect()));
  await context.monitor.start(container.id, runtime);
  failpoint("container-start.before-record");
  // A container that runs must be on record: a daemon that finds one that is not would end it.
  const started = recordRunning(context, container, task);
  crashpoint("container-start.recorded");
  undo.move();
  // Those who came between the two saw a container that did not run yet.
  for (const pending of context.live.of(container.id).pending) connectLate(container.id, pending);
  emitContainer(context, started, "start");
  return task;
}

async function requestedDevices(
  context: EngineContext,
  { hostConfig }: ContainerRecord,
): Promise<DeviceEdits | undefined> {
  const requests = hostConfig.DeviceRequests ?? [];
  return requests.length > 0 ? await deviceEdits(requests, context.config.cdiDirectories) : undefined;
}

function makeBundle(
  context: EngineContext,
  container: ContainerRecord,
  paths: ContainerPaths,
  undo: AsyncDisposableStack,
): void {
  // What the monitor could not undo by itself, and then the bundle.
  undo.defer(() =>
    context.monitor.recordedRuntime(container.id) === undefined
      ? removeMountDirectory(paths.bundle)
      : dropTask(context, container),
  );
  mkdirSync(paths.rootfs, { recursive: true, mode: 0o711 });
  failpoint("container-start.after-bundle");
  undo.defer(() => dropUserNamespace(paths));
}

function makeOwnSharedMemory({ paths, undo, userNamespace }: Start, container: ContainerRecord): void {
  const { hostConfig, mountLabel } = container;
  if (hostConfig.IpcMode !== "shareable") return;
  makeSharedMemory(paths.shm, hostConfig.ShmSize!, { map: userNamespace?.map, mountLabel });
  undo.defer(() => void unmount(paths.shm));
}

/** Mounts the volumes; returns the container's record, with where they are and the variables of its links. */
async function mountContainerVolumes(
  { context, undo }: Start,
  recorded: ContainerRecord,
  linkEnv: readonly string[],
): Promise<ContainerRecord> {
  const { id } = recorded;
  undo.defer(() => unmountVolumes(context, recorded, id));
  const mounts = await mountVolumes(context, recorded, id);
  const hasMoved = mounts.some((mount, index) => mount !== recorded.mounts[index]);
  const hasLinks = linkEnv.length > 0 || recorded.linkEnv !== undefined;
  const container = hasMoved || hasLinks ? context.containers.update(id, { mounts, linkEnv }) : recorded;
  await relabelMounts(context, container, mounts);
  failpoint("container-start.after-volumes");
  return container;
}

/** Opens the sandbox and tells of it, and of the volumes: Docker's order of events. */
async function connectNetworks(
  { context, undo, userNamespace }: Start,
  container: ContainerRecord,
): Promise<Sandbox | undefined> {
  let areMountsTold = false;
  undo.defer(() => {
    if (areMountsTold) emitVolumeUnmounts(context, container);
  });
  const sandbox = await openSandbox(context, container, userNamespace?.pid);
  undo.defer(() => releaseNetwork(context, container.id));
  emitConnects(context, container, sandbox);
  emitVolumeMounts(context, container);
  areMountsTold = true;
  failpoint("container-start.after-network");
  return sandbox;
}

function mountLayers({ context, paths, undo, userNamespace }: Start, container: ContainerRecord): void {
  undo.defer(() => void unmount(paths.rootfs));
  const layers = labelledMounts(context.snapshotter.mounts(container.id), container.mountLabel);
  if (userNamespace !== undefined)
    mountRemapped(layers, paths.rootfs, { ownersFd: userNamespace.ownersFd, isContainer: true });
  else for (const layer of layers) mount(layer, paths.rootfs);
  failpoint("container-start.after-mount");
}

/** The mounts that need preparing, the files of names, and the bundle's config.json. */
async function writeFiles(
  { context, paths, undo, userNamespace }: Start,
  container: ContainerRecord,
  parts: Pick<BundleParts, "sandbox" | "joined" | "devices">,
): Promise<void> {
  undo.defer(() => unmountAll(paths.mounts));
  const mounts = prepareMounts(context, container, paths.mounts, userNamespace?.ownersFd);
  writeNetworkFiles(context, container, parts.sandbox);
  await relabelNetworkFiles(context, container);
  if (userNamespace !== undefined)
    giveToRoot(userNamespace.map, [paths.hosts, paths.hostname, paths.resolvConf]);
  writeBundle(context, { ...container, mounts }, paths, { ...parts, userNamespace });
}

/** Realtime time has to be given to the parents of a group, too. */
function allowRealtimeShares(context: EngineContext, { hostConfig }: ContainerRecord): void {
  const cgroupParent = hostConfig.CgroupParent || context.config.cgroupParent;
  const { cpuRealtime } = context.config;
  if (cpuRealtime.runtimeUs > 0 && kernelLimits().cpuRealtime)
    allowRealtime(context.cgroups, cgroupParent, cpuRealtime);
  if ((hostConfig.CpuRealtimeRuntime ?? 0) > 0)
    allowRealtime(context.cgroups, cgroupParent, {
      periodUs: hostConfig.CpuRealtimePeriod ?? 0,
      runtimeUs: hostConfig.CpuRealtimeRuntime!,
    });
}

/** The monitor and the program, which waits to be let go. */
async function createTask(
  { context, paths, undo }: Start,
  container: ContainerRecord,
  runtime: RuntimeBinary,
): Promise<Task> {
  const { id, config, hostConfig } = container;
  const logPath = await context.logs.open(container);
  undo.defer(() => context.logs.finish(container));
  const task = await context.monitor.create({
    containerId: id,
    bundle: paths.bundle,
    logPath,
    runtime,
    terminal: config.Tty === true,
    openStdin: config.OpenStdin === true,
    leaveStdinOpen: config.StdinOnce !== true,
    cgroupParent: context.config.cgroupParent,
  });
  undo.defer(() => attempt(`delete ${id} from the runtime`, () => context.monitor.delete(id, runtime)));
  writeBfqWeights(context, id, hostConfig);
  context.logs.follow(id);
  failpoint("container-start.after-create");
  return task;
}

function recordRunning(
  context: EngineContext,
  { id, config, state }: ContainerRecord,
  task: Task,
): ContainerRecord {
  return context.containers.update(id, {
    state: {
      status: "running",
      pid: task.pid,
      monitorPid: task.monitorPid,
      exitCode: 0,
      error: "",
      oomKilled: false,
      startedAt: nowRfc3339(),
      finishedAt: state.finishedAt,
      stoppedByUser: false,
      ...(probeCommand(config) === undefined ? {} : { health: startingHealth(state.health) }),
    },
  });
}

/** The container runs and is on record: a stream that cannot be had (a short program has ended) is no failure of its start. */
function connectLate(id: string, pending: PendingAttach): void {
  const giveUp = (error: unknown): void => {
    log.debug("a client came too late for a container's output", { container: id, error: errorText(error) });
    pending.giveUp();
  };
  try {
    pending.connect().catch(giveUp);
  } catch (error) {
    giveUp(error);
  }
}

interface BundleParts {
  readonly sandbox: Sandbox | undefined;
  readonly joined: JoinedNamespaces;
  readonly devices: DeviceEdits | undefined;
  readonly userNamespace: UserNamespace | undefined;
}

function writeBundle(
  context: EngineContext,
  container: ContainerRecord,
  paths: ContainerPaths,
  { sandbox, joined, devices, userNamespace }: BundleParts,
): void {
  const { spec, warnings } = buildSpec(container, {
    rootfs: paths.rootfs,
    sandboxPath: sandbox?.path,
    deviceEdits: devices,
    userNamespace,
    defaults: context.config.containerDefaults,
    joined: container.hostConfig.IpcMode === "shareable" ? { ...joined, shm: paths.shm } : joined,
    cgroupPath: `/${container.hostConfig.CgroupParent || context.config.cgroupParent}/${container.id}`,
    ...nameFilePaths(context, container),
  });
  for (const warning of warnings) log.warn(warning, { container: container.id });
  writeFileSync(join(paths.bundle, "config.json"), JSON.stringify(spec));
}

function emitConnects(
  context: EngineContext,
  container: ContainerRecord,
  sandbox: Sandbox | undefined,
): void {
  if (sandbox?.containerId !== container.id) return;
  for (const endpoint of sandbox.endpoints) emitNetwork(context, "connect", container.id, endpoint);
}

function emitVolumeMounts(context: EngineContext, container: ContainerRecord): void {
  for (const { Type, Name, Driver, Destination, RW, Propagation } of container.mounts)
    if (Type === "volume" && Name !== undefined)
      context.events.emit("volume", "mount", Name, {
        container: container.id,
        destination: Destination,
        driver: Driver ?? "local",
        propagation: Propagation,
        "read/write": String(RW),
      });
}

async function noteFailure(
  context: EngineContext,
  container: ContainerRecord,
  error: unknown,
): Promise<void> {
  const message = errorText(error);
  const notStartable =
    /executable file not found|no such file or directory|permission denied|is a directory/i.test(message);
  // A start that failed for another reason leaves a never-started container as it was made.
  const exitCode = notStartable ? startFailureCode(message) : 128;
  const failed = context.containers.updateState(container.id, {
    status: container.state.startedAt === zeroTime ? "created" : "exited",
    pid: 0,
    monitorPid: 0,
    exitCode,
    error: message,
  });
  const live = context.live.of(container.id);
  for (const pending of live.pending) pending.giveUp();
  // Whoever asked for this start learns it from the answer; who waits for a restarting one, that this was its end.
  if (container.state.status === "restarting") live.notifyExit({ StatusCode: exitCode });
  if (container.hostConfig.AutoRemove === true) await removeAutomatically(context, failed);
}
