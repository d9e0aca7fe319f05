import { createHash } from "node:crypto";
import type { ContainerRecord } from "../container/container.ts";
import { dnsNames } from "../network/endpoint-request.ts";
import type { Endpoint, Sandbox } from "../network/network.ts";
import type { EndpointSettings, NetworkSettings, PortBinding, PortSummary } from "../wire/container.ts";

/** Where there is nothing to connect clients still look for an endpoint: with the host's network it has a name alone. */
export function hostEndpointId(containerId: string): string {
  return createHash("sha256").update(`host endpoint of ${containerId}`).digest("hex");
}

/** A container's endpoints by network name, as inspect and listings show them: all fields, empty ones too. */
export function endpointSettings(
  container: ContainerRecord,
  sandbox: Sandbox | undefined,
  networkIds: (name: string) => string,
): Record<string, EndpointSettings> {
  const settings: Record<string, EndpointSettings> = {};
  for (const [name, asked] of Object.entries(container.endpoints)) {
    const endpoint = sandbox?.endpoints.find((candidate) => candidate.networkName === name);
    const isDefault = name === "bridge" || name === "host" || name === "none";
    settings[name] = {
      IPAMConfig: asked.IPAMConfig ?? null,
      Links: asked.Links ?? null,
      Aliases: asked.Aliases ?? null,
      MacAddress: endpoint?.macAddress ?? asked.MacAddress ?? "",
      DriverOpts: asked.DriverOpts ?? null,
      GwPriority: asked.GwPriority ?? 0,
      NetworkID: endpoint?.networkId ?? (container.state.status === "created" ? "" : networkIds(name)),
      EndpointID:
        endpoint?.id ?? (name === "host" && container.state.pid !== 0 ? hostEndpointId(container.id) : ""),
      Gateway: endpoint?.ipv4Gateway ?? "",
      IPAddress: endpoint?.ipv4Address ?? "",
      IPPrefixLen: endpoint?.ipv4PrefixLength ?? 0,
      IPv6Gateway: endpoint?.ipv6Gateway ?? "",
      GlobalIPv6Address: endpoint?.ipv6Address ?? "",
      GlobalIPv6PrefixLen: endpoint?.ipv6PrefixLength ?? 0,
      DNSNames: isDefault ? null : (endpoint?.dnsNames ?? namesOf(container, asked)).slice(),
    };
  }
  return settings;
}

/** The names that it will have on a network of a user's once it runs. */
function namesOf(container: ContainerRecord, asked: EndpointSettings): readonly string[] {
  const { id: containerId, name: containerName, config } = container;
  return dnsNames({ containerId, containerName, hostname: config.Hostname ?? "" }, asked.Aliases ?? []);
}

/** The `NetworkSettings` of inspect. The top-level address fields mirror the default bridge only. */
export function networkSettings(
  container: ContainerRecord,
  sandbox: Sandbox | undefined,
  networkIds: (name: string) => string,
): NetworkSettings {
  const bridge = sandbox?.endpoints.find((endpoint) => endpoint.networkName === "bridge");
  return {
    Bridge: "",
    SandboxID: sandbox === undefined ? "" : container.id,
    SandboxKey: sandbox?.path ?? "",
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    ...legacyAddress(bridge),
    Ports: portMap(container, sandbox),
    Networks: endpointSettings(container, sandbox, networkIds),
  };
}

function legacyAddress(bridge: Endpoint | undefined): Partial<NetworkSettings> {
  return {
    EndpointID: bridge?.id ?? "",
    Gateway: bridge?.ipv4Gateway ?? "",
    GlobalIPv6Address: bridge?.ipv6Address ?? "",
    GlobalIPv6PrefixLen: bridge?.ipv6PrefixLength ?? 0,
    IPAddress: bridge?.ipv4Address ?? "",
    IPPrefixLen: bridge?.ipv4PrefixLength ?? 0,
    IPv6Gateway: bridge?.ipv6Gateway ?? "",
    MacAddress: bridge?.macAddress ?? "",
  };
}

/** `{"80/tcp": [{HostIp, HostPort}], "99/tcp": null}`; empty unless the container has a network of its own now. */
function portMap(
  container: ContainerRecord,
  sandbox: Sandbox | undefined,
): Record<string, PortBinding[] | null> {
  if (sandbox === undefined) return {};
  const ports: Record<string, PortBinding[] | null> = {};
  for (const key of Object.keys(container.config.ExposedPorts ?? {})) ports[withProtocol(key)] = null;
  for (const port of sandbox.ports)
    (ports[`${port.containerPort}/${port.protocol}`] ??= []).push({
      HostIp: port.hostIp,
      HostPort: String(port.hostPort),
    });
  return ports;
}

function withProtocol(key: string): string {
  return key.includes("/") ? key : `${key}/tcp`;
}

/** Ports of a list entry: published ones with their address, others with the container's port only. */
export function portSummaries(container: ContainerRecord, sandbox: Sandbox | undefined): PortSummary[] {
  const summaries: PortSummary[] = [];
  for (const [key, bindings] of Object.entries(portMap(container, sandbox))) {
    const [port, protocol = "tcp"] = key.split("/");
    if (bindings === null) summaries.push({ PrivatePort: Number(port), Type: protocol });
    for (const { HostIp: IP = "", HostPort } of bindings ?? [])
      summaries.push({ IP, PrivatePort: Number(port), PublicPort: Number(HostPort), Type: protocol });
  }
  return summaries;
}
