/**
 * The order of fields in answers. Go writes a structure's fields as they are declared and a map's keys sorted; command
 * lines show an answer as it comes (`docker inspect`, `{{json .}}`, and `{{.Config}}` of gantry's own), so ours have
 * Docker's order. What is in no list follows at the end. Orders: the structures of Docker's `api/types`, version 26 to 28.
 */

const words = (text: string): readonly string[] => text.split(/\s+/).filter((word) => word !== "");

export const containerFields = words(`
  Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver Platform
  MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig GraphDriver SizeRw SizeRootFs ImageManifestDescriptor
  Mounts Config NetworkSettings`);

export const summaryFields = words(`
  Id Names Image ImageID ImageManifestDescriptor Command Created Ports SizeRw SizeRootFs Labels State Status Health
  HostConfig NetworkSettings Mounts`);

/** Of a container, and of an image. */
export const configFields = words(`
  Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin StdinOnce Env Cmd
  Healthcheck ArgsEscaped Image Volumes WorkingDir Entrypoint NetworkDisabled MacAddress OnBuild Labels StopSignal
  StopTimeout Shell`);

export const healthcheckFields = words("Test Interval Timeout StartPeriod StartInterval Retries");

export const hostConfigFields = words(`
  Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom
  ConsoleSize Annotations CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup
  Links OomScoreAdj PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt StorageOpt Tmpfs UTSMode UsernsMode
  ShmSize Sysctls Runtime Isolation CpuShares Memory NanoCpus CgroupParent BlkioWeight BlkioWeightDevice
  BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota
  CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests KernelMemory
  KernelMemoryTCP MemoryReservation MemorySwap MemorySwappiness OomKillDisable PidsLimit Ulimits CpuCount CpuPercent
  IOMaximumIOps IOMaximumBandwidth Mounts MaskedPaths ReadonlyPaths Init`);

export const networkSettingsFields = words(`
  Bridge SandboxID SandboxKey Ports HairpinMode LinkLocalIPv6Address LinkLocalIPv6PrefixLen SecondaryIPAddresses
  SecondaryIPv6Addresses EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen IPAddress IPPrefixLen IPv6Gateway
  MacAddress Networks`);

export const mountRequestFields = words(`
  Type Source Target ReadOnly Consistency BindOptions VolumeOptions ImageOptions TmpfsOptions ClusterOptions`);

export const imageFields = words(`
  Id RepoTags RepoDigests Parent Comment Created Container ContainerConfig DockerVersion Author Config Architecture
  Variant Os OsVersion Size VirtualSize GraphDriver RootFS Metadata Descriptor Manifests`);

export const historyFields = words("Comment Created CreatedBy Id Size Tags");

export const networkFields = words(`
  Name Id Created Scope Driver EnableIPv4 EnableIPv6 IPAM Internal Attachable Ingress ConfigFrom ConfigOnly Containers
  Options Labels`);

export const infoFields = words(`
  ID Containers ContainersRunning ContainersPaused ContainersStopped Images Driver DriverStatus SystemStatus Plugins
  MemoryLimit SwapLimit KernelMemory KernelMemoryTCP CpuCfsPeriod CpuCfsQuota CPUShares CPUSet PidsLimit
  IPv4Forwarding BridgeNfIptables BridgeNfIp6tables Debug NFd OomKillDisable NGoroutines SystemTime LoggingDriver
  CgroupDriver CgroupVersion NEventsListener KernelVersion OperatingSystem OSVersion OSType Architecture
  IndexServerAddress RegistryConfig NCPU MemTotal GenericResources DockerRootDir HttpProxy HttpsProxy NoProxy Name
  Labels ExperimentalBuild ServerVersion Runtimes DefaultRuntime Swarm LiveRestoreEnabled Isolation InitBinary
  ContainerdCommit RuncCommit InitCommit SecurityOptions ProductLicense DefaultAddressPools CDISpecDirs Containerd
  Warnings`);

export const versionFields = words(`
  Platform Components Version ApiVersion MinAPIVersion GitCommit GoVersion Os Arch KernelVersion Experimental
  BuildTime`);

type Json = Record<string, unknown>;

/** The same fields, those of the list first and in its order. */
export function inOrder<T extends object>(value: T, names: readonly string[]): T {
  const source = value as Json;
  const ordered: Json = {};
  for (const name of names) if (source[name] !== undefined) ordered[name] = source[name];
  for (const name of Object.keys(source)) if (!(name in ordered)) ordered[name] = source[name];
  return ordered as T;
}

/** Of two units in UTF-16. */
const surrogate = /[\ud800-\udfff]/;

/** A map with its keys sorted by bytes; what is no map stays as it is, and so does one that is in order. */
export function sortedMap<T>(map: T): T {
  if (map === null || typeof map !== "object" || Array.isArray(map)) return map;
  const keys = Object.keys(map);
  // The order of UTF-16 is that of the bytes, and takes no copy of each text, where there are no surrogates.
  const sorted = keys.some((key) => surrogate.test(key))
    ? keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    : keys.toSorted();
  if (sorted.every((key, at) => key === keys[at])) return map;
  return Object.fromEntries(sorted.map((key) => [key, (map as Json)[key]])) as T;
}

/** Those of the named fields that are maps, sorted. */
export function withSortedMaps<T extends object>(value: T, names: readonly string[]): T {
  const shaped = { ...value } as Json;
  for (const name of names) if (shaped[name] !== undefined) shaped[name] = sortedMap(shaped[name]);
  return shaped as T;
}
