/**
 * Answers as older API versions had them. The engine speaks the newest version; what a version lacks is taken away
 * here, and what it had in addition is added. Rules: "API version history" of Docker's documentation.
 */
import type { ImageConfig } from "../oci/image-spec.ts";
import type {
  ContainerConfig,
  ContainerCreateRequest,
  ContainerInspect,
  ContainerSummary,
  EndpointSettings,
  HostConfig,
  NetworkSettings,
} from "../wire/container.ts";
import type { ExecCreateRequest, ExecStartRequest } from "../wire/exec.ts";
import type { VolumeUsage } from "../wire/disk-usage.ts";
import type { ImageHistoryEntry, ImageInspect, ImageSummary } from "../wire/image.ts";
import type { NetworkInspect } from "../wire/network.ts";
import type { EventMessage, SystemInfo, VersionInfo } from "../wire/system.ts";
import type { VolumeInspect } from "../wire/volume.ts";
import * as order from "./field-order.ts";
import { inOrder, sortedMap, withSortedMaps } from "./field-order.ts";

type Json = Record<string, unknown>;

function without<T extends object>(value: T, ...names: string[]): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name))) as Partial<T>;
}

/** With the keys sorted, as Go writes maps. */
function mapValues<T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return sortedMap(Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)])));
}

// requests

/** What a version does not know is dropped from its requests, as Docker does, instead of being refused. */
export function shapeCreateRequest(
  request: ContainerCreateRequest,
  apiMinor: number,
): ContainerCreateRequest {
  const hostConfig = { ...request.HostConfig };
  if (apiMinor < 40) hostConfig.IpcMode ||= "shareable";
  if (apiMinor < 40) delete hostConfig.CgroupnsMode;
  if (apiMinor < 41) hostConfig.CgroupnsMode ||= "host";
  if (apiMinor < 42) delete hostConfig.ConsoleSize;
  if (apiMinor < 43) delete hostConfig.Annotations;
  if (apiMinor < 44) hostConfig.Mounts = hostConfig.Mounts?.map(oldReadOnlyMount);
  const shaped: ContainerCreateRequest = { ...request, HostConfig: hostConfig };
  if (apiMinor < 44 && shaped.Healthcheck !== undefined && shaped.Healthcheck !== null) {
    shaped.Healthcheck = without(shaped.Healthcheck, "StartInterval");
  }
  return shaped;
}

type Mount = NonNullable<NonNullable<ContainerCreateRequest["HostConfig"]>["Mounts"]>[number];

/** Before 1.44 a read-only bind left the mounts below it writable. */
function oldReadOnlyMount(mount: Mount): Mount {
  if (mount.Type !== "bind" || mount.ReadOnly !== true) return mount;
  return { ...mount, BindOptions: { ...mount.BindOptions, ReadOnlyNonRecursive: true } };
}

export function shapeExecRequest<T extends ExecCreateRequest | ExecStartRequest>(
  request: T,
  apiMinor: number,
): T {
  return apiMinor < 42 ? (without(request, "ConsoleSize") as T) : request;
}

// containers

/** The addresses that 1.51 and before repeat beside `Networks`: those of the default bridge network. */
function legacyAddresses({ Networks }: NetworkSettings): Partial<NetworkSettings> {
  const bridge = Networks["bridge"];
  return {
    Bridge: "",
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: bridge?.EndpointID ?? "",
    Gateway: bridge?.Gateway ?? "",
    GlobalIPv6Address: bridge?.GlobalIPv6Address ?? "",
    GlobalIPv6PrefixLen: bridge?.GlobalIPv6PrefixLen ?? 0,
    IPAddress: bridge?.IPAddress ?? "",
    IPPrefixLen: bridge?.IPPrefixLen ?? 0,
    IPv6Gateway: bridge?.IPv6Gateway ?? "",
    MacAddress: bridge?.MacAddress ?? "",
  };
}

function shapeEndpoint(endpoint: EndpointSettings, apiMinor: number): EndpointSettings {
  let shaped = endpoint;
  if (apiMinor < 46) {
    const { DriverOpts, DNSNames, ...rest } = shaped;
    shaped = { ...rest, DriverOpts, DNSNames };
  }
  if (apiMinor < 48) shaped = without(shaped, "GwPriority");
  if (apiMinor < 44) shaped = without(shaped, "DNSNames");
  return shaped;
}

/** 1.44 and before list the short id as an alias, where the network has names at all. */
function withShortId(endpoint: EndpointSettings, id: string): EndpointSettings {
  const aliases = endpoint.Aliases ?? [];
  const shortId = id.slice(0, 12);
  if ((endpoint.DNSNames ?? []).length === 0 || aliases.includes(shortId)) return endpoint;
  return { ...endpoint, Aliases: [...aliases, shortId] };
}

