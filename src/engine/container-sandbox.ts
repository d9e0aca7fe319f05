/** Which network namespace a container gets, and which endpoints it asks for. */
import { conflict, invalidArgument, isKind } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import { checkSettings, type SettingsTarget } from "../network/endpoint-settings.ts";
import type { EndpointRequest, NetworkInfo, Sandbox } from "../network/network.ts";
import type { EndpointSettings } from "../wire/container.ts";
import type { EngineContext } from "./context.ts";
import { portRequests } from "./port-requests.ts";

const sharedPrefix = "container:";

/** The container whose network namespace a container shares; undefined when it has its own, or the host's. */
export function networkOwner(
  context: EngineContext,
  container: ContainerRecord,
): ContainerRecord | undefined {
  const mode = container.hostConfig.NetworkMode ?? "";
  return mode.startsWith(sharedPrefix)
    ? context.containers.resolve(mode.slice(sharedPrefix.length))
    : undefined;
}

/** Who shares another's network has its host name, too, from this start on: Docker records it so. */
export function withOwnersName(context: EngineContext, container: ContainerRecord): ContainerRecord {
  const owner = networkOwner(context, container);
  if (owner === undefined) return container;
  const { Hostname = "", Domainname = "" } = owner.config;
  const { config } = container;
  if ((config.Hostname ?? "") === Hostname && (config.Domainname ?? "") === Domainname) return container;
  return context.containers.update(container.id, { config: { ...config, Hostname, Domainname } });
}

/**
 * The network namespace that the container gets; undefined for the host's. Throws `conflict` when the container that it
 * is to share does not run.
 */
export async function openSandbox(
  context: EngineContext,
  container: ContainerRecord,
  namespaceOfPid?: number,
): Promise<Sandbox | undefined> {
  const mode = container.hostConfig.NetworkMode ?? "bridge";
  if (mode === "host") return undefined;
  const owner = networkOwner(context, container);
  if (owner !== undefined) return sharedSandbox(context, owner);
  const endpoints = Object.entries(container.endpoints).filter(([network]) => network !== "none");
  return context.network.open({
    containerId: container.id,
    containerName: container.name,
    mode: Object.hasOwn(container.endpoints, "none") ? "none" : "bridge",
    endpoints: endpoints.map((endpoint) => endpointRequest(context, container, endpoint)),
    namespaceOfPid,
    ports: portRequests(container.config, container.hostConfig, ""),
  });
}

function sharedSandbox(context: EngineContext, owner: ContainerRecord): Sandbox | undefined {
  const { status } = owner.state;
  if (status !== "running" && status !== "paused")
    throw conflict(`cannot join network of a non running container: ${owner.id}`);
  return context.network.get(owner.id);
}

/** What a container asks of one network. */
export function endpointRequest(
  context: EngineContext,
  container: ContainerRecord,
  [network, settings]: readonly [network: string, settings: EndpointSettings],
): EndpointRequest {
  const { IPAMConfig: ipam, DriverOpts, GwPriority, Links } = settings;
  // The container-wide address of older clients is for the network that the container was made with.
  const mode = container.hostConfig.NetworkMode ?? "";
  const isFirst = network === (findNetwork(context, mode)?.name ?? mode);
  const macAddress = settings.MacAddress || (isFirst ? container.config.MacAddress : "");
  return {
    network,
    aliases: settings.Aliases ?? [],
    ...(ipam?.IPv4Address && { ipv4Address: ipam.IPv4Address }),
    ...(ipam?.IPv6Address && { ipv6Address: ipam.IPv6Address }),
    linkLocalAddresses: ipam?.LinkLocalIPs ?? [],
    ...(macAddress && { macAddress }),
    links: Links ?? [],
    driverOptions: DriverOpts ?? {},
    gatewayPriority: GwPriority ?? 0,
    hostname: container.config.Hostname ?? "",
  };
}

/** The network of that name, id or prefix; undefined when there is none. */
export function findNetwork(context: EngineContext, nameOrId: string): NetworkInfo | undefined {
  try {
    return context.network.find(nameOrId);
  } catch (error) {
    if (isKind(error, "notFound")) return undefined;
    throw error;
  }
}

/** Throws `invalidArgument` in Docker's words for what a network, which need not be there, cannot give; after `where`. */
export function checkEndpointSettings(
  { IPAMConfig, Aliases, MacAddress: mac }: EndpointSettings,
  network: SettingsTarget | undefined,
  where = "",
): void {
  if (mac && !/^(?:[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2})$/i.test(mac))
    throw invalidArgument(`${where}invalid MAC address ${mac}`);
  const asked = {
    ipv4Address: IPAMConfig?.IPv4Address,
    ipv6Address: IPAMConfig?.IPv6Address,
    linkLocalAddresses: IPAMConfig?.LinkLocalIPs,
    aliases: Aliases,
  };
  checkSettings(asked, network ?? { isUserDefined: true, userSubnets: undefined }, where);
}

/** Docker's words for networks that do not go together. Throws `invalidArgument`. */
export function checkTogether(mode: string, networks: readonly string[]): void {
  if (networks.length < 2) return;
  if (mode === "host" || networks.includes("host"))
    throw invalidArgument(
      "container sharing network namespace with another container or host cannot be connected to any other network",
    );
  if (networks.includes("none"))
    throw invalidArgument(
      "container cannot be connected to multiple networks with one of the networks in private (none) mode",
    );
}

/** Throws Docker's words when a container is just being removed. */
export function requireStaying(container: ContainerRecord): void {
  const { status } = container.state;
  if (status === "removing" || status === "dead")
    throw conflict(
      `container ${container.id} is marked for removal and cannot be connected or disconnected to the network`,
    );
}

/** Throws Docker's words when a container has no network of its own. */
export function requireOwnNetwork({ hostConfig: { NetworkMode: mode = "" } }: ContainerRecord): void {
  if (mode === "host" || mode.startsWith(sharedPrefix))
    throw invalidArgument(
      "container sharing network namespace with another container or host cannot be connected to any other network",
    );
}
