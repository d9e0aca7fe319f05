/**
 * From a container's record to the OCI runtime's `config.json` (OCI runtime specification 1.1, config.md and
 * config-linux.md), with Docker's defaults.
 */
import { existsSync, readdirSync } from "node:fs";
import { hostname as hostHostname } from "node:os";
import type { IdMap, IdRange } from "../linux/user-namespace.ts";
import type {
  RuntimeIdMapping,
  RuntimeLinux,
  RuntimeNamespace,
  RuntimeProcess,
  RuntimeSeccomp,
  RuntimeSpec,
} from "../oci/runtime-spec.ts";
import type { HostConfig } from "../wire/container.ts";
import { containerProfile } from "./apparmor.ts";
import { cleanPath } from "./binds.ts";
import { capabilitySets, chooseCapabilities } from "./capabilities.ts";
import type { ContainerRecord } from "./container.ts";
import { type ContainerDefaults, plainDefaults, withDefaultUlimits } from "./defaults.ts";
import type { DeviceEdits } from "./cdi.ts";
import { containerDevices } from "./devices.ts";
import { baseEnv, hasEnv, overlayEnv } from "./environment.ts";
import { labelsInUse } from "./labelling.ts";
import { containerOomScore, containerResources, containerRlimits } from "./resources.ts";
import { prepareRoot } from "./root-files.ts";
import { customSeccomp, defaultSeccomp } from "./seccomp.ts";
import { parseSecurityOptions, type SecurityOptions } from "./security-options.ts";
import { checkMountPlaces } from "./mount-places.ts";
import { containerMounts, initArguments, usesInit, type NetworkFilePaths } from "./spec-mounts.ts";
import { resolveUser } from "./user.ts";

export interface SpecInputs extends NetworkFilePaths {
  /** The mounted root. */
  readonly rootfs: string;
  /** Path of the network namespace; undefined for the host's. */
  readonly sandboxPath: string | undefined;
  readonly cgroupPath: string;
  readonly joined?: JoinedNamespaces;
  /** Of a container whose ids are not the host's. */
  readonly userNamespace?: { readonly path: string; readonly map: IdMap } | undefined;
  /** Of `--gpus` and of devices by CDI. */
  readonly deviceEdits?: DeviceEdits | undefined;
  /** Of the daemon, for what the container does not say. */
  readonly defaults?: ContainerDefaults;
}

/** What a container shares with another one, by path; undefined fields for what is its own or the host's. */
export interface JoinedNamespaces {
  readonly pid?: string;
  readonly ipc?: string;
  /** Directory on the host that is its `/dev/shm`. */
  readonly shm?: string;
}

export interface BuiltSpec {
  readonly spec: RuntimeSpec;
  /** What could not be given as it was asked for. */
  readonly warnings: string[];
}

/** Default umask of a container's first process. */
const umask = 0o022;

/**
 * Builds the runtime's configuration. Reads the root's passwd and group, and puts into it what Docker's containers have
 * there. Synchronous: it is on the way of every start.
 * Throws `invalidArgument` for a user, device or propagation that is not there, `unavailable` for a missing init program.
 */
export function buildSpec(container: ContainerRecord, inputs: SpecInputs): BuiltSpec {
  const warnings: string[] = [];
  const { hostConfig, config } = container;
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  const capabilities = containerCapabilities(hostConfig, warnings);
  const { defaults = plainDefaults } = inputs;
  const mounts = containerMounts(
    container,
    { ...inputs, shm: inputs.joined?.shm },
    { writableCgroups: security.writableCgroups, defaults },
  );
  const privateUts = hostConfig.UTSMode !== "host";
  const spec: RuntimeSpec = {
    ociVersion: "1.0.2",
    process: buildProcess(container, inputs.rootfs, { capabilities, security, defaults, warnings }),
    root: { path: inputs.rootfs, readonly: hostConfig.ReadonlyRootfs === true },
    ...(privateUts ? { hostname: config.Hostname || hostHostname() } : {}),
    mounts: mounts.mounts,
    ...(hostConfig.Annotations ? { annotations: { ...hostConfig.Annotations } } : {}),
    linux: buildLinux(container, inputs, { capabilities, security, defaults }),
  };
  checkMountPlaces(inputs.rootfs, mounts.ofUser, { masksPaths: (spec.linux.maskedPaths ?? []).length > 0 });
  if (mounts.rootfsPropagation !== undefined) spec.linux.rootfsPropagation = mounts.rootfsPropagation;
  if (inputs.deviceEdits !== undefined) addDevices(spec, inputs.deviceEdits);
  // With ids of its own the root is marked by who mounts it.
  if (inputs.userNamespace === undefined) prepareRoot(inputs.rootfs);
  return { spec, warnings };
}