export function shapeContainerInspect(container: ContainerInspect, apiMinor: number): Json {
  const { SandboxID, SandboxKey, Ports, Networks } = container.NetworkSettings;
  const networks = mapValues(Networks, (endpoint) => {
    return shapeEndpoint(apiMinor < 45 ? withShortId(endpoint, container.Id) : endpoint, apiMinor);
  });
  const legacy = apiMinor < 52 ? legacyAddresses(container.NetworkSettings) : {};
  let hostConfig: HostConfig & Json = { ...container.HostConfig };
  if (apiMinor < 43) hostConfig = without(hostConfig, "Annotations");
  if (apiMinor < 42) hostConfig = { KernelMemory: 0, KernelMemoryTCP: 0, ...hostConfig };
  const networkSettings = { ...legacy, SandboxID, SandboxKey, Ports: sortedMap(Ports), Networks: networks };
  return inOrder(
    {
      ...container,
      HostConfig: orderedHostConfig(hostConfig),
      Config: orderedConfig(container.Config),
      GraphDriver: withSortedMaps(container.GraphDriver, ["Data"]),
      NetworkSettings: inOrder(networkSettings, order.networkSettingsFields),
    },
    order.containerFields,
  );
}

const configMaps = ["ExposedPorts", "Volumes", "Labels"];

/** The configuration of a container or an image. */
function orderedConfig<T extends ContainerConfig | ImageConfig>(config: T): T {
  const shaped = { ...withSortedMaps(inOrder(config, order.configFields), configMaps) } as Json;
  const check = shaped["Healthcheck"];
  if (typeof check === "object" && check !== null)
    shaped["Healthcheck"] = inOrder(check, order.healthcheckFields);
  return shaped as T;
}

const hostConfigMaps = ["PortBindings", "Annotations", "StorageOpt", "Tmpfs", "Sysctls"];

function orderedHostConfig(hostConfig: HostConfig): Json {
  const { LogConfig, Mounts } = hostConfig;
  return {
    ...withSortedMaps(inOrder(hostConfig, order.hostConfigFields), hostConfigMaps),
    ...(LogConfig && { LogConfig: withSortedMaps(inOrder(LogConfig, ["Type"]), ["Config"]) }),
    ...(Mounts && { Mounts: Mounts.map((mount) => inOrder(mount, order.mountRequestFields)) }),
  };
}

export function shapeContainerSummary(container: ContainerSummary, apiMinor: number): Json {
  const { Networks } = container.NetworkSettings;
  const networks = mapValues(Networks, (endpoint) => shapeEndpoint(endpoint, apiMinor));
  const { Health, SizeRw, SizeRootFs, ...rest } = container;
  const shaped: Json = {
    ...rest,
    // Go leaves numbers out that are 0.
    ...(SizeRw ? { SizeRw } : {}),
    ...(SizeRootFs ? { SizeRootFs } : {}),
    Labels: sortedMap(container.Labels),
    ...(Health !== undefined && apiMinor >= 52 && { Health }),
    NetworkSettings: { Networks: networks },
  };
  return inOrder(shaped, order.summaryFields);
}

// images

/** Fields of a container's configuration that 1.49 and before wrote for images too. They are always empty. */
const emptyContainerFields = {
  Hostname: "",
  Domainname: "",
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Image: "",
} as const;

/** Fields that 1.51 and before wrote even when they were empty. */
const emptyImageFields = {
  User: "",
  Env: null,
  Cmd: null,
  Volumes: null,
  WorkingDir: "",
  Entrypoint: null,
  OnBuild: null,
  Labels: null,
} as const;

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "" || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function shapeImageConfig(config: ImageConfig, apiMinor: number): Json {
  if (apiMinor >= 52) {
    const filled = Object.fromEntries(Object.entries(config).filter(([, value]) => !isEmpty(value)));
    return { ...orderedConfig<ImageConfig>(filled) };
  }
  const all = { ...(apiMinor < 50 ? emptyContainerFields : {}), ...emptyImageFields, ...config };
  return { ...orderedConfig<ImageConfig>(all) };
}

/**
 * An image as a version of the API shows it. `withContainerConfig` is for Compose 1, which asks in the newest version and
 * cannot do without a field that 1.45 took away.
 */
