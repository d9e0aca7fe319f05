/** Running a RUN: a container like all others, without a record, whose files become a layer. */
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, closeSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { EngineError, errorText } from "../base/errors.ts";
import { failpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { zeroTime } from "../base/time.ts";
import type { DeviceEdits } from "../container/cdi.ts";
import { type ContainerRecord, newContainerState } from "../container/container.ts";
import { plainDefaults } from "../container/defaults.ts";
import { lastRuntimeMessage } from "../container/runtime-error.ts";
import type { RuntimeBinary } from "../container/monitor.ts";
import { checkMountPlaces } from "../container/mount-places.ts";
import { buildSpec } from "../container/spec.ts";
import { detectCgroups, endCgroup } from "../linux/cgroup.ts";
import { mount, removeMountDirectory, unmount } from "../linux/mount.ts";
import { openPipe, runProcess, spawnProcess } from "../linux/spawn.ts";
import { hostsFileFor, readHostResolvConf, resolvConfFor } from "../network/name-files.ts";
import type { Sandbox } from "../network/network.ts";
import type { RuntimeMount } from "../oci/runtime-spec.ts";
import type { HostConfig } from "../wire/container.ts";
import type { BuildLimits } from "./build.ts";
import type { BuildHost } from "./host.ts";
import { stepsDirectory } from "./layers.ts";

export interface StepRun {
  /** 64 hex digits; names the container. */
  readonly id: string;
  /** Active snapshot that is its root. */
  readonly snapshot: string;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly workingDirectory: string;
  readonly user: string;
  /** `none`, `host`, or the name of a network. */
  readonly network: string;
  readonly privileged: boolean;
  readonly extraHosts: readonly string[];
  readonly hostname: string;
  readonly limits: BuildLimits;
  /** Of `RUN --device`. */
  readonly devices: DeviceEdits | undefined;
  /** Made ready by the caller; in the order in which they are mounted. */
  readonly mounts: readonly RuntimeMount[];
  /** A promise: no more of the stream is read before it resolves. */
  readonly onOutput: (stream: "stdout" | "stderr", data: Uint8Array) => Promise<void> | undefined;
  readonly signal: AbortSignal;
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const environment = { PATH: searchPath, HOME: "/root" };

/** The id of a step's container. */
export const stepContainerId = (): string => randomBytes(32).toString("hex");

/** What every container has mounted: places for it are no changes. */
export const mountPlaces: readonly string[] = (
  "dev dev/console dev/mqueue dev/pts dev/shm etc/hostname etc/hosts etc/mtab etc/resolv.conf proc run/.containerenv " +
  "sys sys/fs/cgroup .dockerenv"
).split(" ");

/**
 * Runs the command to its end and returns its exit code. Nothing of the container is left then, whatever happened; its
 * snapshot is the caller's. Throws when it could not be started, and what `signal` was aborted with.
 */
export async function runStep(host: BuildHost, step: StepRun): Promise<number> {
  const directory = join(stepsDirectory(host), step.id);
  const rootfs = join(directory, "rootfs");
  const runtime = host.runtimes().get("");
  await using undo = new AsyncDisposableStack();
  step.signal.throwIfAborted();
  mkdirSync(rootfs, { recursive: true, mode: 0o711 });
  undo.defer(() => removeMountDirectory(directory));
  const sandbox = await openSandbox(host, step);
  undo.defer(() => {
    if (sandbox !== undefined) host.network.close(step.id);
  });
  failpoint("build-run.after-network");
  for (const layer of host.snapshotter.mounts(step.snapshot)) mount(layer, rootfs);
  undo.defer(() => void unmount(rootfs));
  const cgroup = `/${step.limits.cgroupParent || host.config.cgroupParent}/${step.id}`;
  failpoint("build-run.after-mount");
  writeBundle(host, step, { directory, rootfs, sandbox, cgroup });
  undo.defer(() => endCgroup(detectCgroups(), cgroup));
  undo.defer(() => deleteContainer(runtime, directory, step.id));
  failpoint("build-run.before-start");
  // From here on `execute` listens for the abort.
  step.signal.throwIfAborted();
  const exitCode = await execute(runtime, directory, step);
  failpoint("build-run.after-exit");
  return exitCode;
}

function writeBundle(
  host: BuildHost,
  step: StepRun,
  place: {
    readonly directory: string;
    readonly rootfs: string;
    readonly sandbox: Sandbox | undefined;
    readonly cgroup: string;
  },
): void {
  const { directory, rootfs, sandbox, cgroup } = place;
  const files = writeNameFiles(host, step, directory, sandbox);
  const record = stepRecord(host, step);
  const { spec, warnings } = buildSpec(record, {
    rootfs,
    sandboxPath: sandbox?.path,
    cgroupPath: cgroup,
    deviceEdits: step.devices,
    // What a step runs is not asked to be more than one process.
    defaults: { ...(host.config.containerDefaults ?? plainDefaults), init: false },
    ...files,
  });
  for (const warning of warnings) log.debug(warning, { step: step.id });
  // A step's environment is what the Dockerfile says, whatever machine it runs on.
  const home = spec.process.env.find((entry) => entry.startsWith("HOME=")) ?? "HOME=/";
  const has = (name: string): boolean => step.env.some((entry) => entry.startsWith(`${name}=`));
  spec.process.env = [
    ...(has("PATH") ? [] : [`PATH=${searchPath}`]),
    ...step.env,
    ...(step.devices?.env ?? []),
    ...(has("HOME") ? [] : [home]),
  ];
  checkMountPlaces(rootfs, step.mounts, { masksPaths: !step.privileged });
  spec.mounts.push(...step.mounts);
  writeFileSync(join(directory, "config.json"), JSON.stringify(spec));
}

function stepRecord(host: BuildHost, step: StepRun): ContainerRecord {
  const { limits } = step;
  const asked: HostConfig = {
    NetworkMode: step.network,
    ...(step.privileged ? { Privileged: true } : {}),
    ...(limits.memoryBytes ? { Memory: limits.memoryBytes } : {}),
    ...(limits.memorySwapBytes ? { MemorySwap: limits.memorySwapBytes } : {}),
    ...(limits.cpuShares ? { CpuShares: limits.cpuShares } : {}),
    ...(limits.cpuPeriodUs ? { CpuPeriod: limits.cpuPeriodUs } : {}),
    ...(limits.cpuQuotaUs ? { CpuQuota: limits.cpuQuotaUs } : {}),
    ...(limits.cpusetCpus ? { CpusetCpus: limits.cpusetCpus } : {}),
    ...(limits.cpusetMems ? { CpusetMems: limits.cpusetMems } : {}),
    ...(limits.shmSizeBytes ? { ShmSize: limits.shmSizeBytes } : {}),
    ...(limits.ulimits && limits.ulimits.length > 0
      ? { Ulimits: limits.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })) }
      : {}),
  };
  const [path = "", ...args] = step.argv;
  return {
    id: step.id,
    name: `build-${step.id.slice(0, 12)}`,
    createdAt: zeroTime,
    imageId: "",
    image: "",
    path,
    args,
    config: {
      Hostname: step.hostname,
      User: step.user,
      WorkingDir: step.workingDirectory,
      Env: [...step.env],
    },
    hostConfig: host.hostConfig(asked),
    endpoints: {},
    mounts: [],
    runtime: "",
    snapshotDriver: host.snapshotter.name,
    logPath: "",
    restartCount: 0,
    state: newContainerState,
  };
}

