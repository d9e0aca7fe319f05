/**
 * The daemon's options: what came by flag, what came by daemon.json, and the rule between them. Names and meaning are
 * Docker's (dockerd's flags and its configuration file).
 */
import { readFileSync } from "node:fs";
import { errorText, invalidArgument, notImplemented } from "./base/errors.ts";
import type { LogLevel } from "./base/log.ts";
import { parseBuilderSettings } from "./build/gc-policy.ts";
import { checkContainerOptions } from "./daemon-container-options.ts";
import { validateLogging } from "./container/logging/driver-options.ts";
import type { Ulimit } from "./wire/container.ts";
import {
  checkNetworkOptions,
  type DaemonNetworkOptions,
  defaultDaemonNetworkOptions,
  networkOptionRules,
} from "./daemon-network-options.ts";
import { insecureRegistryComplaint, mirrorComplaint } from "./registry/hosts.ts";

export interface DaemonOptions extends DaemonNetworkOptions {
  hosts: string[];
  dataRoot: string;
  execRoot: string;
  pidfile: string;
  group: string;
  debug: boolean;
  logLevel: LogLevel;
  logDriver: string;
  logOptions: Record<string, string>;
  storageDriver: string;
  runtimes: Record<string, { path: string; runtimeArgs?: string[] }>;
  defaultRuntime: string;
  cgroupParent: string;
  labels: string[];
  insecureRegistries: string[];
  registryMirrors: string[];
  maxConcurrentDownloads: number;
  maxConcurrentUploads: number;
  maxDownloadAttempts: number;
  userNamespaceRemap: string;
  cdiSpecDirs: string[];
  tls: boolean;
  tlsVerify: boolean;
  tlsCaCert: string;
  tlsCert: string;
  tlsKey: string;
  /** Containers go on without the daemon. */
  liveRestore: boolean;
  /** Restart policies start containers with the daemon. */
  autoRestart: boolean;
  shutdownTimeoutSeconds: number;
  defaultUlimits: Record<string, Ulimit>;
  seccompProfile: string;
  init: boolean;
  initPath: string;
  /** As it was written: `64M`. */
  defaultShmSize: string;
  defaultIpcMode: string;
  defaultCgroupnsMode: string;
  noNewPrivileges: boolean;
  selinuxEnabled: boolean;
  cpuRealtimePeriodUs: number;
  cpuRealtimeRuntimeUs: number;
  oomScoreAdjust: number;
  /** `native.cgroupdriver=cgroupfs`. */
  execOptions: string[];
  /** Garbage collection of the build cache, entitlements; see `build/gc-policy.ts`. */
  builder: object;
}

const defaultDaemonOptions: DaemonOptions = {
  ...defaultDaemonNetworkOptions,
  hosts: [],
  dataRoot: "/var/lib/gantry",
  execRoot: "/run/gantry",
  pidfile: "",
  group: "docker",
  debug: false,
  logLevel: "info",
  logDriver: "json-file",
  logOptions: {},
  storageDriver: "",
  runtimes: {},
  defaultRuntime: "",
  cgroupParent: "gantry",
  labels: [],
  insecureRegistries: [],
  registryMirrors: [],
  maxConcurrentDownloads: 3,
  maxConcurrentUploads: 5,
  maxDownloadAttempts: 5,
  userNamespaceRemap: "",
  cdiSpecDirs: ["/etc/cdi", "/var/run/cdi"],
  tls: false,
  tlsVerify: false,
  tlsCaCert: "",
  tlsCert: "",
  tlsKey: "",
  liveRestore: true,
  autoRestart: true,
  shutdownTimeoutSeconds: 15,
  defaultUlimits: {},
  seccompProfile: "",
  init: false,
  initPath: "",
  defaultShmSize: "64MiB",
  defaultIpcMode: "private",
  defaultCgroupnsMode: "",
  noNewPrivileges: false,
  selinuxEnabled: false,
  cpuRealtimePeriodUs: 0,
  cpuRealtimeRuntimeUs: 0,
  oomScoreAdjust: 0,
  execOptions: [],
  builder: {},
};

type Kind =
  | "string"
  | "boolean"
  | "number"
  | "list"
  | "runtimes"
  | "pools"
  | "map"
  | "maps"
  | "ulimits"
  | "object";

interface OptionRule {
  readonly option: keyof DaemonOptions;
  readonly flag: string;
  readonly key: string;
  readonly kind: Kind;
}

const rule = (option: keyof DaemonOptions, flag: string, kind: Kind, key = flag): OptionRule => ({
  option,
  flag,
  key,
  kind,
});

