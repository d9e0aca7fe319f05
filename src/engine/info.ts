import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { cpus, hostname, machine, release, totalmem } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "../base/atomic-file.ts";
import { nowRfc3339 } from "../base/time.ts";
import { hasAppArmor } from "../container/apparmor.ts";
import { logDrivers } from "../container/logging/driver-options.ts";
import { installedInit } from "../container/spec-mounts.ts";
import type { SystemInfo } from "../wire/system.ts";
import { engineVersion } from "./config.ts";
import type { EngineContext } from "./context.ts";
import { isAddressRange } from "../registry/hosts.ts";

/** What `docker info` shows. */
export async function info(context: EngineContext): Promise<SystemInfo> {
  const { config } = context;
  const containers = context.containers.list();
  const count = (...statuses: string[]): number =>
    containers.filter((c) => statuses.includes(c.state.status)).length;
  const running = count("running", "restarting");
  const paused = count("paused");
  return {
    ID: daemonId(config.dataRoot),
    Containers: containers.length,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: containers.length - running - paused,
    Images: context.images.list().length,
    Driver: context.snapshotter.name,
    DriverStatus: context.snapshotter.status(),
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "ipvlan", "macvlan", "null"],
      Authorization: null,
      Log: [...logDrivers],
    },
    ...kernelFeatures(context.cgroups.version === 2),
    Debug: config.debug,
    NFd: readdirSync("/proc/self/fd").length,
    NGoroutines: 1,
    SystemTime: nowRfc3339(),
    LoggingDriver: config.logging.Type || "json-file",
    CgroupDriver: "cgroupfs",
    CgroupVersion: String(context.cgroups.version),
    NEventsListener: context.events.listenerCount,
    ...hostFacts(),
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: registryConfig(context),
    GenericResources: null,
    DockerRootDir: config.dataRoot,
    HttpProxy: withoutCredentials(process.env["HTTP_PROXY"] ?? ""),
    HttpsProxy: withoutCredentials(process.env["HTTPS_PROXY"] ?? ""),
    NoProxy: process.env["NO_PROXY"] ?? "",
    Name: hostname(),
    Labels: [...config.labels],
    ExperimentalBuild: false,
    ServerVersion: engineVersion,
    ...runtimeFacts(context),
    Swarm: {
      NodeID: "",
      NodeAddr: "",
      LocalNodeState: "inactive",
      ControlAvailable: false,
      Error: "",
      RemoteManagers: null,
    },
    LiveRestoreEnabled: config.liveRestore,
    Isolation: "",
    SecurityOptions: securityOptions(context),
    CDISpecDirs: [...context.config.cdiDirectories],
    ...(config.defaultAddressPools.length > 0 && {
      DefaultAddressPools: config.defaultAddressPools.map(({ base: Base, size: Size }) => ({ Base, Size })),
    }),
    Warnings: context.runtimes.warnings.length > 0 ? [...context.runtimes.warnings] : null,
  };
}

/** Made once for each data root, as `docker info` shows it. */
export function daemonId(dataRoot: string): string {
  const path = join(dataRoot, "engine-id");
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    const id = randomUUID();
    writeFileAtomic(path, `${id}\n`);
    return id;
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function kernelFeatures(isV2: boolean): SystemInfo {
  return {
    MemoryLimit: true,
    SwapLimit: isV2 || readText("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes") !== "",
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    OomKillDisable: !isV2,
    IPv4Forwarding: readText("/proc/sys/net/ipv4/ip_forward").trim() === "1",
  };
}

function hostFacts(): SystemInfo {
  const osRelease = new Map(
    [...readText("/etc/os-release").matchAll(/^(\w+)="?(.*?)"?$/gm)].map((match) => [match[1]!, match[2]!]),
  );
  return {
    KernelVersion: release(),
    OperatingSystem: osRelease.get("PRETTY_NAME") ?? "Linux",
    OSVersion: osRelease.get("VERSION_ID") ?? "",
    OSType: "linux",
    Architecture: machine(),
    NCPU: cpus().length,
    MemTotal: totalmem(),
  };
}

function registryConfig(context: EngineContext): SystemInfo {
  const official = {
    Name: "docker.io",
    Mirrors: [...context.config.registryMirrors],
    Secure: true,
    Official: true,
  };
  const ranges = context.config.insecureRegistries.filter(isAddressRange);
  const named = context.config.insecureRegistries
    .filter((entry) => !isAddressRange(entry))
    .map((name) => [name, { Name: name, Mirrors: [], Secure: false, Official: false }]);
  return {
    InsecureRegistryCIDRs: ["::1/128", "127.0.0.0/8", ...ranges],
    IndexConfigs: { "docker.io": official, ...Object.fromEntries(named) },
    Mirrors: context.config.registryMirrors.length > 0 ? [...context.config.registryMirrors] : null,
  };
}

function runtimeFacts(context: EngineContext): SystemInfo {
  const { runtimes } = context;
  const id = (name: string): string => {
    const found = runtimes.versions.find((program) => program.name === name);
    return found === undefined ? "N/A" : `${name} ${found.version}`;
  };
  return {
    Runtimes: Object.fromEntries(runtimes.names.map((name) => [name, { path: runtimes.get(name).path }])),
    DefaultRuntime: runtimes.defaultName,
    InitBinary: context.config.containerDefaults.initPath ?? installedInit() ?? "",
    ContainerdCommit: { ID: id("conmon") },
    RuncCommit: { ID: id(runtimes.defaultName) },
    InitCommit: { ID: "N/A" },
  };
}

function securityOptions({ config, cgroups, labelling }: EngineContext): string[] {
  const { containerDefaults, idMap } = config;
  return [
    ...(hasAppArmor() ? ["name=apparmor"] : []),
    `name=seccomp,profile=${containerDefaults.seccomp.name}`,
    ...(labelling === undefined ? [] : ["name=selinux"]),
    ...(idMap === undefined ? [] : ["name=userns"]),
    ...(cgroups.version === 2 ? ["name=cgroupns"] : []),
    ...(containerDefaults.noNewPrivileges ? ["name=no-new-privileges"] : []),
  ];
}

/** A proxy's address as everybody who may ask the daemon may see it: Docker's form. */
function withoutCredentials(proxy: string): string {
  return proxy.replace(/^([a-z][a-z0-9+.-]*:\/\/)?[^/@\s]*(?:@[^/@\s]*)*@/i, "$1xxxxx:xxxxx@");
}
