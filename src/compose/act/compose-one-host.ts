/**
 * The host's side of a container of Docker Compose 1. Every setting that the daemon shows is compared: what the file has no
 * word for has to be what the daemon gives to a container that asked for nothing. In doubt it is not the same.
 */
import type { SystemInfo } from "../../wire/system.ts";
import type { HostConfig } from "../../wire/container.ts";

/** What the daemon gives to containers that ask for nothing. */
export interface DaemonDefaults {
  readonly runtime: string;
  readonly logDriver: string;
  /** Without it a container with a limit of memory has none of swap, instead of as much again. */
  readonly hasSwapLimit: boolean;
  /** Docker gives it to containers on the host's network. */
  readonly hostName: string;
}

export function daemonDefaults({
  DefaultRuntime,
  LoggingDriver,
  SwapLimit,
  Name,
}: SystemInfo): DaemonDefaults {
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return {
    runtime: text(DefaultRuntime),
    logDriver: text(LoggingDriver),
    hasSwapLimit: SwapLimit === true,
    hostName: text(Name),
  };
}

/** Nothing, however it is written, is the same as nothing; order counts in lists alone. */
export function same(wanted: unknown, found: unknown): boolean {
  return JSON.stringify(normal(wanted)) === JSON.stringify(normal(found));
}

function normal(value: unknown): unknown {
  if (value === null || value === "" || value === false || value === 0) return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((each) => normal(each) ?? null);
  if (typeof value !== "object") return value;
  const entries = Object.entries(value)
    .map(([key, each]) => [key, normal(each) ?? null] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

export const modeOf = ({ NetworkMode: mode = "" }: HostConfig): string =>
  mode === "default" ? "bridge" : mode;

/** A setting in a form in which two that mean the same are the same. */
type Form = (host: HostConfig, daemon: DaemonDefaults) => unknown;

const usualShmSizeBytes = 64 * 1024 * 1024;

/** Settings that are not shown as they were given, or of which nothing means something of the daemon's. */
const forms: { readonly [K in keyof HostConfig]?: Form } = {
  NetworkMode: modeOf,
  RestartPolicy: ({ RestartPolicy: policy }) =>
    ["no", ""].includes(policy?.Name ?? "") ? undefined : policy,
  VolumesFrom: ({ VolumesFrom: sources }) => (sources ?? []).map((source) => source.replace(/:rw$/, "")),
  LogConfig: ({ LogConfig: log }, { logDriver }) => [log?.Type || logDriver, log?.Config],
  CapAdd: ({ CapAdd: names }) => capabilities(names),
  CapDrop: ({ CapDrop: names }) => capabilities(names),
  SecurityOpt: securityOptions,
  // False is another thing than nothing where the daemon's default is true.
  Init: ({ Init: init }) => String(init ?? "default"),
  IpcMode: ({ IpcMode: mode }) => mode || "private",
  ShmSize: ({ ShmSize: sizeBytes }) => sizeBytes || usualShmSizeBytes,
  Runtime: ({ Runtime: runtime }, daemon) => runtime || daemon.runtime,
  MemorySwap: ({ MemorySwap: swap, Memory: memory = 0 }, { hasSwapLimit }) =>
    swap || (memory > 0 ? (hasSwapLimit ? memory * 2 : -1) : 0),
  // Nothing is -1 in older versions of the API; 0 keeps the container out of swap.
  MemorySwappiness: ({ MemorySwappiness: swappiness }) => String(swappiness ?? -1),
  PidsLimit: ({ PidsLimit: limit }) => Math.max(limit ?? 0, 0),
  Isolation: ({ Isolation: isolation }) => (isolation === "default" ? "" : isolation),
};

/** Settings that say nothing here: compared elsewhere, following from others, or nothing that Compose 1 could set. */
const notCompared = new Set<string>(
  "Binds Mounts Links MaskedPaths ReadonlyPaths CgroupnsMode ConsoleSize".split(" "),
);

/** True when the daemon would show what was found, had it been given what is wanted. But for mounts and links. */
export function sameHostConfig(wanted: HostConfig, found: HostConfig, daemon: DaemonDefaults): boolean {
  const keys = new Set([...Object.keys(wanted), ...Object.keys(found)]).difference(notCompared);
  return [...keys].every((each) => {
    const key = each as keyof HostConfig;
    const form: Form = forms[key] ?? ((host) => host[key]);
    return same(form(wanted, daemon), form(found, daemon));
  });
}

function capabilities(names: readonly string[] | null | undefined): string[] {
  return (names ?? []).map((name) => name.toUpperCase().replace(/^CAP_/, "")).sort();
}

/** Whoever sees the host's memory or processes, or may do all, has no label: the daemon writes that down. */
function securityOptions({ SecurityOpt: options, Privileged, IpcMode, PidMode }: HostConfig): string[] {
  const isUnlabelled = Privileged === true || IpcMode === "host" || PidMode === "host";
  const own = (options ?? []).filter((option) => !isUnlabelled || !/^label[=:]disable$/.test(option));
  return own.sort();
}
