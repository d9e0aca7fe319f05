/**
 * What control groups count (the kernel's admin-guide/cgroup-v1/{cpuacct,memory,blkio-controller} and cgroup-v2.rst).
 * Both versions in the same words; what the kernel does not say is undefined.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { controllerDirectory, type CgroupLayout } from "./cgroup.ts";

export interface CpuCounters {
  readonly totalNs: number;
  readonly userNs: number;
  readonly kernelNs: number;
  readonly perCpuNs: readonly number[] | undefined;
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledNs: number;
}

export interface MemoryCounters {
  readonly usageBytes: number;
  readonly maxUsageBytes: number | undefined;
  readonly failures: number | undefined;
  /** Undefined for none. */
  readonly limitBytes: number | undefined;
  readonly details: Readonly<Record<string, number>>;
}

export interface BlockCounter {
  readonly major: number;
  readonly minor: number;
  /** `Read`, `Write` (version 1 also `Sync`, `Total` …); version 2 in small letters. */
  readonly operation: string;
  readonly value: number;
}

export interface CgroupCounters {
  readonly cpu: CpuCounters | undefined;
  readonly memory: MemoryCounters | undefined;
  readonly pids: { readonly current: number; readonly limit: number | undefined } | undefined;
  readonly blockBytes: readonly BlockCounter[] | undefined;
  readonly blockOperations: readonly BlockCounter[] | undefined;
}

/** USER_HZ, the same on every architecture that Linux's user space sees. */
const tickNs = 1e7;

/** Numbers of a file of `key value` lines. */
function parseKeyed(text: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [, key, value] of text.matchAll(/^(\S+) (\d+)$/gm)) found[key!] = Number(value);
  return found;
}

/** Version 1: `8:0 Read 4096` a line. */
function parseBlockV1(text: string): BlockCounter[] {
  return [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major, minor, operation, value]) => ({
    major: Number(major),
    minor: Number(minor),
    operation: operation!,
    value: Number(value),
  }));
}

/** Version 2: `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 …` a line; `fields` names those that are wanted. */
function parseIoStat(text: string, fields: Readonly<Record<string, string>>): BlockCounter[] {
  const found: BlockCounter[] = [];
  for (const [, major, minor, rest = ""] of text.matchAll(/^(\d+):(\d+) (.*)$/gm))
    for (const [, field = "", value] of rest.matchAll(/(\w+)=(\d+)/g)) {
      const operation = fields[field];
      if (operation !== undefined)
        found.push({ major: Number(major), minor: Number(minor), operation, value: Number(value) });
    }
  return found;
}

/** Counters of the cgroup `path`; all undefined when it is gone. */
export function cgroupCounters(layout: CgroupLayout, path: string): CgroupCounters {
  const read = (controller: string, file: string): string | undefined => {
    const directory = controllerDirectory(layout, controller, path);
    return directory === undefined ? undefined : readText(join(directory, file));
  };
  const isV2 = layout.version === 2;
  return {
    cpu: isV2 ? cpuV2(read) : cpuV1(read),
    memory: isV2 ? memoryV2(read) : memoryV1(read),
    pids: pidsOf(read),
    ...(isV2 ? blockV2(read) : blockV1(read)),
  };
}

type Read = (controller: string, file: string) => string | undefined;

function cpuV2(read: Read): CpuCounters | undefined {
  const text = read("cpu", "cpu.stat");
  if (text === undefined) return undefined;
  const stat = parseKeyed(text);
  const ns = (key: string): number => (stat[key] ?? 0) * 1000;
  return {
    totalNs: ns("usage_usec"),
    userNs: ns("user_usec"),
    kernelNs: ns("system_usec"),
    perCpuNs: undefined,
    periods: stat["nr_periods"] ?? 0,
    throttledPeriods: stat["nr_throttled"] ?? 0,
    throttledNs: ns("throttled_usec"),
  };
}

function cpuV1(read: Read): CpuCounters | undefined {
  const usage = read("cpuacct", "cpuacct.usage");
  if (usage === undefined) return undefined;
  const stat = parseKeyed(read("cpuacct", "cpuacct.stat") ?? "");
  const throttling = parseKeyed(read("cpu", "cpu.stat") ?? "");
  const perCpu = read("cpuacct", "cpuacct.usage_percpu")?.trim().split(/\s+/).map(Number);
  return {
    totalNs: Number(usage),
    userNs: (stat["user"] ?? 0) * tickNs,
    kernelNs: (stat["system"] ?? 0) * tickNs,
    perCpuNs: perCpu,
    periods: throttling["nr_periods"] ?? 0,
    throttledPeriods: throttling["nr_throttled"] ?? 0,
    throttledNs: throttling["throttled_time"] ?? 0,
  };
}

