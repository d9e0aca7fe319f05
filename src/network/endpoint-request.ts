/** Checks of what a container asks of the network. Pure. */
import { invalidArgument, notFound } from "../base/errors.ts";
import { newId, shortId } from "../base/ids.ts";
import { parseIpv4, parseMac } from "./ipv4.ts";
import type { Endpoint, EndpointRequest, PortRequest, SandboxRequest } from "./network.ts";
import type { NetworkRecord } from "./records.ts";

/**
 * The network that `nameOrId` means: full id, name, or a prefix of exactly one id, in this order. Throws `notFound` with
 * Docker's words, `invalidArgument` for a prefix of several.
 */
export function findNetwork(networks: readonly NetworkRecord[], nameOrId: string): NetworkRecord {
  const exact = networks.find(({ id }) => id === nameOrId) ?? networks.find(({ name }) => name === nameOrId);
  if (exact !== undefined) return exact;
  const matches = nameOrId === "" ? [] : networks.filter(({ id }) => id.startsWith(nameOrId));
  if (matches.length > 1)
    throw invalidArgument(
      `network ${nameOrId} is ambiguous (${matches.length} matches found based on ID prefix)`,
    );
  const [match] = matches;
  if (match === undefined) throw notFound(`network ${nameOrId} not found`);
  return match;
}

/** Normal form of an endpoint request. Throws `invalidArgument` for an address that is none. */
export function checkEndpoint(request: EndpointRequest): EndpointRequest {
  const { ipv4Address = "", macAddress = "" } = request;
  if (ipv4Address !== "" && parseIpv4(ipv4Address) === undefined)
    throw invalidArgument(`invalid IPv4 address: ${ipv4Address}`);
  return {
    network: request.network,
    aliases: request.aliases,
    ...(ipv4Address !== "" && { ipv4Address }),
    ...(macAddress !== "" && { macAddress: parseMac(macAddress) }),
  };
}

/** Throws `invalidArgument` for numbers that no port has. */
export function checkPort({ containerPort, hostPortFirst, hostPortLast }: PortRequest): void {
  const isPort = (value: number, least: number): boolean =>
    Number.isInteger(value) && value >= least && value <= 65_535;
  if (!isPort(containerPort, 1)) throw invalidArgument(`invalid container port: ${containerPort}`);
  if (!isPort(hostPortFirst, 0) || !isPort(hostPortLast, 0) || hostPortLast < hostPortFirst)
    throw invalidArgument(`invalid host port: ${hostPortFirst}-${hostPortLast}`);
}

/** A new endpoint on a network, with nothing in it. */
export function emptyEndpoint({ id, name, driver }: Pick<NetworkRecord, "id" | "name" | "driver">): Endpoint {
  return {
    id: newId(),
    networkId: id,
    networkName: name,
    driver,
    interfaceName: "",
    macAddress: "",
    ipv4Address: "",
    ipv4PrefixLength: 0,
    ipv4Gateway: "",
    ipv6Address: "",
    ipv6PrefixLength: 0,
    ipv6Gateway: "",
    linkLocalAddresses: [],
    aliases: [],
    links: [],
    dnsNames: [],
    gatewayPriority: 0,
  };
}

/** By which names a container is found on a network of a user's, each once: name, aliases, short id, hostname. */
export function dnsNames(
  {
    containerId,
    containerName,
    hostname = "",
  }: Pick<SandboxRequest, "containerId" | "containerName" | "hostname">,
  aliases: readonly string[],
): string[] {
  const names = [containerName, ...aliases, shortId(containerId), hostname];
  return [...new Set(names.filter((name) => name !== ""))];
}
