import type { SystemInfo } from "../../wire/system.ts";
import { humanBytes } from "./humanize.ts";

/** What the client says about itself in `info`. */
export interface ClientInfo {
  readonly Version: string;
  readonly Context: string;
  readonly Debug: boolean;
}

/** The text of `info`: labels and their order are Docker's, lines without a value are left out. */
export function infoText(client: ClientInfo, server: SystemInfo | undefined): string {
  const text = lines("Client: gantry", [
    ["Version", client.Version],
    ["Context", client.Context],
    ["Debug Mode", client.Debug],
  ]);
  return server === undefined ? text : `${text}\n${lines("Server:", serverRows(server))}`;
}

type Row = readonly [label: string, value: unknown, rows?: readonly Row[]];

function lines(title: string, rows: readonly Row[]): string {
  return `${title}\n${rowLines(rows, 1)}`;
}

function rowLines(rows: readonly Row[], depth: number): string {
  let text = "";
  for (const [label, value, nested = []] of rows) {
    if (isAbsent(value) && nested.length === 0) continue;
    const shown = isAbsent(value) ? "" : ` ${show(value)}`;
    text += `${" ".repeat(depth)}${label}:${shown}\n${rowLines(nested, depth + 1)}`;
  }
  return text;
}

function isAbsent(value: unknown): boolean {
  return (
    value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0)
  );
}

function show(value: unknown): string {
  if (Array.isArray(value)) return value.map(show).join(" ");
  return typeof value === "string" ? value : JSON.stringify(value);
}

function serverRows(info: SystemInfo): Row[] {
  const plugins = (info["Plugins"] ?? {}) as Record<string, unknown>;
  const swarm = (info["Swarm"] ?? {}) as Record<string, unknown>;
  return [
    [
      "Containers",
      info["Containers"],
      [
        ["Running", info["ContainersRunning"]],
        ["Paused", info["ContainersPaused"]],
        ["Stopped", info["ContainersStopped"]],
      ],
    ],
    ["Images", info["Images"]],
    ["Server Version", info["ServerVersion"]],
    ["Storage Driver", info["Driver"], driverRows(info["DriverStatus"])],
    ["Logging Driver", info["LoggingDriver"]],
    ["Cgroup Driver", info["CgroupDriver"]],
    ["Cgroup Version", info["CgroupVersion"]],
    [
      "Plugins",
      undefined,
      [
        ["Volume", plugins["Volume"]],
        ["Network", plugins["Network"]],
        ["Log", plugins["Log"]],
      ],
    ],
    ["Swarm", swarm["LocalNodeState"]],
    ["Runtimes", Object.keys(info["Runtimes"] ?? {}).sort()],
    ["Default Runtime", info["DefaultRuntime"]],
    ["Init Binary", info["InitBinary"]],
    ["Security Options", undefined, securityRows(info["SecurityOptions"])],
    ["Kernel Version", info["KernelVersion"]],
    ["Operating System", info["OperatingSystem"]],
    ["OSType", info["OSType"]],
    ["Architecture", info["Architecture"]],
    ["CPUs", info["NCPU"]],
    ["Total Memory", typeof info["MemTotal"] === "number" ? humanBytes(info["MemTotal"]) : undefined],
    ["Name", info["Name"]],
    ["ID", info["ID"]],
    ["Docker Root Dir", info["DockerRootDir"]],
    ["Debug Mode", info["Debug"]],
    ["HTTP Proxy", info["HttpProxy"]],
    ["HTTPS Proxy", info["HttpsProxy"]],
    ["No Proxy", info["NoProxy"]],
    ["Labels", undefined, listRows(info["Labels"])],
    ["Experimental", info["ExperimentalBuild"]],
    ["Live Restore Enabled", info["LiveRestoreEnabled"]],
    ["Default Address Pools", undefined, poolRows(info["DefaultAddressPools"])],
  ];
}

function driverRows(status: unknown): Row[] {
  return Array.isArray(status) ? (status as [string, string][]).map(([label, value]) => [label, value]) : [];
}

/** `name=seccomp,profile=builtin` becomes a line with lines below it. */
function securityRows(options: unknown): Row[] {
  if (!Array.isArray(options)) return [];
  return (options as string[]).map((option): Row => {
    const [name = "", ...others] = option.split(",");
    const nested = others.map((other): Row => {
      const [key = "", value = ""] = other.split("=");
      return [`${key.charAt(0).toUpperCase()}${key.slice(1)}`, value];
    });
    return [name.replace(/^name=/, ""), nested.length === 0 ? "on" : undefined, nested];
  });
}

function poolRows(pools: unknown): Row[] {
  if (!Array.isArray(pools)) return [];
  return (pools as { Base: string; Size: number }[]).map(({ Base, Size }): Row => [
    "Base",
    `${Base}, Size: ${Size}`,
  ]);
}

function listRows(values: unknown): Row[] {
  if (!Array.isArray(values)) return [];
  return (values as string[]).map((value): Row => {
    const split = value.indexOf("=");
    return split < 0 ? [value, ""] : [value.slice(0, split), value.slice(split + 1)];
  });
}
