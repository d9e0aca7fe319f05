/**
 * Answers as older API versions had them. The engine speaks the newest version; what a version lacks is taken away
 * here, and what it had in addition is added. Rules: "API version history" of Docker's documentation.
 */
import type { ImageConfig } from "../oci/image-spec.ts";
import type {
  ContainerCreateRequest,
  ContainerInspect,
  ContainerSummary,
  EndpointSettings,
  NetworkSettings,
} from "../wire/container.ts";
import type { ExecCreateRequest, ExecStartRequest } from "../wire/exec.ts";
import type { ImageInspect, ImageSummary } from "../wire/image.ts";
import type { NetworkInspect } from "../wire/network.ts";
import type { EventMessage, SystemInfo } from "../wire/system.ts";
import type { VolumeInspect } from "../wire/volume.ts";

type Json = Record<string, unknown>;

function without<T extends object>(value: T, ...names: string[]): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name))) as Partial<T>;
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
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
  let hostConfig: Json = { ...container.HostConfig };
  if (apiMinor < 43) hostConfig = without(hostConfig, "Annotations");
  if (apiMinor < 42) hostConfig = { KernelMemory: 0, KernelMemoryTCP: 0, ...hostConfig };
  return {
    ...container,
    HostConfig: hostConfig,
    NetworkSettings: { ...legacy, SandboxID, SandboxKey, Ports, Networks: networks },
  };
}

export function shapeContainerSummary(container: ContainerSummary, apiMinor: number): Json {
  const { Networks } = container.NetworkSettings;
  const networks = mapValues(Networks, (endpoint) => shapeEndpoint(endpoint, apiMinor));
  const shaped = apiMinor < 52 ? without(container, "Health") : container;
  return { ...shaped, NetworkSettings: { Networks: networks } };
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
    return Object.fromEntries(Object.entries(config).filter(([, value]) => !isEmpty(value)));
  }
  return { ...(apiMinor < 50 ? emptyContainerFields : {}), ...emptyImageFields, ...config };
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
      ContainerConfig: { ...emptyContainerFields, ...emptyImageFields },
    };
  }
  return shaped;
}

export function shapeImageSummary(image: ImageSummary, apiMinor: number): Json {
  const shaped: Json = { ...image };
  delete shaped["VirtualSize"];
  if (apiMinor < 51) shaped["Containers"] = -1;
  if (apiMinor < 44) shaped["VirtualSize"] = image.Size;
  if (apiMinor < 43) {
    if (image.RepoTags.length === 0) shaped["RepoTags"] = ["<none>:<none>"];
    if (image.RepoDigests.length === 0) shaped["RepoDigests"] = ["<none>@<none>"];
  }
  return shaped;
}

// networks

export function shapeNetwork(network: NetworkInspect, apiMinor: number): Json {
  if (apiMinor < 48) return without(network, "EnableIPv4");
  return { ...network, EnableIPv4: network.EnableIPv4 ?? true };
}

/** Fields, options and labels in the order in which Docker writes them, which command lines show as it comes. */
export function shapeVolume(volume: VolumeInspect): Json {
  const { Labels, Options } = volume;
  return sorted({ ...volume, Labels: Labels && sorted(Labels), Options: Options && sorted(Options) });
}

function sorted(map: Json): Json {
  return Object.fromEntries(Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : 1)));
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
    shaped[name] = apiMinor < 49 ? { Expected: ID, ...commit, ID } : without(commit, "Expected");
  }
  return shaped;
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