export function shapeImageInspect(
  image: ImageInspect,
  apiMinor: number,
  withContainerConfig = apiMinor < 45,
): Json {
  const { Parent = "", Comment, DockerVersion = "", Author, ...rest } = image;
  const origin = { Parent, Comment, DockerVersion, Author };
  let shaped: Json = {
    ...rest,
    ...(apiMinor < 52
      ? origin
      : Object.fromEntries(Object.entries(origin).filter(([, text]) => text !== ""))),
    Config: shapeImageConfig(image.Config, apiMinor),
  };
  delete shaped["VirtualSize"];
  if (apiMinor < 44) shaped["VirtualSize"] = image.Size;
  if (withContainerConfig) {
    shaped = {
      ...shaped,
      Container: "",
      ContainerConfig: inOrder({ ...emptyContainerFields, ...emptyImageFields }, order.configFields),
    };
  }
  return inOrder({ ...shaped, GraphDriver: withSortedMaps(image.GraphDriver, ["Data"]) }, order.imageFields);
}

/** An entry of the list of images; Docker's structure for it has its fields in the order of their names. */
export function shapeImageSummary(image: ImageSummary, apiMinor: number): Json {
  const shaped: Json = { ...image, Labels: sortedMap(image.Labels) };
  delete shaped["VirtualSize"];
  if (apiMinor < 51) shaped["Containers"] = -1;
  if (apiMinor < 44) shaped["VirtualSize"] = image.Size;
  if (apiMinor < 43) {
    if (image.RepoTags.length === 0) shaped["RepoTags"] = ["<none>:<none>"];
    if (image.RepoDigests.length === 0) shaped["RepoDigests"] = ["<none>@<none>"];
  }
  return sortedMap(shaped);
}

/** What an image's steps were, the last one first. */
export function shapeHistory(entries: readonly ImageHistoryEntry[]): ImageHistoryEntry[] {
  return entries.map((entry) => inOrder(entry, order.historyFields));
}

// networks

export function shapeNetwork(network: NetworkInspect, apiMinor: number): Json {
  const shaped = withSortedMaps(inOrder(network, order.networkFields), ["Containers", "Options", "Labels"]);
  if (apiMinor < 48) return without(shaped, "EnableIPv4");
  return inOrder({ ...shaped, EnableIPv4: network.EnableIPv4 ?? true }, order.networkFields);
}

/**
 * An entry of the list of networks. Who is connected is told before 1.28 alone; the empty field stays until 1.52 takes it
 * away.
 */
export function shapeListedNetwork(network: NetworkInspect, apiMinor: number): Json {
  if (apiMinor >= 52) return without(shapeNetwork(network, apiMinor), "Containers");
  return shapeNetwork(apiMinor < 28 ? network : { ...network, Containers: {} }, apiMinor);
}

/** Fields, options and labels in the order in which Docker writes them, which command lines show as it comes. */
export function shapeVolume(volume: VolumeInspect | VolumeUsage): Json {
  const { Labels, Options } = volume;
  const usage = "UsageData" in volume && { UsageData: sortedMap(volume.UsageData) };
  return sortedMap({ ...volume, Labels: sortedMap(Labels), Options: sortedMap(Options), ...usage });
}

// system

export function shapeInfo(info: SystemInfo, apiMinor: number): Json {
  const bridgeFilter = { BridgeNfIptables: false, BridgeNfIp6tables: false };
  let shaped: Json =
    apiMinor < 50 ? { ...bridgeFilter, ...info } : without(info, ...Object.keys(bridgeFilter));
  if (apiMinor < 42) shaped = { KernelMemory: false, KernelMemoryTCP: false, ...shaped };
  for (const name of ["ContainerdCommit", "RuncCommit", "InitCommit"]) {
    const commit = shaped[name];
    if (typeof commit !== "object" || commit === null) continue;
    const { ID = "" } = commit as { ID?: string };
    shaped[name] = apiMinor < 49 ? { ...commit, ID, Expected: ID } : without(commit, "Expected");
  }
  if (apiMinor < 25) {
    shaped["ExecutionDriver"] = "<not supported>";
    shaped["SecurityOptions"] = (info["SecurityOptions"] as string[] | undefined)?.map(oldSecurityOption);
  }
  return inOrder(shaped, order.infoFields);
}

/** Before 1.25 an option was told by its name alone. */
function oldSecurityOption(option: string): string {
  return /^name=([^,]*)/.exec(option)?.[1] ?? option;
}

export function shapeVersion(version: VersionInfo): Json {
  const { Components } = version;
  const components = Components.map((component) => withSortedMaps(component, ["Details"]));
  return inOrder({ ...version, Components: components }, order.versionFields);
}

/** Before 1.52 events of containers and images repeat their action and id at the top. */
export function shapeEvent(event: EventMessage, apiMinor: number): Json {
  if (apiMinor >= 52 || (event.Type !== "container" && event.Type !== "image")) return { ...event };
  const from = event.Actor.Attributes["image"];
  return {
    status: event.Action,
    id: event.Actor.ID,
    ...(event.Type === "container" && from !== undefined ? { from } : {}),
    ...event,
  };
}