function memoryV2(read: Read): MemoryCounters | undefined {
  const usage = read("memory", "memory.current");
  if (usage === undefined) return undefined;
  const events = parseKeyed(read("memory", "memory.events") ?? "");
  return {
    usageBytes: Number(usage),
    maxUsageBytes: undefined,
    failures: events["oom"],
    limitBytes: limitOf(read("memory", "memory.max")),
    details: parseKeyed(read("memory", "memory.stat") ?? ""),
  };
}

function memoryV1(read: Read): MemoryCounters | undefined {
  const usage = read("memory", "memory.usage_in_bytes");
  if (usage === undefined) return undefined;
  return {
    usageBytes: Number(usage),
    maxUsageBytes: limitOf(read("memory", "memory.max_usage_in_bytes")),
    failures: limitOf(read("memory", "memory.failcnt")),
    limitBytes: limitOf(read("memory", "memory.limit_in_bytes")),
    details: parseKeyed(read("memory", "memory.stat") ?? ""),
  };
}

function pidsOf(read: Read): CgroupCounters["pids"] {
  const current = read("pids", "pids.current");
  if (current === undefined) return undefined;
  return { current: Number(current), limit: limitOf(read("pids", "pids.max")) };
}

function blockV1(read: Read): Pick<CgroupCounters, "blockBytes" | "blockOperations"> {
  const counters = (file: string): BlockCounter[] | undefined => {
    const text = read("blkio", `blkio.throttle.${file}_recursive`);
    return text === undefined ? undefined : parseBlockV1(text);
  };
  return { blockBytes: counters("io_service_bytes"), blockOperations: counters("io_serviced") };
}

function blockV2(read: Read): Pick<CgroupCounters, "blockBytes" | "blockOperations"> {
  const text = read("io", "io.stat");
  if (text === undefined) return { blockBytes: undefined, blockOperations: undefined };
  return {
    blockBytes: parseIoStat(text, { rbytes: "read", wbytes: "write" }),
    blockOperations: parseIoStat(text, { rios: "read", wios: "write" }),
  };
}

function limitOf(text: string | undefined): number | undefined {
  return text === undefined || !/^\d+\s*$/.test(text) ? undefined : Number(text);
}

/** A group may end while it is read. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Time that all processors of the machine were on, in ns, and their number, from the text of /proc/stat (proc(5)). */
export function parseSystemCpu(stat: string): { totalNs: number; onlineCpus: number } {
  const [, fields = ""] = /^cpu +(.*)$/m.exec(stat) ?? [];
  // user nice system idle iowait irq softirq; what guests had is in user already.
  const ticks = fields.split(" ").slice(0, 7).map(Number);
  return {
    totalNs: ticks.reduce((sum, value) => sum + value, 0) * tickNs,
    onlineCpus: [...stat.matchAll(/^cpu\d+ /gm)].length,
  };
}

export interface InterfaceCounters {
  readonly rx: {
    readonly bytes: number;
    readonly packets: number;
    readonly errors: number;
    readonly dropped: number;
  };
  readonly tx: {
    readonly bytes: number;
    readonly packets: number;
    readonly errors: number;
    readonly dropped: number;
  };
}

/** Interfaces in the text of /proc/PID/net/dev, without the loopback. */
export function parseNetDev(text: string): Map<string, InterfaceCounters> {
  const found = new Map<string, InterfaceCounters>();
  for (const [, name = "", rest = ""] of text.matchAll(/^ *([^\s:]+): *(.*)$/gm)) {
    if (name === "lo") continue;
    const n = rest.trim().split(/\s+/).map(Number);
    const half = (at: number): InterfaceCounters["rx"] => ({
      bytes: n[at] ?? 0,
      packets: n[at + 1] ?? 0,
      errors: n[at + 2] ?? 0,
      dropped: n[at + 3] ?? 0,
    });
    found.set(name, { rx: half(0), tx: half(8) });
  }
  return found;
}
