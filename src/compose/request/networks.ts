/** How a service's container is connected, in the API's words. */
import type { EndpointSettings, NetworkingConfig } from "../../wire/container.ts";
import type { NetworkCreateRequest } from "../../wire/network.ts";
import { composeVersion, labels } from "../labels.ts";
import type { Network, Project, Service } from "../model/project.ts";
import { defined } from "./resources.ts";

export interface EndpointOptions {
  readonly project: Project;
  readonly name: string;
  readonly service: Service;
  readonly containerName: string;
  readonly links: readonly string[];
  /** The service's name and aliases are this container's too. */
  readonly useAliases: boolean;
}

export interface Connection {
  readonly networkMode: string;
  /** Endpoints by the network's name, the main one first. */
  readonly endpoints: ReadonlyMap<string, EndpointSettings>;
}

/** The networks of a service, the one that matters most first. */
function networksByPriority(service: Service): string[] {
  const priority = (name: string): number => service.networks?.[name]?.priority ?? 0;
  return Object.keys(service.networks ?? {}).sort((a, b) => priority(b) - priority(a) || (a < b ? -1 : 1));
}

/** Where a container is connected. */
export function connectionOf(options: EndpointOptions): Connection {
  const { project, service } = options;
  if (service.network_mode !== undefined) {
    return { networkMode: service.network_mode, endpoints: new Map() };
  }
  const keys = networksByPriority(service);
  if (keys.length === 0) return { networkMode: "none", endpoints: new Map() };
  const endpoints = keys.map((key) => [nameOf(project, key), endpointOf(options, key)] as const);
  return { networkMode: endpoints[0]![0], endpoints: new Map(endpoints) };
}

function nameOf(project: Project, key: string): string {
  return project.networks[key]?.name ?? key;
}

function endpointOf(options: EndpointOptions, key: string): EndpointSettings {
  const { name, service, containerName, links, useAliases } = options;
  const config = service.networks?.[key] ?? {};
  const aliases = useAliases ? [containerName, name, ...(config.aliases ?? [])] : [containerName];
  const addresses = defined({
    IPv4Address: config.ipv4_address,
    IPv6Address: config.ipv6_address,
    LinkLocalIPs: config.link_local_ips,
  });
  return {
    Aliases: [...new Set(aliases)],
    ...(links.length === 0 ? {} : { Links: [...links] }),
    ...(Object.keys(addresses).length === 0 ? {} : { IPAMConfig: addresses }),
    ...defined({
      MacAddress: config.mac_address,
      DriverOpts: config.driver_opts,
      GwPriority: config.gw_priority,
    }),
  };
}

/** What a daemon takes at once: before API 1.44 only the first network, the others are connected afterwards. */
export function networkingConfig(connection: Connection, all: boolean): NetworkingConfig | undefined {
  const entries = [...connection.endpoints].slice(0, all ? undefined : 1);
  return entries.length === 0 ? undefined : { EndpointsConfig: Object.fromEntries(entries) };
}

/** The body that makes a project's network. */
export function networkRequest(project: Project, key: string, network: Network): NetworkCreateRequest {
  const { ipam } = network;
  const hasIpam =
    ipam?.driver !== undefined || (ipam?.config?.length ?? 0) > 0 || ipam?.options !== undefined;
  return {
    Name: network.name,
    CheckDuplicate: true,
    Labels: {
      ...network.labels,
      [labels.network]: key,
      [labels.project]: project.name,
      [labels.version]: composeVersion,
    },
    Internal: network.internal === true,
    Attachable: network.attachable === true,
    ...defined({
      Driver: network.driver,
      Options: network.driver_opts,
      EnableIPv4: network.enable_ipv4,
      EnableIPv6: network.enable_ipv6,
    }),
    ...(hasIpam
      ? {
          IPAM: {
            ...defined({ Driver: ipam?.driver, Options: ipam?.options }),
            Config: (ipam?.config ?? []).map((pool) =>
              defined({
                Subnet: pool.subnet,
                IPRange: pool.ip_range,
                Gateway: pool.gateway,
                AuxiliaryAddresses: pool.aux_addresses,
              }),
            ),
          },
        }
      : {}),
  };
}