function addDevices(spec: RuntimeSpec, edits: DeviceEdits): void {
  const { process, linux } = spec;
  process.env = overlayEnv(process.env, edits.env);
  process.user.additionalGids.push(...edits.additionalGids);
  linux.devices = [...(linux.devices ?? []), ...edits.devices];
  linux.resources.devices.push(...edits.rules);
  spec.mounts.push(...edits.mounts);
  if (Object.keys(edits.hooks).length > 0) spec.hooks = edits.hooks;
}

/** The bounding set of a container's processes. */
export function containerCapabilities(hostConfig: HostConfig, warnings: string[]): readonly string[] {
  const { names, missing } = chooseCapabilities({
    privileged: hostConfig.Privileged === true,
    add: hostConfig.CapAdd ?? [],
    drop: hostConfig.CapDrop ?? [],
  });
  for (const name of missing)
    warnings.push(`capability ${name} cannot be given: the daemon does not have it itself`);
  return names;
}

interface Rights {
  readonly capabilities: readonly string[];
  readonly security: SecurityOptions;
  readonly defaults: ContainerDefaults;
}

function buildProcess(
  container: ContainerRecord,
  rootfs: string,
  { capabilities, security, defaults, warnings }: Rights & { readonly warnings: string[] },
): RuntimeProcess {
  const { config, hostConfig } = container;
  const terminal = config.Tty === true;
  const user = resolveUser(rootfs, config.User ?? "", hostConfig.GroupAdd ?? []);
  const rlimits = containerRlimits(withDefaultUlimits(hostConfig.Ulimits, defaults.ulimits), warnings);
  const oomScoreAdj = containerOomScore(hostConfig.OomScoreAdj ?? 0, warnings);
  const [height = 0, width = 0] = hostConfig.ConsoleSize ?? [];
  const apparmorProfile = containerProfile(security.apparmor, hostConfig.Privileged === true);
  return {
    terminal,
    ...(terminal && height > 0 && width > 0 ? { consoleSize: { height, width } } : {}),
    user: { uid: user.uid, gid: user.gid, umask, additionalGids: user.additionalGids },
    args: [...(usesInit(hostConfig, defaults) ? initArguments : []), container.path, ...container.args],
    env: containerEnv(container, user.home),
    cwd: cleanPath(config.WorkingDir || "/"),
    capabilities: capabilitySets(capabilities, user.uid),
    ...(rlimits.length > 0 ? { rlimits } : {}),
    noNewPrivileges: security.noNewPrivileges ?? defaults.noNewPrivileges,
    ...(apparmorProfile === undefined ? {} : { apparmorProfile }),
    ...processLabel(container),
    ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
  };
}

/** The SELinux label of a container's processes; nothing where there is none. */
export function processLabel(container: ContainerRecord): Pick<RuntimeProcess, "selinuxLabel"> {
  const { processLabel: label } = labelsInUse(container);
  return label === undefined ? {} : { selinuxLabel: label };
}

/** The environment of a container's first process. */
export function containerEnv({ config, linkEnv = [] }: ContainerRecord, home: string): string[] {
  const base = baseEnv({ hostname: config.Hostname || hostHostname(), terminal: config.Tty === true });
  const env = overlayEnv([...base, ...linkEnv], config.Env ?? []);
  if (!hasEnv(env, "HOME")) env.push(`HOME=${home}`);
  return env;
}

function buildLinux(container: ContainerRecord, inputs: SpecInputs, rights: Rights): RuntimeLinux {
  const { hostConfig } = container;
  const privileged = hostConfig.Privileged === true;
  const { devices, rules } = containerDevices({
    privileged,
    mappings: hostConfig.Devices ?? [],
    cgroupRules: hostConfig.DeviceCgroupRules ?? [],
  });
  const sysctl = containerSysctls(container, inputs.sandboxPath, inputs.userNamespace?.map);
  const seccomp = containerSeccomp(privileged, rights);
  const { mountLabel } = labelsInUse(container);
  const masked = hostConfig.MaskedPaths ?? [];
  return {
    namespaces: namespaces(hostConfig, inputs),
    ...idMappings(inputs.userNamespace?.map),
    ...(devices.length > 0 ? { devices } : {}),
    cgroupsPath: inputs.cgroupPath,
    resources: containerResources(hostConfig, rules),
    ...(seccomp === undefined ? {} : { seccomp }),
    ...(mountLabel === undefined ? {} : { mountLabel }),
    ...(sysctl === undefined ? {} : { sysctl }),
    maskedPaths: privileged ? [] : masked.length > 0 ? [...masked, ...thermalPaths()] : [],
    readonlyPaths: privileged ? [] : [...(hostConfig.ReadonlyPaths ?? [])],
  };
}

