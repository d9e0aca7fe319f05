/**
 * Types of the OCI runtime specification (config.md, config-linux.md; v1.1), as far as containers here use them. Pure
 * types; field names are the specification's.
 */

export interface RuntimeSpec {
  ociVersion: string;
  process: RuntimeProcess;
  root: { path: string; readonly: boolean };
  hostname?: string;
  mounts: RuntimeMount[];
  annotations?: Record<string, string>;
  linux: RuntimeLinux;
  hooks?: RuntimeHooks;
}

/** Programs that the runtime runs at points of a container's life; the timeout is in seconds. */
export interface RuntimeHook {
  path: string;
  args?: string[];
  env?: string[];
  timeout?: number;
}

export type RuntimeHooks = Partial<
  Record<
    "prestart" | "createRuntime" | "createContainer" | "startContainer" | "poststart" | "poststop",
    RuntimeHook[]
  >
>;

export interface RuntimeProcess {
  terminal: boolean;
  /** In characters. */
  consoleSize?: { height: number; width: number };
  user: RuntimeUser;
  args: string[];
  env: string[];
  cwd: string;
  capabilities: RuntimeCapabilities;
  rlimits?: RuntimeRlimit[];
  noNewPrivileges: boolean;
  apparmorProfile?: string;
  selinuxLabel?: string;
  oomScoreAdj?: number;
}

export interface RuntimeUser {
  uid: number;
  gid: number;
  umask: number;
  additionalGids: number[];
}

/** Names with `CAP_`. */
export interface RuntimeCapabilities {
  bounding: readonly string[];
  effective: readonly string[];
  permitted: readonly string[];
  inheritable: readonly string[];
  ambient: readonly string[];
}

/** A value is a 64-bit number without a sign; the greatest one is no JavaScript number. */
export interface RuntimeRlimit {
  type: string;
  soft: unknown;
  hard: unknown;
}

export interface RuntimeMount {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

export interface RuntimeDevice {
  path: string;
  type: "c" | "b";
  major: number;
  minor: number;
  fileMode: number;
  uid: number;
  gid: number;
}

export interface DeviceCgroupRule {
  allow: boolean;
  type?: "a" | "c" | "b";
  major?: number;
  minor?: number;
  access: string;
}

export interface RuntimeNamespace {
  type: "pid" | "network" | "ipc" | "uts" | "mount" | "cgroup" | "user";
  path?: string;
}

export interface RuntimeResources {
  devices: DeviceCgroupRule[];
  memory?: {
    limit?: number;
    reservation?: number;
    swap?: number;
    swappiness?: number;
    disableOOMKiller?: boolean;
  };
  cpu?: {
    shares?: number;
    quota?: number;
    period?: number;
    realtimeRuntime?: number;
    realtimePeriod?: number;
    cpus?: string;
    mems?: string;
  };
  pids?: { limit: number };
  blockIO?: {
    weight?: number;
    weightDevice?: { major: number; minor: number; weight: number }[];
    throttleReadBpsDevice?: ThrottleRate[];
    throttleWriteBpsDevice?: ThrottleRate[];
    throttleReadIOPSDevice?: ThrottleRate[];
    throttleWriteIOPSDevice?: ThrottleRate[];
  };
}

export interface ThrottleRate {
  major: number;
  minor: number;
  rate: number;
}

export interface SeccompArgument {
  index: number;
  value: number;
  valueTwo?: number;
  op: string;
}

export interface RuntimeSeccomp {
  defaultAction: string;
  defaultErrnoRet?: number;
  architectures?: string[];
  flags?: string[];
  listenerPath?: string;
  listenerMetadata?: string;
  syscalls: { names: string[]; action: string; errnoRet?: number; args?: SeccompArgument[] }[];
}

export interface RuntimeIdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

export interface RuntimeLinux {
  namespaces: RuntimeNamespace[];
  uidMappings?: RuntimeIdMapping[];
  gidMappings?: RuntimeIdMapping[];
  devices?: RuntimeDevice[];
  cgroupsPath: string;
  resources: RuntimeResources;
  rootfsPropagation?: string;
  seccomp?: RuntimeSeccomp;
  /** SELinux label of the mounts. */
  mountLabel?: string;
  sysctl?: Record<string, string>;
  maskedPaths: string[];
  readonlyPaths: string[];
}