/** Every option that can be given: flag, key in daemon.json, kind of its value. */
export const daemonOptionRules: readonly OptionRule[] = [
  rule("hosts", "host", "list", "hosts"),
  rule("dataRoot", "data-root", "string"),
  rule("execRoot", "exec-root", "string"),
  rule("pidfile", "pidfile", "string"),
  rule("group", "group", "string"),
  rule("debug", "debug", "boolean"),
  rule("logDriver", "log-driver", "string"),
  rule("logOptions", "log-opt", "map", "log-opts"),
  rule("logLevel", "log-level", "string"),
  ...networkOptionRules.map(([option, flag, kind, key]) => rule(option, flag, kind, key)),
  rule("storageDriver", "storage-driver", "string"),
  rule("runtimes", "add-runtime", "runtimes", "runtimes"),
  rule("defaultRuntime", "default-runtime", "string"),
  rule("cgroupParent", "cgroup-parent", "string"),
  rule("labels", "label", "list", "labels"),
  rule("insecureRegistries", "insecure-registry", "list", "insecure-registries"),
  rule("registryMirrors", "registry-mirror", "list", "registry-mirrors"),
  rule("maxConcurrentDownloads", "max-concurrent-downloads", "number"),
  rule("maxConcurrentUploads", "max-concurrent-uploads", "number"),
  rule("maxDownloadAttempts", "max-download-attempts", "number"),
  rule("tls", "tls", "boolean"),
  rule("tlsVerify", "tlsverify", "boolean"),
  rule("tlsCaCert", "tlscacert", "string"),
  rule("tlsCert", "tlscert", "string"),
  rule("tlsKey", "tlskey", "string"),
  rule("userNamespaceRemap", "userns-remap", "string"),
  rule("cdiSpecDirs", "cdi-spec-dir", "list", "cdi-spec-dirs"),
  rule("liveRestore", "live-restore", "boolean"),
  // A flag of old, which daemon.json has never had.
  rule("autoRestart", "restart", "boolean", ""),
  rule("shutdownTimeoutSeconds", "shutdown-timeout", "number"),
  rule("defaultUlimits", "default-ulimit", "ulimits", "default-ulimits"),
  rule("seccompProfile", "seccomp-profile", "string"),
  rule("init", "init", "boolean"),
  rule("initPath", "init-path", "string"),
  rule("defaultShmSize", "default-shm-size", "string"),
  rule("defaultIpcMode", "default-ipc-mode", "string"),
  rule("defaultCgroupnsMode", "default-cgroupns-mode", "string"),
  rule("noNewPrivileges", "no-new-privileges", "boolean"),
  rule("selinuxEnabled", "selinux-enabled", "boolean"),
  rule("cpuRealtimePeriodUs", "cpu-rt-period", "number"),
  rule("cpuRealtimeRuntimeUs", "cpu-rt-runtime", "number"),
  rule("oomScoreAdjust", "oom-score-adjust", "number"),
  rule("execOptions", "exec-opt", "list", "exec-opts"),
  // Docker has no flag for it.
  rule("builder", "", "object", "builder"),
];

/** Options that SIGHUP changes while the daemon runs. */
export const reloadableOptions: readonly (keyof DaemonOptions)[] = [
  "debug",
  "logLevel",
  "runtimes",
  "defaultRuntime",
  "labels",
  "liveRestore",
  "insecureRegistries",
  "registryMirrors",
  "maxConcurrentDownloads",
  "maxConcurrentUploads",
  "maxDownloadAttempts",
  "shutdownTimeoutSeconds",
  "defaultShmSize",
  "defaultIpcMode",
  "defaultCgroupnsMode",
];

/** Keys of Docker's file that gantry knows of and does not serve. */
const refusedKeys = new Set(
  (
    "allow-nondistributable-artifacts api-cors-header authorization-plugins containerd containerd-namespace " +
    "data experimental features log-format metrics-addr min-api-version node-generic-resources proxies " +
    "raw-logs rootless storage-opts swarm-default-advertise-addr userland-proxy-path"
  ).split(" "),
);

/** Values of those keys that ask for what gantry does anyway. */
const harmless: Readonly<Record<string, unknown>> = {
  "raw-logs": false,
  rootless: false,
  experimental: false,
  // The one that there is.
  "firewall-backend": "nftables",
};

/**
 * Reads and checks daemon.json. An absent file is no configuration unless it was named by flag.
 * Throws `invalidArgument` for what is no JSON, an unknown key or a value of the wrong type.
 */
export function readConfigFile(path: string, required: boolean): Partial<DaemonOptions> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (!required && (error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw invalidArgument(`unable to configure the daemon with file ${path}: ${errorText(error)}`);
  }
  return parseConfig(text, path);
}

/** Parses the text of daemon.json; see {@link readConfigFile}. */
export function parseConfig(text: string, path: string): Partial<DaemonOptions> {
  const fail = (what: string): Error =>
    invalidArgument(`unable to configure the daemon with file ${path}: ${what}`);
  let json: unknown;
  try {
    json = text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    throw fail(errorText(error));
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw fail("the file must hold one JSON object");
  const options: Record<string, unknown> = {};
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(withNewNames(json))) {
    const found = daemonOptionRules.find((candidate) => candidate.key === key);
    if (found !== undefined) {
      if (!hasKind(value, found.kind)) throw fail(`the value of "${key}" must be a ${found.kind}`);
      options[found.option] = value;
    } else if (Object.hasOwn(harmless, key) && harmless[key] === value) continue;
    else if (refusedKeys.has(key))
      throw notImplemented(
        `unable to configure the daemon with file ${path}: "${key}" is not served by this version of gantry`,
      );
    else unknown.push(key);
  }
  if (unknown.length > 0)
    throw fail(`the following directives don't match any configuration option: ${unknown.join(", ")}`);
  return options;
}