async function openSandbox(host: BuildHost, { id, network }: StepRun): Promise<Sandbox | undefined> {
  if (network === "host") return undefined;
  return host.network.open({
    containerId: id,
    containerName: `build-${id.slice(0, 12)}`,
    mode: network === "none" ? "none" : "bridge",
    endpoints: network === "none" ? [] : [{ network, aliases: [] }],
    ports: [],
  });
}

function writeNameFiles(
  host: BuildHost,
  step: StepRun,
  directory: string,
  sandbox: Sandbox | undefined,
): { hosts: string; hostname: string; resolvConf: string } {
  const files = {
    hosts: join(directory, "hosts"),
    hostname: join(directory, "hostname"),
    resolvConf: join(directory, "resolv.conf"),
  };
  writeFileSync(files.hostname, `${step.hostname}\n`);
  const first = sandbox?.endpoints[0];
  const { hostGatewayIps: hostGateways = [] } = host.config;
  writeFileSync(
    files.hosts,
    hostsFileFor({
      addresses: sandbox?.endpoints.map(({ ipv4Address }) => ipv4Address).filter((a) => a !== "") ?? [],
      hostname: step.hostname,
      domainname: "",
      extraHosts: step.extraHosts,
      hostGateways:
        hostGateways.length > 0 ? hostGateways : [first?.ipv4Gateway ?? ""].filter((a) => a !== ""),
    }),
  );
  const { dns, dnsOptions, dnsSearch } = host.config;
  if (step.network === "host")
    writeFileSync(files.resolvConf, existsSync("/etc/resolv.conf") ? readFileSync("/etc/resolv.conf") : "");
  else writeFileSync(files.resolvConf, resolvConfFor(readHostResolvConf(), { dns, dnsOptions, dnsSearch }));
  return files;
}

