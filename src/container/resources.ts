/** A container's limits: the OCI spec's `linux.resources` (config-linux.md), rlimits and the out-of-memory score. */
import { readFileSync } from "node:fs";
import { invalidArgument } from "../base/errors.ts";
import type { DeviceCgroupRule, RuntimeResources, RuntimeRlimit, ThrottleRate } from "../oci/runtime-spec.ts";
import type { HostConfig, ThrottleDevice, Ulimit } from "../wire/container.ts";
import { hostCapabilities } from "./capabilities.ts";
import { blockDevice } from "./devices.ts";
import { kernelLimits, type KernelLimits } from "./kernel-limits.ts";

/** The period in which `--cpus` counts. */
const nanoCpuPeriodUs = 100_000;

/** Limits that the kernel cannot hold are left out; that was said when the container was made. */
export function containerResources(
  host: HostConfig,
  devices: DeviceCgroupRule[],
  limits: KernelLimits = kernelLimits(),
): RuntimeResources {
  const memory = memoryResources(host, limits);
  const cpu = cpuResources(host, limits);
  const blockIO = blockResources(host, limits);
  const pids = host.PidsLimit ?? 0;
  return {
    devices,
    ...(memory === undefined ? {} : { memory }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(blockIO === undefined ? {} : { blockIO }),
    ...(pids > 0 && limits.pids ? { pids: { limit: pids } } : {}),
  };
}

function memoryResources(host: HostConfig, limits: KernelLimits): RuntimeResources["memory"] {
  if (!limits.memory) return undefined;
  const memory: NonNullable<RuntimeResources["memory"]> = {};
  if ((host.Memory ?? 0) > 0) memory.limit = host.Memory!;
  if ((host.MemoryReservation ?? 0) > 0) memory.reservation = host.MemoryReservation!;
  if ((host.MemorySwap ?? 0) !== 0 && limits.swap) memory.swap = host.MemorySwap!;
  if (typeof host.MemorySwappiness === "number" && host.MemorySwappiness >= 0 && limits.swappiness)
    memory.swappiness = host.MemorySwappiness;
  if (host.OomKillDisable === true && limits.oomKillDisable) memory.disableOOMKiller = true;
  return orNothing(memory);
}

function cpuResources(host: HostConfig, limits: KernelLimits): RuntimeResources["cpu"] {
  const cpu: NonNullable<RuntimeResources["cpu"]> = {};
  if ((host.CpuShares ?? 0) > 0 && limits.cpuShares) cpu.shares = host.CpuShares!;
  if (limits.cpuQuota) {
    if ((host.NanoCpus ?? 0) > 0) {
      cpu.period = nanoCpuPeriodUs;
      cpu.quota = Math.floor((host.NanoCpus! * nanoCpuPeriodUs) / 1e9);
    }
    if ((host.CpuPeriod ?? 0) > 0) cpu.period = host.CpuPeriod!;
    if ((host.CpuQuota ?? 0) !== 0) cpu.quota = host.CpuQuota!;
  }
  if (limits.cpuRealtime) {
    if ((host.CpuRealtimePeriod ?? 0) !== 0) cpu.realtimePeriod = host.CpuRealtimePeriod!;
    if ((host.CpuRealtimeRuntime ?? 0) !== 0) cpu.realtimeRuntime = host.CpuRealtimeRuntime!;
  }
  if (limits.cpuset) {
    if (host.CpusetCpus) cpu.cpus = host.CpusetCpus;
    if (host.CpusetMems) cpu.mems = host.CpusetMems;
  }
  return orNothing(cpu);
}

function blockResources(host: HostConfig, limits: KernelLimits): RuntimeResources["blockIO"] {
  const block: NonNullable<RuntimeResources["blockIO"]> = {};
  if (limits.blkioWeight && !limits.blkioBfq) {
    if ((host.BlkioWeight ?? 0) > 0) block.weight = host.BlkioWeight!;
    const weights = host.BlkioWeightDevice ?? [];
    if (weights.length > 0)
      block.weightDevice = weights.map(({ Path = "", Weight = 0 }) => ({
        ...blockDevice(Path),
        weight: Weight,
      }));
  }
  if (limits.blkioThrottle) {
    const kinds = [
      ["throttleReadBpsDevice", host.BlkioDeviceReadBps],
      ["throttleWriteBpsDevice", host.BlkioDeviceWriteBps],
      ["throttleReadIOPSDevice", host.BlkioDeviceReadIOps],
      ["throttleWriteIOPSDevice", host.BlkioDeviceWriteIOps],
    ] as const;
    for (const [field, devices] of kinds)
      if ((devices ?? []).length > 0) block[field] = throttleRates(devices!);
  }
  return orNothing(block);
}

/** The BFQ files to write into the container's blkio cgroup, where the runtime cannot be asked to. */
export function bfqWeights(
  host: HostConfig,
  limits: KernelLimits = kernelLimits(),
): readonly (readonly [string, string])[] {
  if (!limits.blkioBfq) return [];
  const files: [string, string][] = [];
  if ((host.BlkioWeight ?? 0) > 0) files.push(["blkio.bfq.weight", String(host.BlkioWeight)]);
  for (const { Path = "", Weight = 0 } of host.BlkioWeightDevice ?? []) {
    const { major, minor } = blockDevice(Path);
    files.push(["blkio.bfq.weight_device", `${major}:${minor} ${Weight}`]);
  }
  return files;
}

function throttleRates(devices: readonly ThrottleDevice[]): ThrottleRate[] {
  return devices.map(({ Path = "", Rate = 0 }) => ({ ...blockDevice(Path), rate: Rate }));
}

function orNothing<T extends object>(value: T): T | undefined {
  return Object.keys(value).length > 0 ? value : undefined;
}

/** Names that setrlimit(2) knows, as `--ulimit` writes them, and the titles of /proc/PID/limits. */
const rlimitTitles: Readonly<Record<string, string>> = {
  core: "Max core file size",
  cpu: "Max cpu time",
  data: "Max data size",
  fsize: "Max file size",
  locks: "Max file locks",
  memlock: "Max locked memory",
  msgqueue: "Max msgqueue size",
  nice: "Max nice priority",
  nofile: "Max open files",
  nproc: "Max processes",
  rss: "Max resident set",
  rtprio: "Max realtime priority",
  rttime: "Max realtime timeout",
  sigpending: "Max pending signals",
  stack: "Max stack size",
};

/** Throws `invalidArgument` for an unknown name or a soft limit above the hard one. -1 is "unlimited". */
export function checkUlimit({ Name = "", Soft = 0, Hard = 0 }: Ulimit): void {
  if (!Object.hasOwn(rlimitTitles, Name)) throw invalidArgument(`invalid ulimit type: ${Name}`);
  if (!Number.isInteger(Soft) || !Number.isInteger(Hard) || Soft < -1 || Hard < -1)
    throw invalidArgument(`invalid value of ulimit ${Name}: soft and hard must be -1 or greater`);
  if (Hard !== -1 && (Soft === -1 || Soft > Hard))
    throw invalidArgument(`ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`);
}

/** RLIM_INFINITY: no JavaScript number holds it, so it is written into the JSON digit by digit. */
const infinity: unknown = (JSON as { rawJSON?: (text: string) => unknown }).rawJSON?.("18446744073709551615");

/**
 * The rlimits to set. Without CAP_SYS_RESOURCE nobody may raise a hard limit above his own: then the own one is taken,
 * with a warning.
 */
export function containerRlimits(ulimits: readonly Ulimit[], warnings: string[]): RuntimeRlimit[] {
  if (ulimits.length === 0) return [];
  const mayRaise = hostCapabilities().includes("CAP_SYS_RESOURCE");
  const own = mayRaise ? "" : readFileSync("/proc/self/limits", "utf8");
  return ulimits.map((ulimit) => {
    checkUlimit(ulimit);
    const { Name: name = "" } = ulimit;
    let hard = ulimit.Hard === -1 ? Infinity : (ulimit.Hard ?? 0);
    let soft = ulimit.Soft === -1 ? Infinity : (ulimit.Soft ?? 0);
    const ceiling = mayRaise ? Infinity : ownHardLimit(own, name);
    if (hard > ceiling) {
      warnings.push(
        `ulimit ${name}: the hard limit is ${ceiling} instead of ${ulimit.Hard}: the daemon may not raise its own (CAP_SYS_RESOURCE)`,
      );
      hard = ceiling;
      soft = Math.min(soft, hard);
    }
    const value = (limit: number): unknown => (limit === Infinity ? infinity : limit);
    return { type: `RLIMIT_${name.toUpperCase()}`, soft: value(soft), hard: value(hard) };
  });
}

/** The hard limit in the text of /proc/PID/limits; Infinity for `unlimited`. */
export function ownHardLimit(limits: string, name: string): number {
  const title = rlimitTitles[name] ?? "";
  const line = limits.split("\n").find((candidate) => candidate.startsWith(title));
  const hard = line?.slice(title.length).trim().split(/\s+/)[1];
  return hard === undefined || hard === "unlimited" ? Infinity : Number(hard);
}

let ownScore: number | undefined;

/**
 * The out-of-memory score to set; undefined when the inherited one is right. Lowering it below the daemon's own needs
 * CAP_SYS_RESOURCE: without, the own one stays, with a warning when the user asked for it.
 */
export function containerOomScore(asked: number, warnings: string[]): number | undefined {
  ownScore ??= Number(readFileSync("/proc/self/oom_score_adj", "utf8"));
  if (asked === ownScore) return undefined;
  if (asked > ownScore || hostCapabilities().includes("CAP_SYS_RESOURCE")) return asked;
  if (asked !== 0)
    warnings.push(
      `oom-score-adj is ${ownScore} instead of ${asked}: the daemon may not go below its own (CAP_SYS_RESOURCE)`,
    );
  return undefined;
}
