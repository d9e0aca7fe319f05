/** Limits of a request against each other, against the host's processors and against what its kernel can hold. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { invalidArgument } from "../base/errors.ts";
import type { HostConfig } from "../wire/container.ts";
import { kernelLimits, type KernelLimits } from "./kernel-limits.ts";
import { checkUlimit } from "./resources.ts";

const minimumMemoryBytes = 6 * 1024 * 1024;

/** Returns a warning for each limit that this kernel cannot hold. Throws `invalidArgument` with Docker's words. */
export function validateLimits(host: HostConfig, limits: KernelLimits = kernelLimits()): string[] {
  const warnings: string[] = [];
  checkMemory(host, limits, warnings);
  checkCpu(host, limits, warnings);
  checkCpusets(host, limits, warnings);
  checkBlockIo(host, limits, warnings);
  if ((host.PidsLimit ?? 0) > 0 && !limits.pids)
    warnings.push(discarded("PIDs limit capabilities", "PIDs limit"));
  if ((host.ShmSize ?? 0) < 0) throw invalidArgument("SHM size can not be less than 0");
  const score = host.OomScoreAdj ?? 0;
  if (score < -1000 || score > 1000)
    throw invalidArgument(`Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  for (const ulimit of host.Ulimits ?? []) checkUlimit(ulimit);
  return warnings;
}

function discarded(feature: string, what: string): string {
  return `Your kernel does not support ${feature} or the cgroup is not mounted. ${what} discarded.`;
}

function checkMemory(host: HostConfig, limits: KernelLimits, warnings: string[]): void {
  const { Memory: memory = 0, MemorySwap: swap = 0, MemoryReservation: reservation = 0 } = host;
  if (memory < 0) throw invalidArgument("Minimum memory limit allowed is 6MB");
  if (reservation < 0 || swap < -1)
    throw invalidArgument("memory limits can not be negative (only a memory-swap of -1: unlimited)");
  if (memory > 0 && memory < minimumMemoryBytes) throw invalidArgument("Minimum memory limit allowed is 6MB");
  if (memory > 0 && !limits.memory) warnings.push(discarded("memory limit capabilities", "Limitation"));
  if (memory > 0 && swap !== -1 && limits.memory && !limits.swap)
    warnings.push(
      "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    );
  if (memory > 0 && swap > 0 && swap < memory)
    throw invalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage");
  if (memory === 0 && swap > 0)
    throw invalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage");
  if (reservation > 0 && reservation < minimumMemoryBytes)
    throw invalidArgument("Minimum memory reservation allowed is 6MB");
  if (memory > 0 && memory < reservation)
    throw invalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage");
  const swappiness = host.MemorySwappiness ?? -1;
  if (swappiness < -1 || swappiness > 100)
    throw invalidArgument(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  if (swappiness !== -1 && !limits.swappiness)
    warnings.push(discarded("memory swappiness capabilities", "Memory swappiness"));
  if (host.OomKillDisable !== true) return;
  if (!limits.oomKillDisable)
    warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
  else if (memory === 0)
    warnings.push(
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    );
}

function checkCpu(host: HostConfig, limits: KernelLimits, warnings: string[]): void {
  const { NanoCpus: nano = 0, CpuPeriod: period = 0, CpuQuota: quota = 0, CpuShares: shares = 0 } = host;
  if (nano !== 0 && period !== 0)
    throw invalidArgument("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  if (nano !== 0 && quota !== 0)
    throw invalidArgument("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  const count = availableParallelism();
  // The kernel's least quota is 1 ms of the 100 ms that a fraction of a processor is counted in.
  if (nano < 0 || (nano > 0 && nano < 1e7) || nano > count * 1e9)
    throw invalidArgument(
      `range of CPUs is from 0.01 to ${count}.00, as there are only ${count} CPUs available`,
    );
  if (nano > 0 && !limits.cpuQuota)
    throw invalidArgument(
      "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
    );
  if (shares < 0) throw invalidArgument(`invalid CPU shares (${shares}): must not be negative`);
  if (shares > 0 && !limits.cpuShares) warnings.push(discarded("CPU shares", "Shares"));
  if (period !== 0 && (period < 1000 || period > 1_000_000))
    throw invalidArgument(
      "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    );
  if (quota > 0 && quota < 1000) throw invalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  const { CpuRealtimePeriod: realtimePeriod = 0, CpuRealtimeRuntime: realtimeRuntime = 0 } = host;
  if ((realtimePeriod !== 0 || realtimeRuntime !== 0) && !limits.cpuRealtime)
    throw invalidArgument("Your kernel does not support CPU real-time scheduler");
  if (realtimePeriod !== 0 && realtimeRuntime > realtimePeriod)
    throw invalidArgument("cpu real-time runtime cannot be higher than cpu real-time period");
  if ((host.CpuPercent ?? 0) > 0) warnings.push("linux does not support CPU percent. Percent discarded.");
  if ((period !== 0 || quota !== 0) && !limits.cpuQuota)
    warnings.push(discarded("CPU CFS scheduler", "Period and quota"));
}

function checkCpusets(host: HostConfig, limits: KernelLimits, warnings: string[]): void {
  const { CpusetCpus: cpus = "", CpusetMems: mems = "" } = host;
  if (cpus === "" && mems === "") return;
  const askedCpus = parseCpuset(cpus);
  if (askedCpus === undefined)
    throw invalidArgument(`Invalid value ${cpus} for cpuset cpus: invalid format: ${cpus}`);
  const askedMems = parseCpuset(mems);
  if (askedMems === undefined)
    throw invalidArgument(`Invalid value ${mems} for cpuset mems: invalid format: ${mems}`);
  if (!limits.cpuset) {
    warnings.push(discarded("cpuset", "Cpuset"));
    return;
  }
  const online = onlineSet("/sys/devices/system/cpu/online");
  if (askedCpus.some((n) => !online.numbers.has(n)))
    throw invalidArgument(`Requested CPUs are not available - requested ${cpus}, available: ${online.text}`);
  const nodes = onlineSet("/sys/devices/system/node/online");
  if (askedMems.some((n) => !nodes.numbers.has(n)))
    throw invalidArgument(
      `Requested memory nodes are not available - requested ${mems}, available: ${nodes.text}`,
    );
}

/** No number in a list may be greater: what is larger is a slip of the keyboard, and would fill the memory. */
const maxCpuNumber = 8191;

/** Reads `0-3,7`, the list format of cpuset(7); undefined for what is none. */
export function parseCpuset(text: string): number[] | undefined {
  if (text === "") return [];
  const numbers = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part.trim());
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last > maxCpuNumber) return undefined;
    for (let n = first; n <= last; n++) numbers.add(n);
  }
  return [...numbers];
}

/** A kernel without NUMA has no list of nodes: then there is node 0. */
function onlineSet(path: string): { readonly numbers: ReadonlySet<number>; readonly text: string } {
  let text = "0";
  try {
    text = readFileSync(path, "utf8").trim();
  } catch {
    // as said above
  }
  return { numbers: new Set(parseCpuset(text)), text };
}

function checkBlockIo(host: HostConfig, limits: KernelLimits, warnings: string[]): void {
  const weight = host.BlkioWeight ?? 0;
  const weights = host.BlkioWeightDevice ?? [];
  for (const value of [weight, ...weights.map((device) => device.Weight ?? 0)])
    if (value !== 0 && (value < 10 || value > 1000))
      throw invalidArgument("Range of blkio weight is from 10 to 1000");
  if ((weight > 0 || weights.length > 0) && !limits.blkioWeight)
    warnings.push(discarded("Block I/O weight", "Weight"));
  const rates = [
    ...(host.BlkioDeviceReadBps ?? []),
    ...(host.BlkioDeviceWriteBps ?? []),
    ...(host.BlkioDeviceReadIOps ?? []),
    ...(host.BlkioDeviceWriteIOps ?? []),
  ];
  for (const { Path: path = "", Rate: rate = 0 } of rates)
    if (path === "" || rate < 0) throw invalidArgument(`invalid block I/O limit: ${path}:${rate}`);
  if ((host.IOMaximumBandwidth ?? 0) !== 0 || (host.IOMaximumIOps ?? 0) !== 0)
    throw invalidArgument(
      "Invalid QoS settings: linux does not support configuration of maximum bandwidth or maximum IOPs",
    );
  if (rates.length > 0 && !limits.blkioThrottle) warnings.push(discarded("Block I/O throttling", "Limit"));
}
