import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { nowRfc3339, zeroTime } from "../base/time.ts";
import type { ContainerRecord } from "../container/container.ts";
import {
  type BlockCounter,
  type CgroupCounters,
  cgroupCounters,
  parseNetDev,
  parseSystemCpu,
} from "../linux/cgroup-stats.ts";
import type { BlkioEntry, ContainerStats, CpuStats, NetworkStats } from "../wire/stats.ts";
import type { EngineContext } from "./context.ts";

export interface StatsOptions {
  /** One answer a second; else one. */
  readonly stream: boolean;
  /** Without `stream`: at once, with nothing to compare with. */
  readonly oneShot: boolean;
  readonly signal: AbortSignal;
}

const intervalMs = 1000;

/** What a container uses, each answer with the processor times of the one before it. Throws `notFound` first of all. */
export async function* containerStats(
  context: EngineContext,
  nameOrId: string,
  { stream, oneShot, signal }: StatsOptions,
): AsyncGenerator<ContainerStats, void> {
  const { id } = context.containers.resolve(nameOrId);
  let before: ContainerStats | undefined;
  if (!stream && !oneShot && isRunning(context.containers.resolve(id))) {
    before = sample(context, id, undefined);
    if (!(await rest(signal))) return;
  }
  for (;;) {
    // It may have been removed meanwhile.
    if (context.containers.byId(id) === undefined) return;
    const stats = sample(context, id, before);
    yield stats;
    before = stats;
    if (!stream || !(await rest(signal))) return;
  }
}

/** False when the client has gone. */
async function rest(signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(intervalMs, undefined, { signal, ref: false });
    return true;
  } catch {
    return false;
  }
}

const isRunning = ({ state }: ContainerRecord): boolean =>
  state.status === "running" || state.status === "paused";

function sample(context: EngineContext, id: string, before: ContainerStats | undefined): ContainerStats {
  const container = context.containers.resolve(id);
  const running = isRunning(container);
  const parent = container.hostConfig.CgroupParent || context.config.cgroupParent;
  const counters = running ? cgroupCounters(context.cgroups, `/${parent}/${id}`) : nothing;
  const networks = running ? networksOf(container) : undefined;
  const { pids } = counters;
  // Version 1 has counters that nothing counts into any more.
  const uncounted = running && context.cgroups.version === 1 ? [] : null;
  return {
    id,
    name: `/${container.name}`,
    os_type: "linux",
    read: running ? nowRfc3339() : zeroTime,
    preread: before?.read ?? zeroTime,
    pids_stats: {
      ...(pids === undefined ? {} : { current: pids.current }),
      ...(pids?.limit === undefined ? {} : { limit: pids.limit }),
    },
    blkio_stats: {
      io_service_bytes_recursive: blockEntries(counters.blockBytes),
      io_serviced_recursive: blockEntries(counters.blockOperations),
      io_queue_recursive: uncounted,
      io_service_time_recursive: uncounted,
      io_wait_time_recursive: uncounted,
      io_merged_recursive: uncounted,
      io_time_recursive: uncounted,
      sectors_recursive: uncounted,
    },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: running ? cpuStats(counters) : noCpu,
    precpu_stats: before?.cpu_stats ?? noCpu,
    memory_stats: memoryStats(counters),
    ...(networks === undefined ? {} : { networks }),
  };
}

const nothing: CgroupCounters = {
  cpu: undefined,
  memory: undefined,
  pids: undefined,
  blockBytes: undefined,
  blockOperations: undefined,
};

const noCpu: CpuStats = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

function cpuStats({ cpu }: CgroupCounters): CpuStats {
  const system = parseSystemCpu(readFileSync("/proc/stat", "utf8"));
  return {
    cpu_usage: {
      total_usage: cpu?.totalNs ?? 0,
      ...(cpu?.perCpuNs === undefined ? {} : { percpu_usage: [...cpu.perCpuNs] }),
      usage_in_kernelmode: cpu?.kernelNs ?? 0,
      usage_in_usermode: cpu?.userNs ?? 0,
    },
    system_cpu_usage: system.totalNs,
    online_cpus: system.onlineCpus,
    throttling_data: {
      periods: cpu?.periods ?? 0,
      throttled_periods: cpu?.throttledPeriods ?? 0,
      throttled_time: cpu?.throttledNs ?? 0,
    },
  };
}

function memoryStats({ memory }: CgroupCounters): ContainerStats["memory_stats"] {
  if (memory === undefined) return {};
  const details = Object.entries(memory.details).filter(
    ([, value]) => Number.isInteger(value) && value < 2 ** 63,
  );
  return {
    usage: memory.usageBytes,
    ...(memory.maxUsageBytes === undefined ? {} : { max_usage: memory.maxUsageBytes }),
    ...(memory.failures === undefined ? {} : { failcnt: memory.failures }),
    limit: Math.min(memory.limitBytes ?? Infinity, totalmem()),
    stats: Object.fromEntries(details),
  };
}

function blockEntries(counters: readonly BlockCounter[] | undefined): BlkioEntry[] | null {
  if (counters === undefined) return null;
  return counters.map(({ major, minor, operation, value }) => ({
    major,
    minor,
    op: operation.toLowerCase(),
    value,
  }));
}

/** The interfaces of a network namespace of its own. With the host's it would be the host's traffic. */
function networksOf({ hostConfig, state }: ContainerRecord): Record<string, NetworkStats> | undefined {
  const mode = hostConfig.NetworkMode ?? "bridge";
  if (mode === "host" || mode === "none" || mode.startsWith("container:")) return undefined;
  let text: string;
  try {
    text = readFileSync(`/proc/${state.pid}/net/dev`, "utf8");
  } catch {
    // It has just ended.
    return undefined;
  }
  const networks = [...parseNetDev(text)].map(([name, { rx, tx }]): [string, NetworkStats] => [
    name,
    {
      rx_bytes: rx.bytes,
      rx_packets: rx.packets,
      rx_errors: rx.errors,
      rx_dropped: rx.dropped,
      tx_bytes: tx.bytes,
      tx_packets: tx.packets,
      tx_errors: tx.errors,
      tx_dropped: tx.dropped,
    },
  ]);
  return Object.fromEntries(networks);
}
