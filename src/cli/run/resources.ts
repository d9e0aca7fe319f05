import type { HostConfig, Ulimit } from "../../wire/container.ts";
import { exitUsage, UsageError } from "../errors.ts";
import { goQuote } from "../flag-values.ts";
import type { ParsedArguments } from "../parser.ts";
import { throttleBytes, throttleOperations, ulimit, weightDevice } from "./values.ts";

/** Limits of a container. Throws `Error` in Docker's words. */
export function resources(parsed: ParsedArguments): HostConfig {
  const swappiness = parsed.number("memory-swappiness");
  if (swappiness < -1 || swappiness > 100) {
    throw new Error(`invalid value: ${swappiness}. Valid memory swappiness range is 0-100`);
  }
  checkNoNegativeSizes(parsed);
  return {
    CpuShares: parsed.number("cpu-shares"),
    Memory: parsed.number("memory"),
    NanoCpus: parsed.number("cpus"),
    CgroupParent: parsed.string("cgroup-parent"),
    BlkioWeight: parsed.number("blkio-weight"),
    BlkioWeightDevice: parsed.list("blkio-weight-device").map(weightDevice),
    BlkioDeviceReadBps: parsed.list("device-read-bps").map(throttleBytes),
    BlkioDeviceWriteBps: parsed.list("device-write-bps").map(throttleBytes),
    BlkioDeviceReadIOps: parsed.list("device-read-iops").map(throttleOperations),
    BlkioDeviceWriteIOps: parsed.list("device-write-iops").map(throttleOperations),
    CpuPeriod: parsed.number("cpu-period"),
    CpuQuota: parsed.number("cpu-quota"),
    CpuRealtimePeriod: parsed.number("cpu-rt-period"),
    CpuRealtimeRuntime: parsed.number("cpu-rt-runtime"),
    CpusetCpus: parsed.string("cpuset-cpus"),
    CpusetMems: parsed.string("cpuset-mems"),
    DeviceCgroupRules:
      parsed.list("device-cgroup-rule").length === 0 ? null : [...parsed.list("device-cgroup-rule")],
    MemoryReservation: parsed.number("memory-reservation"),
    MemorySwap: parsed.number("memory-swap"),
    MemorySwappiness: swappiness,
    OomKillDisable: parsed.bool("oom-kill-disable"),
    PidsLimit: parsed.number("pids-limit"),
    Ulimits: ulimits(parsed.list("ulimit")),
  };
}

/** A later limit of the same name wins. */
function ulimits(values: readonly string[]): Ulimit[] {
  const byName = new Map(values.map(ulimit).map((limit) => [limit.Name!, limit]));
  return [...byName.keys()].sort().map((name) => byName.get(name)!);
}

/** The parser lets -1 through for `--memory-swap`, where it means "no limit". */
function checkNoNegativeSizes(parsed: ParsedArguments): void {
  const labels = {
    memory: "-m, --memory",
    "memory-reservation": "--memory-reservation",
    "shm-size": "--shm-size",
  };
  for (const [name, label] of Object.entries(labels)) {
    if (parsed.number(name) >= 0) continue;
    throw new UsageError(`invalid argument "-1" for ${goQuote(label)} flag: invalid size: '-1'`, exitUsage);
  }
}
