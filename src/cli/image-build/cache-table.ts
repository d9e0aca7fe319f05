/** Records of the build cache, as buildx lists them. */
import type { CacheUsage } from "../../client/buildkit/solve.ts";
import { humanSize } from "../output/humanize.ts";

type Time = NonNullable<CacheUsage["CreatedAt"]>;

const milliseconds = ({ seconds, nanos }: Time): number => Number(seconds) * 1000 + nanos / 1e6;

/** `3 minutes ago` for a time; empty for none. */
function ago(time: Time | undefined, nowMs: number): string {
  if (time === undefined) return "";
  const seconds = Math.max(0, Math.round((nowMs - milliseconds(time)) / 1000));
  for (const [name, length] of [
    ["day", 86_400],
    ["hour", 3600],
    ["minute", 60],
  ] as const)
    if (seconds >= 2 * length) return `${Math.floor(seconds / length)} ${name}s ago`;
  return `${seconds} seconds ago`;
}

/** The largest first. */
export function tableText(records: readonly CacheUsage[], isVerbose: boolean): string {
  const sorted = records.toSorted((a, b) => b.Size - a.Size);
  if (isVerbose) return sorted.map(verboseText).join("");
  const nowMs = Date.now();
  const rows = [
    ["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"],
    ...sorted.map((record) => [
      `${record.ID}${record.Mutable ? "*" : ""}`,
      String(!record.InUse),
      `${humanSize(record.Size)}${record.Shared ? "*" : ""}`,
      ago(record.LastUsedAt, nowMs),
    ]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)) + 3);
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join("")
          .trimEnd()}\n`,
    )
    .join("");
}

function verboseText(record: CacheUsage): string {
  const time = (value: Time): string => new Date(milliseconds(value)).toISOString();
  const lines: [string, string][] = [
    ["ID", record.ID],
    ...record.Parents.map((parent): [string, string] => ["Parent", parent]),
    ...(record.CreatedAt === undefined ? [] : [["Created at", time(record.CreatedAt)] as [string, string]]),
    ["Mutable", String(record.Mutable)],
    ["Reclaimable", String(!record.InUse)],
    ["Shared", String(record.Shared)],
    ["Size", humanSize(record.Size)],
    ...(record.Description === "" ? [] : [["Description", record.Description] as [string, string]]),
    ["Usage count", String(record.UsageCount)],
    ...(record.LastUsedAt === undefined ? [] : [["Last used", time(record.LastUsedAt)] as [string, string]]),
    ["Type", record.RecordType],
  ];
  return `${lines.map(([name, value]) => `${`${name}:`.padEnd(16)}${value}\n`).join("")}\n`;
}
