import { withDaemonLogging } from "../container/logging/driver-options.ts";
import type { HostConfig, LogConfig } from "../wire/container.ts";
import { type HostDefaults, plainHostDefaults } from "./config.ts";

/** Paths that Docker hides from containers: the OCI spec's linux.maskedPaths. */
const defaultMaskedPaths: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];
const defaultReadonlyPaths: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

/** What a field says that nobody set: every field is written, as Docker does, also those that mean nothing on Linux. */
const unset: HostConfig = {
  Binds: null,
  ContainerIDFile: "",
  PortBindings: null,
  AutoRemove: false,
  VolumeDriver: "",
  VolumesFrom: null,
  ConsoleSize: [0, 0],
  CapAdd: null,
  CapDrop: null,
  Dns: null,
  DnsOptions: null,
  DnsSearch: null,
  ExtraHosts: null,
  GroupAdd: null,
  Cgroup: "",
  Links: null,
  OomScoreAdj: 0,
  PidMode: "",
  Privileged: false,
  PublishAllPorts: false,
  ReadonlyRootfs: false,
  SecurityOpt: null,
  UTSMode: "",
  UsernsMode: "",
  Isolation: "",
  CpuShares: 0,
  Memory: 0,
  NanoCpus: 0,
  CgroupParent: "",
  BlkioWeight: 0,
  BlkioWeightDevice: null,
  BlkioDeviceReadBps: null,
  BlkioDeviceWriteBps: null,
  BlkioDeviceReadIOps: null,
  BlkioDeviceWriteIOps: null,
  CpuPeriod: 0,
  CpuQuota: 0,
  CpuRealtimePeriod: 0,
  CpuRealtimeRuntime: 0,
  CpusetCpus: "",
  CpusetMems: "",
  Devices: null,
  DeviceCgroupRules: null,
  DeviceRequests: null,
  MemoryReservation: 0,
  Ulimits: null,
  CpuCount: 0,
  CpuPercent: 0,
  IOMaximumIOps: 0,
  IOMaximumBandwidth: 0,
};

/** As Docker writes them: a container that sees the host's processes or memory, or may do all, has no SELinux label. */
function securityOptions(request: HostConfig): string[] | null {
  const options = request.SecurityOpt ?? null;
  const isUnlabelled =
    request.Privileged === true || request.IpcMode === "host" || request.PidMode === "host";
  if (!isUnlabelled || options?.some((option) => option.startsWith("label"))) return options;
  return [...(options ?? []), "label=disable"];
}

/** A privileged container on version 1 has the host's cgroup namespace whatever the daemon's default is. */
function cgroupnsMode(request: HostConfig, version: 1 | 2, daemons: HostDefaults["cgroupnsMode"]): string {
  if (request.CgroupnsMode) return request.CgroupnsMode;
  if (request.Privileged === true && version === 1) return "host";
  return daemons ?? (version === 2 ? "private" : "host");
}

/** Fills in what a create request left open, with Docker's defaults or the daemon's own (`host`). */
export function withHostDefaults(
  request: HostConfig,
  defaults: {
    readonly runtime: string;
    /** Log driver and options of the daemon. */
    readonly logging: LogConfig;
    readonly cgroupVersion: 1 | 2;
    /** For a request that names no network. */
    readonly networkMode: string;
    readonly host?: HostDefaults;
  },
): HostConfig {
  const { host = plainHostDefaults } = defaults;
  const memory = request.Memory ?? 0;
  const unconfinedPaths =
    request.Privileged === true || (request.SecurityOpt ?? []).includes("systempaths=unconfined");
  const networkMode = request.NetworkMode ?? "";
  return {
    ...unset,
    ...request,
    NetworkMode: networkMode === "" || networkMode === "default" ? defaults.networkMode : networkMode,
    RestartPolicy: {
      Name: request.RestartPolicy?.Name || "no",
      MaximumRetryCount: request.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    LogConfig: withDaemonLogging(request.LogConfig, defaults.logging),
    ShmSize: request.ShmSize || host.shmSizeBytes,
    IpcMode: request.IpcMode || host.ipcMode,
    CgroupnsMode: cgroupnsMode(request, defaults.cgroupVersion, host.cgroupnsMode),
    MemorySwap: memory > 0 && !request.MemorySwap ? memory * 2 : (request.MemorySwap ?? 0),
    MemorySwappiness: request.MemorySwappiness === -1 ? null : (request.MemorySwappiness ?? null),
    OomKillDisable: request.OomKillDisable ?? (defaults.cgroupVersion === 2 ? null : false),
    PidsLimit: (request.PidsLimit ?? 0) > 0 ? request.PidsLimit! : null,
    SecurityOpt: securityOptions(request),
    Runtime: request.Runtime || defaults.runtime,
    MaskedPaths: request.MaskedPaths ?? (unconfinedPaths ? null : [...defaultMaskedPaths]),
    ReadonlyPaths: request.ReadonlyPaths ?? (unconfinedPaths ? null : [...defaultReadonlyPaths]),
  };
}
