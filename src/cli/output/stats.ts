import type { ContainerStats } from "../../wire/stats.ts";
import { humanBytes, humanSize, truncateId } from "./humanize.ts";
import type { Listing } from "./table.ts";

export interface StatsRow {
  /** As the user called it. */
  readonly container: string;
  /** Undefined until the first answer has come. */
  readonly stats: ContainerStats | undefined;
  readonly isTruncated: boolean;
}

export const defaultStatsFormat =
  "table {{.ID}}\\t{{.Name}}\\t{{.CPUPerc}}\\t{{.MemUsage}}\\t{{.MemPerc}}\\t{{.NetIO}}\\t{{.BlockIO}}\\t{{.PIDs}}";

const none = "--";

export const statsListing: Listing<StatsRow> = {
  typeName: "*container.statsContext",
  headers: {
    Container: "CONTAINER",
    ID: "CONTAINER ID",
    Name: "NAME",
    CPUPerc: "CPU %",
    MemUsage: "MEM USAGE / LIMIT",
    MemPerc: "MEM %",
    NetIO: "NET I/O",
    BlockIO: "BLOCK I/O",
    PIDs: "PIDS",
  },
  fields: ({ container, stats, isTruncated }) => {
    // Of a container that does not run Docker shows zeros too.
    const isKnown = stats !== undefined;
    const of = (text: (known: ContainerStats) => string, unknown: string): (() => string) => {
      return () => (isKnown ? text(stats) : unknown);
    };
    const id = stats?.id ?? "";
    return {
      Container: () => container,
      ID: () => (id === "" ? none : isTruncated ? truncateId(id) : id),
      Name: () => stats?.name.replace(/^\//, "") || none,
      CPUPerc: of((s) => `${cpuPercent(s).toFixed(2)}%`, none),
      MemUsage: of(
        (s) => `${humanBytes(memoryUsed(s))} / ${humanBytes(s.memory_stats.limit ?? 0)}`,
        `${none} / ${none}`,
      ),
      MemPerc: of((s) => `${memoryPercent(s).toFixed(2)}%`, none),
      NetIO: of((s) => networkIo(s), none),
      BlockIO: of((s) => blockIo(s), none),
      PIDs: of((s) => String(s.pids_stats.current ?? 0), none),
    };
  },
};

/** Share of one processor, in percent: two that are busy make 200. */
function cpuPercent({ cpu_stats: now, precpu_stats: before }: ContainerStats): number {
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const passed = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  const cpus = now.online_cpus ?? now.cpu_usage.percpu_usage?.length ?? 0;
  return used > 0 && passed > 0 ? (used / passed) * cpus * 100 : 0;
}

/** Without the part of the page cache that could be given back at once. */
function memoryUsed({ memory_stats: { usage = 0, stats = {} } }: ContainerStats): number {
  const cache = stats["total_inactive_file"] ?? stats["inactive_file"] ?? 0;
  return cache < usage ? usage - cache : usage;
}

function memoryPercent(stats: ContainerStats): number {
  const { limit = 0 } = stats.memory_stats;
  return limit === 0 ? 0 : (memoryUsed(stats) / limit) * 100;
}

function networkIo({ networks = {} }: ContainerStats): string {
  const all = Object.values(networks);
  const received = all.reduce((sum, network) => sum + network.rx_bytes, 0);
  const sent = all.reduce((sum, network) => sum + network.tx_bytes, 0);
  return `${humanSize(received)} / ${humanSize(sent)}`;
}

function blockIo({ blkio_stats: { io_service_bytes_recursive: entries } }: ContainerStats): string {
  const sum = (letter: string): number =>
    (entries ?? []).reduce(
      (total, { op, value }) => (op.toLowerCase().startsWith(letter) ? total + value : total),
      0,
    );
  return `${humanSize(sum("r"))} / ${humanSize(sum("w"))}`;
}