function containerSeccomp(
  privileged: boolean,
  { capabilities, security, defaults }: Rights,
): RuntimeSeccomp | undefined {
  if (security.seccomp === "unconfined") return undefined;
  if (security.seccomp === "builtin") return defaultSeccomp(capabilities);
  if (security.seccomp !== "default") return customSeccomp(security.seccomp, capabilities);
  if (privileged || defaults.seccomp.name === "unconfined") return undefined;
  const { json } = defaults.seccomp;
  return json === undefined ? defaultSeccomp(capabilities) : customSeccomp(json, capabilities);
}

function idMappings(map: IdMap | undefined): Pick<RuntimeLinux, "uidMappings" | "gidMappings"> {
  if (map === undefined) return {};
  const mapping = ({ first, size }: IdRange): RuntimeIdMapping[] => [{ containerID: 0, hostID: first, size }];
  return { uidMappings: mapping(map.uids), gidMappings: mapping(map.gids) };
}

function namespaces(
  hostConfig: HostConfig,
  { sandboxPath, joined = {}, userNamespace }: Pick<SpecInputs, "sandboxPath" | "joined" | "userNamespace">,
): RuntimeNamespace[] {
  const withPath = (path: string | undefined): { path?: string } => (path === undefined ? {} : { path });
  const list: RuntimeNamespace[] = [{ type: "mount" }];
  if (sandboxPath !== undefined) list.push({ type: "network", path: sandboxPath });
  if (hostConfig.UTSMode !== "host") list.push({ type: "uts" });
  if (hostConfig.PidMode !== "host") list.push({ type: "pid", ...withPath(joined.pid) });
  if (hostConfig.IpcMode !== "host") list.push({ type: "ipc", ...withPath(joined.ipc) });
  if (userNamespace !== undefined) list.push({ type: "user", path: userNamespace.path });
  if (hostConfig.CgroupnsMode === "private") list.push({ type: "cgroup" });
  return list;
}

/**
 * Docker's settings for a network namespace of the container's own: ping without CAP_NET_RAW and low ports without
 * CAP_NET_BIND_SERVICE. A shared namespace keeps what its owner has set.
 */
function containerSysctls(
  { hostConfig, config }: ContainerRecord,
  sandboxPath: string | undefined,
  map: IdMap | undefined,
): Record<string, string> | undefined {
  const settings: Record<string, string> = {};
  const isShared = (hostConfig.NetworkMode ?? "").startsWith("container:");
  if (sandboxPath !== undefined && !isShared) Object.assign(settings, networkDefaults());
  if (config.Domainname && hostConfig.UTSMode !== "host") settings["kernel.domainname"] = config.Domainname;
  // Only groups that the namespace has can be named.
  if (map !== undefined && "net.ipv4.ping_group_range" in settings)
    settings["net.ipv4.ping_group_range"] = `0 ${map.gids.size - 1}`;
  Object.assign(settings, hostConfig.Sysctls ?? {});
  return Object.keys(settings).length > 0 ? settings : undefined;
}

let knownNetworkDefaults: Record<string, string> | undefined;

/** Those that this kernel has. */
function networkDefaults(): Record<string, string> {
  knownNetworkDefaults ??= Object.fromEntries(
    [
      ["net.ipv4.ping_group_range", "0 2147483647"] as const,
      ["net.ipv4.ip_unprivileged_port_start", "0"] as const,
    ].filter(([name]) => existsSync(`/proc/sys/${name.replaceAll(".", "/")}`)),
  );
  return knownNetworkDefaults;
}

let knownThermalPaths: string[] | undefined;

/** Counters of each processor that are masked too: they tell what the host is doing. */
function thermalPaths(): string[] {
  const root = "/sys/devices/system/cpu";
  knownThermalPaths ??= existsSync(root)
    ? readdirSync(root)
        .filter((name) => /^cpu\d+$/.test(name))
        .map((name) => `${root}/${name}/thermal_throttle`)
        .filter((path) => existsSync(path))
    : [];
  return knownThermalPaths;
}
