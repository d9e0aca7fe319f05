/** Networks as the Engine API shows them (definition `Network`). Pure. */
import type { IpamConfig, NetworkContainer, NetworkInspect } from "../wire/network.ts";
import type { NetworkConfig } from "./network-config.ts";
import { formatAddress, formatPrefix } from "./ip.ts";
import { type LiveNetwork, userSubnets } from "./live-network.ts";
import type { NetworkInfo } from "./network.ts";
import type { SandboxRecord } from "./records.ts";

const withLength = (address: string, prefixLength: number): string =>
  address === "" ? "" : `${address}/${prefixLength}`;

export function containersOf(
  networkId: string,
  sandboxes: Iterable<SandboxRecord>,
): Record<string, NetworkContainer> {
  const containers: Record<string, NetworkContainer> = {};
  for (const sandbox of sandboxes) {
    const endpoint = sandbox.endpoints.find((candidate) => candidate.networkId === networkId);
    if (endpoint === undefined) continue;
    containers[sandbox.containerId] = {
      Name: sandbox.containerName,
      EndpointID: endpoint.id,
      MacAddress: endpoint.macAddress,
      IPv4Address: withLength(endpoint.ipv4Address, endpoint.ipv4PrefixLength),
      IPv6Address: withLength(endpoint.ipv6Address, endpoint.ipv6PrefixLength),
    };
  }
  return containers;
}

function defaultBridgeOptions(config: NetworkConfig): Record<string, string> {
  return {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": String(config.icc),
    "com.docker.network.bridge.enable_ip_masquerade": String(config.ipMasquerade),
    "com.docker.network.bridge.host_binding_ipv4": config.ip,
    "com.docker.network.bridge.name": config.bridge,
    "com.docker.network.driver.mtu": String(config.mtu),
  };
}

function ipamConfigs({ record, ranges }: LiveNetwork): IpamConfig[] {
  return ranges.map(({ subnet, gateway, allocationRange, containerGateway }, i) => {
    const auxiliary = {
      ...record.definition.subnets[i]?.auxiliaryAddresses,
      ...(containerGateway && { [`DefaultGatewayIPv${subnet.family}`]: formatAddress(containerGateway) }),
    };
    return {
      Subnet: formatPrefix(subnet),
      ...(allocationRange && { IPRange: formatPrefix(allocationRange) }),
      ...(gateway && { Gateway: formatAddress(gateway) }),
      ...(Object.keys(auxiliary).length > 0 && { AuxiliaryAddresses: auxiliary }),
    };
  });
}

/** A network as inspect shows it, with these containers or without. */
export function describeNetwork(
  network: LiveNetwork,
  config: NetworkConfig,
  containers?: Record<string, NetworkContainer>,
): NetworkInspect {
  const { record, isPredefined } = network;
  const { definition } = record;
  const isDefaultBridge = isPredefined && record.driver === "bridge";
  return {
    Name: record.name,
    Id: record.id,
    Created: record.createdAt,
    Scope: "local",
    Driver: record.driver,
    EnableIPv4: definition.enableIPv4,
    EnableIPv6: isDefaultBridge ? config.ipv6 : definition.enableIPv6,
    IPAM: {
      Driver: definition.ipamDriver,
      Options: isPredefined ? null : definition.ipamOptions,
      // Docker writes null for host and none, which have no addresses to give.
      Config: isPredefined && !isDefaultBridge ? null : ipamConfigs(network),
    },
    Internal: definition.internal,
    Attachable: definition.attachable,
    Ingress: false,
    ConfigFrom: { Network: definition.configFrom },
    ConfigOnly: definition.configOnly,
    ...(containers !== undefined && { Containers: containers }),
    Options: isDefaultBridge ? defaultBridgeOptions(config) : definition.options,
    Labels: definition.labels,
  };
}

/** A network as the engine's use cases see it. */
export function networkInfo(network: LiveNetwork): NetworkInfo {
  const { record, isPredefined, ranges } = network;
  const { id, name, driver, createdAt, definition } = record;
  return {
    id,
    name,
    driver,
    createdAt,
    isUserDefined: !isPredefined,
    isInternal: definition.internal,
    isAttachable: definition.attachable,
    isConfigOnly: definition.configOnly,
    subnets: ranges.map(({ subnet }) => formatPrefix(subnet)),
    userSubnets: userSubnets(network),
    labels: definition.labels,
  };
}
