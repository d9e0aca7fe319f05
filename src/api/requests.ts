/** The bodies of requests: one decoder for each type of `wire/` that a client sends. */
import type {
  ContainerConfig,
  ContainerCreateRequest,
  DeviceMapping,
  EndpointSettings,
  HealthConfig,
  HostConfig,
  LogConfig,
  MountRequest,
  NetworkingConfig,
  PortBinding,
  RestartPolicy,
  ThrottleDevice,
  Ulimit,
  WeightDevice,
} from "../wire/container.ts";
import type { ExecCreateRequest, ExecStartRequest } from "../wire/exec.ts";
import type {
  Ipam,
  IpamConfig,
  NetworkConnectRequest,
  NetworkCreateRequest,
  NetworkDisconnectRequest,
} from "../wire/network.ts";
import type { RegistryAuth } from "../wire/registry.ts";
import type { VolumeCreateRequest } from "../wire/volume.ts";
import {
  anyObject,
  arrayOf,
  boolean,
  commandLine,
  type Decoder,
  type Fields,
  integer,
  keySet,
  mapOf,
  object,
  string,
  stringMap,
  strings,
} from "./decode.ts";

/** `[height, width]`: what is missing is 0, what is too much is dropped, as Go reads a `[2]uint`. */
const consoleSize: Decoder<[number, number]> = (value, field) => {
  const [height = 0, width = 0] = arrayOf(integer, 0)(value, field);
  return [height, width];
};

const healthConfig = object<HealthConfig>({
  Test: strings,
  Interval: integer,
  Timeout: integer,
  Retries: integer,
  StartPeriod: integer,
  StartInterval: integer,
});

const containerConfigFields: Fields<ContainerConfig> = {
  Hostname: string,
  Domainname: string,
  User: string,
  AttachStdin: boolean,
  AttachStdout: boolean,
  AttachStderr: boolean,
  ExposedPorts: keySet,
  Tty: boolean,
  OpenStdin: boolean,
  StdinOnce: boolean,
  Env: strings,
  Cmd: commandLine,
  Healthcheck: healthConfig,
  ArgsEscaped: boolean,
  Image: string,
  Volumes: keySet,
  WorkingDir: string,
  Entrypoint: commandLine,
  NetworkDisabled: boolean,
  MacAddress: string,
  OnBuild: strings,
  Labels: stringMap,
  StopSignal: string,
  StopTimeout: integer,
  Shell: commandLine,
};

const mount = object<MountRequest>({
  Target: string,
  Source: string,
  Type: string,
  ReadOnly: boolean,
  Consistency: string,
  BindOptions: object<NonNullable<MountRequest["BindOptions"]>>({
    Propagation: string,
    NonRecursive: boolean,
    CreateMountpoint: boolean,
    ReadOnlyNonRecursive: boolean,
    ReadOnlyForceRecursive: boolean,
  }),
  VolumeOptions: object<NonNullable<MountRequest["VolumeOptions"]>>({
    NoCopy: boolean,
    Labels: stringMap,
    DriverConfig: object<{ Name?: string; Options?: Record<string, string> | null }>({
      Name: string,
      Options: stringMap,
    }),
    Subpath: string,
  }),
  TmpfsOptions: object<NonNullable<MountRequest["TmpfsOptions"]>>({
    SizeBytes: integer,
    Mode: integer,
    Options: arrayOf(strings, []),
  }),
  ImageOptions: object<{ Subpath?: string }>({ Subpath: string }),
});

const readPortBinding = object<PortBinding>({ HostIp: string, HostPort: string });
/** Both fields are there, as in a structure of Go's. */
const portBinding: Decoder<PortBinding> = (value, field) => ({
  HostIp: "",
  HostPort: "",
  ...readPortBinding(value, field),
});
const portBindings: Decoder<PortBinding[] | null> = arrayOf(portBinding, { HostIp: "", HostPort: "" });
const throttleDevices = arrayOf(object<ThrottleDevice>({ Path: string, Rate: integer }), {});