const runtimeWords = (runtime: RuntimeBinary, directory: string, ...verb: string[]): string[] => [
  runtime.name,
  ...runtime.args,
  "--root",
  join(directory, "state"),
  "--log",
  join(directory, "runtime.log"),
  ...verb,
];

async function execute(runtime: RuntimeBinary, directory: string, step: StepRun): Promise<number> {
  const { id, signal } = step;
  const [outRead, outWrite] = openPipe();
  const [errRead, errWrite] = openPipe();
  let child;
  try {
    child = spawnProcess({
      path: runtime.path,
      argv: runtimeWords(runtime, directory, "run", "--bundle", directory, id),
      env: environment,
      fds: { 1: outWrite, 2: errWrite },
      newSession: true,
    });
  } catch (error) {
    closeSync(outRead);
    closeSync(errRead);
    throw error;
  } finally {
    closeSync(outWrite);
    closeSync(errWrite);
  }
  const streams = [
    readStream(outRead, (data) => step.onOutput("stdout", data)),
    readStream(errRead, (data) => step.onOutput("stderr", data)),
  ];
  // The runtime goes first: while it still makes the container, nobody else can delete that. What it had started by
  // then is in its state or in the cgroup.
  const stop = (): void => child.kill(9);
  signal.addEventListener("abort", stop, { once: true });
  const status = await child.exited;
  signal.removeEventListener("abort", stop);
  signal.throwIfAborted();
  // A process that was left behind may hold the pipes: the container ends with its first process.
  await deleteContainer(runtime, directory, id);
  await Promise.all(streams);
  const failure = startFailure(directory);
  if (failure !== "") throw new EngineError("invalidArgument", failure);
  return status.code ?? 128 + (status.signal ?? 0);
}

/** What the runtime said of a program that could not be started. */
function startFailure(directory: string): string {
  const path = join(directory, "runtime.log");
  if (!existsSync(path)) return "";
  const text = readFileSync(path, "utf8");
  return text.trim() === "" || /level=(warning|info|debug)/.test(text) ? "" : lastRuntimeMessage(text);
}

function readStream(fd: number, onData: (data: Uint8Array) => Promise<void> | undefined): Promise<void> {
  return new Promise((resolve) => {
    const socket = new Socket({ fd, readable: true, writable: false });
    const goOn = (): void => void socket.resume();
    socket.on("data", (data: Buffer) => {
      const room = onData(data);
      if (room === undefined) return;
      socket.pause();
      room.then(goOn, goOn);
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve());
  });
}

/** Ends the container and removes the runtime's state. No error when it does not exist. */
async function deleteContainer(runtime: RuntimeBinary, directory: string, id: string): Promise<void> {
  if (!existsSync(join(directory, "state", id))) return;
  const complain = (error: string): void =>
    log.warn(`could not delete the container of build step ${id}`, { error });
  try {
    const result = await runProcess({
      path: runtime.path,
      argv: [runtime.name, ...runtime.args, "--root", join(directory, "state"), "delete", "--force", id],
      env: environment,
    });
    if (result.code !== 0) complain(lastRuntimeMessage(`${result.stdout}\n${result.stderr}`));
  } catch (error) {
    complain(errorText(error));
  }
}

/** Removes what steps of an earlier daemon left: containers, mounts, control groups, directories. */
export async function sweepSteps(host: BuildHost, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const directory = join(stepsDirectory(host), name);
    await deleteContainer(host.runtimes().get(""), directory, name);
    await endCgroup(detectCgroups(), `/${host.config.cgroupParent}/${name}`);
    removeMountDirectory(directory);
  }
}

/** A file of the step's own directory that only the daemon and the step see. */
export function writePrivateFile(
  path: string,
  data: Uint8Array,
  owner: { readonly uid: number; readonly gid: number; readonly mode: number },
): void {
  writeFileSync(path, data, { mode: 0o600, flag: "wx" });
  chownSync(path, owner.uid, owner.gid);
  chmodSync(path, owner.mode);
}
