/** Types of a request's fields: what comes over the wire is anything at all until it was looked at. */
import { invalidArgument } from "../base/errors.ts";
import type { ContainerConfig, HostConfig } from "../wire/container.ts";

type Kind = "string" | "number" | "boolean" | "strings" | "object" | "objects";

const names: Readonly<Record<Kind, string>> = {
  string: "a string",
  number: "a whole number",
  boolean: "true or false",
  strings: "a list of strings",
  object: "an object",
  objects: "a list of objects",
};

const isObject = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const checks: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string",
  number: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === "boolean",
  strings: (value) => Array.isArray(value) && value.every((item) => typeof item === "string"),
  object: isObject,
  objects: (value) => Array.isArray(value) && value.every(isObject),
};

const words = (text: string): string[] => text.trim().split(/\s+/);

const configFields: Readonly<Record<Kind, readonly string[]>> = {
  string: words("Hostname Domainname User Image WorkingDir MacAddress StopSignal"),
  number: words("StopTimeout"),
  boolean: words("AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce ArgsEscaped NetworkDisabled"),
  strings: words("Env Cmd Entrypoint OnBuild Shell"),
  object: words("ExposedPorts Volumes Labels Healthcheck"),
  objects: [],
};

const hostFields: Readonly<Record<Kind, readonly string[]>> = {
  string: words(
    `CgroupParent CpusetCpus CpusetMems ContainerIDFile NetworkMode VolumeDriver CgroupnsMode IpcMode Cgroup PidMode
     UTSMode UsernsMode Runtime Isolation`,
  ),
  number: words(
    `CpuShares Memory NanoCpus BlkioWeight CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime MemoryReservation
     MemorySwap MemorySwappiness PidsLimit OomScoreAdj ShmSize`,
  ),
  boolean: words("OomKillDisable AutoRemove Privileged PublishAllPorts ReadonlyRootfs Init"),
  strings: words(
    `DeviceCgroupRules Binds VolumesFrom CapAdd CapDrop Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links SecurityOpt
     MaskedPaths ReadonlyPaths`,
  ),
  object: words("LogConfig PortBindings RestartPolicy Annotations StorageOpt Tmpfs Sysctls"),
  objects: words(
    `BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps Devices
     DeviceRequests Ulimits Mounts`,
  ),
};

/** Throws `invalidArgument` for a field of another type; null and absent fields are fine. */
export function checkConfigShape(config: ContainerConfig): void {
  checkFields(config, configFields, "");
  checkStringValues(config.Labels, "Labels");
  const health = config.Healthcheck;
  if (health) {
    checkFields(health, { ...none, strings: ["Test"], number: healthNumbers }, "Healthcheck.");
  }
}

const none: Readonly<Record<Kind, readonly string[]>> = {
  string: [],
  number: [],
  boolean: [],
  strings: [],
  object: [],
  objects: [],
};
const healthNumbers = words("Interval Timeout Retries StartPeriod StartInterval");

/** As {@link checkConfigShape}. */
export function checkHostConfigShape(host: HostConfig): void {
  checkFields(host, hostFields, "HostConfig.");
  for (const field of ["Annotations", "StorageOpt", "Tmpfs", "Sysctls"] as const)
    checkStringValues(host[field], `HostConfig.${field}`);
  checkStringValues(host.LogConfig?.Config, "HostConfig.LogConfig.Config");
  for (const bindings of Object.values(host.PortBindings ?? {})) {
    requireKind(bindings ?? [], "objects", "HostConfig.PortBindings");
    for (const binding of bindings ?? [])
      checkFields(binding, { ...none, string: ["HostIp", "HostPort"] }, "HostConfig.PortBindings.");
  }
  const nested = [
    [host.RestartPolicy, { ...none, string: ["Name"], number: ["MaximumRetryCount"] }],
    [host.LogConfig, { ...none, string: ["Type"] }],
    ...(host.Ulimits ?? []).map((u) => [u, { ...none, string: ["Name"], number: ["Soft", "Hard"] }] as const),
    ...(host.Devices ?? []).map(
      (d) => [d, { ...none, string: ["PathOnHost", "PathInContainer", "CgroupPermissions"] }] as const,
    ),
    ...(host.Mounts ?? []).map((m) => [m, mountFields] as const),
    ...(host.Mounts ?? []).flatMap((m) => [
      [m.BindOptions, { ...none, string: ["Propagation"] }] as const,
      [m.VolumeOptions, { ...none, string: ["Subpath"], object: ["DriverConfig", "Labels"] }] as const,
      [m.TmpfsOptions, { ...none, number: ["SizeBytes", "Mode"] }] as const,
    ]),
    ...[
      host.BlkioWeightDevice,
      host.BlkioDeviceReadBps,
      host.BlkioDeviceWriteBps,
      host.BlkioDeviceReadIOps,
      host.BlkioDeviceWriteIOps,
    ].flatMap((list) =>
      (list ?? []).map((d) => [d, { ...none, string: ["Path"], number: ["Rate", "Weight"] }] as const),
    ),
  ] as const;
  for (const [value, fields] of nested) if (value) checkFields(value, fields, "HostConfig, ");
}

const mountFields = {
  ...none,
  string: words("Target Source Type Consistency"),
  boolean: ["ReadOnly"],
  object: words("BindOptions VolumeOptions TmpfsOptions ImageOptions"),
};

function checkFields(value: object, fields: Readonly<Record<Kind, readonly string[]>>, prefix: string): void {
  const record = value as Readonly<Record<string, unknown>>;
  for (const [kind, list] of Object.entries(fields) as [Kind, readonly string[]][])
    for (const field of list) requireKind(record[field], kind, prefix + field);
}

function requireKind(value: unknown, kind: Kind, field: string): void {
  if (value !== undefined && value !== null && !checks[kind](value))
    throw invalidArgument(`invalid request: ${field} must be ${names[kind]}`);
}

function checkStringValues(value: object | null | undefined, field: string): void {
  for (const [key, item] of Object.entries(value ?? {}))
    if (typeof item !== "string") throw invalidArgument(`invalid request: ${field}.${key} must be a string`);
}
