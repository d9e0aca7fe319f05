/** What can be read from a sandbox's record. Pure, but for the look at the namespace. */
import { inNetns } from "../linux/netns.ts";
import type { DefaultRoute } from "./endpoint-kernel.ts";
import type { PublishedPort } from "./network.ts";
import type { EndpointRecord, SandboxRecord } from "./records.ts";
import type { PortForward } from "./ruleset.ts";

/** False when the file is gone or nothing is bound to it, as after a reboot. */
export function isNamespace(path: string): boolean {
  try {
    inNetns(path, () => {});
    return true;
  } catch {
    return false;
  }
}

/**
 * What the firewall does for a sandbox's ports: those of one family lead to the address of the same. The others, and
 * those on ::1, are the held sockets' alone.
 */
export function forwardsOf(
  { ports }: Pick<SandboxRecord, "ports">,
  endpoint: Pick<EndpointRecord, "ipv4Address" | "ipv6Address"> | undefined,
): PortForward[] {
  if (endpoint === undefined) return [];
  const { ipv4Address, ipv6Address } = endpoint;
  return ports
    .map((port) => ({ ...port, containerAddress: port.hostIp.includes(":") ? ipv6Address : ipv4Address }))
    .filter(({ hostIp, containerAddress }) => containerAddress !== "" && hostIp !== "::1");
}

/** True for a port that is open at the container's own address. */
export function isExposed(
  { hostIp }: PublishedPort,
  { ipv4Address, ipv6Address }: Pick<EndpointRecord, "ipv4Address" | "ipv6Address">,
): boolean {
  return hostIp === ipv4Address || hostIp === ipv6Address;
}

/** The record of a container that has another name now. */
export function withName(record: SandboxRecord, name: string): SandboxRecord {
  const endpoints = record.endpoints.map((endpoint) => ({
    ...endpoint,
    dnsNames: endpoint.dnsNames.map((known) => (known === record.containerName ? name : known)),
  }));
  return { ...record, containerName: name, endpoints };
}

/** `PREFIX` and the first number that no device has. */
export function freeInterfaceName(prefix: string, endpoints: readonly EndpointRecord[]): string {
  const used = new Set(endpoints.map(({ interfaceName }) => interfaceName));
  for (let i = 0; ; i++) if (!used.has(`${prefix}${i}`)) return `${prefix}${i}`;
}

/** What of an endpoint's network decides about ways out. */
export interface WayOut {
  readonly hasWayOut: boolean;
  /** Packets leave by the device itself, whatever the gateway. */
  readonly byDevice: boolean;
  readonly hasIpv4: boolean;
  readonly hasIpv6: boolean;
}

/** Docker's order: the highest priority, then the network's name. */
function inOrder(endpoints: readonly EndpointRecord[]): EndpointRecord[] {
  return endpoints.toSorted(
    (a, b) => b.gatewayPriority - a.gatewayPriority || (a.networkName < b.networkName ? -1 : 1),
  );
}

/** By which endpoints a sandbox's packets leave. */
export function defaultRoutes(
  endpoints: readonly EndpointRecord[],
  wayOut: (endpoint: EndpointRecord) => WayOut,
): { readonly ipv4: DefaultRoute | undefined; readonly ipv6: DefaultRoute | undefined } {
  const find = (
    gatewayOf: (endpoint: EndpointRecord) => string,
    has: (way: WayOut) => boolean,
  ): DefaultRoute | undefined => {
    for (const endpoint of inOrder(endpoints)) {
      const way = wayOut(endpoint);
      if (!way.hasWayOut || endpoint.interfaceName === "") continue;
      const { interfaceName } = endpoint;
      if (way.byDevice && has(way)) return { gateway: "", interfaceName };
      if (gatewayOf(endpoint) !== "") return { gateway: gatewayOf(endpoint), interfaceName };
    }
    return undefined;
  };
  return {
    ipv4: find(
      ({ ipv4Gateway }) => ipv4Gateway,
      ({ hasIpv4 }) => hasIpv4,
    ),
    ipv6: find(
      ({ ipv6Gateway }) => ipv6Gateway,
      ({ hasIpv6 }) => hasIpv6,
    ),
  };
}

/** The endpoint that published ports lead to: the first on a bridge with a way out. */
export function publishingEndpoint(
  endpoints: readonly EndpointRecord[],
  wayOut: (endpoint: EndpointRecord) => WayOut,
): EndpointRecord | undefined {
  return inOrder(endpoints).find((endpoint) => endpoint.driver === "bridge" && wayOut(endpoint).hasWayOut);
}