/** Keys that have had another name. */
function withNewNames(json: object): object {
  const { "host-gateway-ip": address, ...others } = json as Record<string, unknown>;
  return typeof address === "string" ? { "host-gateway-ips": [address], ...others } : json;
}

function hasKind(value: unknown, kind: Kind): boolean {
  if (kind === "list") return Array.isArray(value) && value.every((item) => typeof item === "string");
  if (kind === "runtimes")
    return (
      typeof value === "object" &&
      value !== null &&
      Object.values(value).every((entry) => typeof (entry as { path?: unknown } | null)?.path === "string")
    );
  if (kind === "map")
    return (
      typeof value === "object" &&
      value !== null &&
      Object.values(value).every((entry) => typeof entry === "string")
    );
  if (kind === "maps")
    return (
      typeof value === "object" &&
      value !== null &&
      Object.values(value).every((entry) => hasKind(entry, "map"))
    );
  if (kind === "pools")
    return (
      Array.isArray(value) &&
      value.every(
        (entry: { base?: unknown; size?: unknown } | null) =>
          typeof entry?.base === "string" && typeof entry.size === "number",
      )
    );
  if (kind === "ulimits")
    return (
      typeof value === "object" &&
      value !== null &&
      Object.values(value).every(
        (entry: { Soft?: unknown; Hard?: unknown } | null) =>
          Number.isInteger(entry?.Soft) && Number.isInteger(entry?.Hard),
      )
    );
  return typeof value === kind;
}

/** Throws `invalidArgument` in Docker's words. */
function checkLogging({ logDriver, logOptions }: DaemonOptions): void {
  try {
    validateLogging({ Type: logDriver, Config: logOptions });
  } catch (error) {
    throw invalidArgument(`failed to set log opts: ${errorText(error)}`, { cause: error });
  }
}

/** Throws `invalidArgument` in Docker's words. */
function checkRegistryOptions(options: DaemonOptions): void {
  for (const mirror of options.registryMirrors) {
    const complaint = mirrorComplaint(mirror);
    if (complaint !== undefined) throw invalidArgument(complaint);
  }
  for (const registry of options.insecureRegistries) {
    const complaint = insecureRegistryComplaint(registry);
    if (complaint !== undefined) throw invalidArgument(complaint);
  }
  const counts = [
    ["max concurrent downloads", options.maxConcurrentDownloads],
    ["max concurrent uploads", options.maxConcurrentUploads],
    ["max download attempts", options.maxDownloadAttempts],
  ] as const;
  for (const [what, count] of counts)
    if (!Number.isInteger(count) || count < 1)
      throw invalidArgument(`invalid ${what}: ${count} (want 1 or more)`);
}

/**
 * Puts flags (only those that were given) and file together. Throws `invalidArgument` when a key is in both, as Docker
 * does, and for values that make no sense.
 */
export function mergeDaemonOptions(
  flags: Partial<DaemonOptions>,
  file: Partial<DaemonOptions>,
): DaemonOptions {
  const clashes = daemonOptionRules.filter(
    ({ option }) => Object.hasOwn(flags, option) && Object.hasOwn(file, option),
  );
  if (clashes.length > 0)
    throw invalidArgument(
      "unable to configure the daemon: the following directives are specified both as a flag and in the configuration file: " +
        clashes
          .map(
            ({ option, key }) =>
              `${key}: (from flag: ${JSON.stringify(flags[option])}, from file: ${JSON.stringify(file[option])})`,
          )
          .join(", "),
    );
  const options: DaemonOptions = { ...defaultDaemonOptions, ...file, ...flags };
  if (!["debug", "info", "warn", "error", "fatal"].includes(options.logLevel))
    throw invalidArgument(
      `invalid logging level: ${options.logLevel} (want debug, info, warn, error or fatal)`,
    );
  checkNetworkOptions(options);
  checkRegistryOptions(options);
  checkLogging(options);
  checkContainerOptions(options);
  parseBuilderSettings(options.builder);
  for (const label of options.labels)
    if (!label.includes("=")) throw invalidArgument(`bad attribute format: ${label} (want key=value)`);
  if (options.hosts.length === 0) options.hosts = [`unix://${options.execRoot}/gantry.sock`];
  if (options.pidfile === "") options.pidfile = `${options.execRoot}/gantry.pid`;
  options.cgroupParent = options.cgroupParent.replace(/^\/+|\/+$/g, "");
  return options;
}