const hostConfig = object<HostConfig>({
  CpuShares: integer,
  Memory: integer,
  NanoCpus: integer,
  CgroupParent: string,
  BlkioWeight: integer,
  BlkioWeightDevice: arrayOf(object<WeightDevice>({ Path: string, Weight: integer }), {}),
  BlkioDeviceReadBps: throttleDevices,
  BlkioDeviceWriteBps: throttleDevices,
  BlkioDeviceReadIOps: throttleDevices,
  BlkioDeviceWriteIOps: throttleDevices,
  CpuPeriod: integer,
  CpuQuota: integer,
  CpuRealtimePeriod: integer,
  CpuRealtimeRuntime: integer,
  CpusetCpus: string,
  CpusetMems: string,
  Devices: arrayOf(
    object<DeviceMapping>({ PathOnHost: string, PathInContainer: string, CgroupPermissions: string }),
    {},
  ),
  DeviceCgroupRules: strings,
  DeviceRequests: arrayOf(anyObject, {}),
  MemoryReservation: integer,
  MemorySwap: integer,
  MemorySwappiness: integer,
  OomKillDisable: boolean,
  PidsLimit: integer,
  CpuCount: integer,
  CpuPercent: integer,
  IOMaximumIOps: integer,
  IOMaximumBandwidth: integer,
  Ulimits: arrayOf(object<Ulimit>({ Name: string, Soft: integer, Hard: integer }), {}),
  Binds: strings,
  ContainerIDFile: string,
  LogConfig: object<LogConfig>({ Type: string, Config: stringMap }),
  NetworkMode: string,
  PortBindings: mapOf(portBindings, null),
  RestartPolicy: object<RestartPolicy>({ Name: string, MaximumRetryCount: integer }),
  AutoRemove: boolean,
  VolumeDriver: string,
  VolumesFrom: strings,
  Mounts: arrayOf(mount, {}),
  ConsoleSize: consoleSize,
  Annotations: stringMap,
  CapAdd: commandLine,
  CapDrop: commandLine,
  CgroupnsMode: string,
  Dns: strings,
  DnsOptions: strings,
  DnsSearch: strings,
  ExtraHosts: strings,
  GroupAdd: strings,
  IpcMode: string,
  Cgroup: string,
  Links: strings,
  OomScoreAdj: integer,
  PidMode: string,
  Privileged: boolean,
  PublishAllPorts: boolean,
  ReadonlyRootfs: boolean,
  SecurityOpt: strings,
  StorageOpt: stringMap,
  Tmpfs: stringMap,
  UTSMode: string,
  UsernsMode: string,
  ShmSize: integer,
  Sysctls: stringMap,
  Runtime: string,
  Init: boolean,
  Isolation: string,
  MaskedPaths: strings,
  ReadonlyPaths: strings,
});

const endpointSettings: Decoder<EndpointSettings | null> = object<EndpointSettings>({
  IPAMConfig: object<NonNullable<EndpointSettings["IPAMConfig"]>>({
    IPv4Address: string,
    IPv6Address: string,
    LinkLocalIPs: strings,
  }),
  Links: strings,
  Aliases: strings,
  MacAddress: string,
  DriverOpts: stringMap,
  GwPriority: integer,
  NetworkID: string,
  EndpointID: string,
  Gateway: string,
  IPAddress: string,
  IPPrefixLen: integer,
  IPv6Gateway: string,
  GlobalIPv6Address: string,
  GlobalIPv6PrefixLen: integer,
  DNSNames: strings,
});

/** Body of `POST /containers/create`. */
export const containerCreateRequest = object<ContainerCreateRequest>({
  ...containerConfigFields,
  HostConfig: hostConfig,
  NetworkingConfig: object<NetworkingConfig>({ EndpointsConfig: mapOf(endpointSettings, null) }),
});

/** Body of `POST /auth`, and what `X-Registry-Auth` holds. */
export const registryAuth = object<RegistryAuth>({
  username: string,
  password: string,
  serveraddress: string,
  identitytoken: string,
  registrytoken: string,
});

const ipamConfig = object<IpamConfig>({
  Subnet: string,
  IPRange: string,
  Gateway: string,
  AuxiliaryAddresses: stringMap,
});

/** Body of `POST /networks/create`. */
export const networkCreateRequest = object<NetworkCreateRequest>({
  Name: string,
  CheckDuplicate: boolean,
  Driver: string,
  Scope: string,
  EnableIPv4: boolean,
  EnableIPv6: boolean,
  IPAM: object<Ipam>({ Driver: string, Options: stringMap, Config: arrayOf(ipamConfig, {}) }),
  Internal: boolean,
  Attachable: boolean,
  Ingress: boolean,
  ConfigOnly: boolean,
  ConfigFrom: object<{ Network?: string }>({ Network: string }),
  Options: stringMap,
  Labels: stringMap,
});

/** Body of `POST /networks/{id}/connect`. */
export const networkConnectRequest = object<NetworkConnectRequest>({
  Container: string,
  EndpointConfig: endpointSettings as Decoder<EndpointSettings>,
});

/** Body of `POST /networks/{id}/disconnect`. */
export const networkDisconnectRequest = object<NetworkDisconnectRequest>({
  Container: string,
  Force: boolean,
});

/** Body of `POST /volumes/create`. */
export const volumeCreateRequest = object<VolumeCreateRequest>({
  Name: string,
  Driver: string,
  DriverOpts: stringMap,
  Labels: stringMap,
  ClusterVolumeSpec: anyObject,
});

/** Body of `POST /containers/{id}/update`: the limits and the restart policy are looked at. */
export const containerUpdateRequest: Decoder<HostConfig> = hostConfig;

/** Body of `POST /commit`. */
export const containerConfig = object<ContainerConfig>(containerConfigFields);

/** Body of `POST /containers/{id}/exec`. */
export const execCreateRequest = object<ExecCreateRequest>({
  User: string,
  Privileged: boolean,
  Tty: boolean,
  ConsoleSize: consoleSize,
  AttachStdin: boolean,
  AttachStderr: boolean,
  AttachStdout: boolean,
  Detach: boolean,
  DetachKeys: string,
  Env: strings,
  WorkingDir: string,
  Cmd: commandLine,
});

/** Body of `POST /exec/{id}/start`. */
export const execStartRequest = object<ExecStartRequest>({
  Detach: boolean,
  Tty: boolean,
  ConsoleSize: consoleSize,
});
