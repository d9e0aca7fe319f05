/** Networks as the Engine API shows them (definition `Network`). Pure. */
import type { NetworkInspect } from "../wire/network.ts";
import type { DefaultBridge, NetworkConfig } from "./bridge.ts";
import type { NetworkInfo } from "./network.ts";
import type { NetworkRecord, SandboxRecord } from "./records.ts";
import { formatSubnet } from "./ipv4.ts";

type Containers = NonNullable<NetworkInspect["Containers"]>;

export function containersOf(networkId: string, sandboxes: Iterable<SandboxRecord>): Containers {
  const containers: Containers = {};
  for (const sandbox of sandboxes) {
    const endpoint = sandbox.endpoints.find((candidate) => candidate.networkId === networkId);
    if (endpoint === undefined) continue;
    const { ipv4Address, ipv4PrefixLength } = endpoint;
    containers[sandbox.containerId] = {
      Name: sandbox.containerName,
      EndpointID: endpoint.id,
      MacAddress: endpoint.macAddress,
      IPv4Address: ipv4Address === "" ? "" : `${ipv4Address}/${ipv4PrefixLength}`,
      IPv6Address: "",
    };
  }
  return containers;
}

/** A network without its containers. `bridge` is the default bridge, once it is set up. */
export function describeNetwork(
  record: NetworkRecord,
  config: NetworkConfig,
  bridge: DefaultBridge | undefined,
): NetworkInspect {
  const isBridge = record.driver === "bridge";
  const range = bridge?.range.allocationRange;
  return {
    Name: record.name,
    Id: record.id,
    Created: record.createdAt,
    Scope: "local",
    Driver: record.driver,
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: {
      Driver: "default",
      Options: null,
      Config:
        isBridge && bridge !== undefined
          ? [
              {
                Subnet: bridge.subnet,
                ...(range && { IPRange: formatSubnet(range) }),
                Gateway: bridge.gateway,
              },
            ]
          : [],
    },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Options: isBridge
      ? {
          "com.docker.network.bridge.default_bridge": "true",
          "com.docker.network.bridge.enable_icc": String(config.icc),
          "com.docker.network.bridge.enable_ip_masquerade": String(config.iptables),
          "com.docker.network.bridge.host_binding_ipv4": config.ip,
          "com.docker.network.bridge.name": config.bridge,
          "com.docker.network.driver.mtu": String(config.mtu),
        }
      : {},
    Labels: {},
  };
}

/** A network as the engine's use cases see it. */
export function networkInfo({ id, name, driver, createdAt }: NetworkRecord): NetworkInfo {
  return {
    id,
    name,
    driver,
    createdAt,
    isUserDefined: false,
    isInternal: false,
    isAttachable: false,
    isConfigOnly: false,
    labels: {},
  };
}
