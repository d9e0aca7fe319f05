/** Checks of what a container asks of the network. Pure. */
import { invalidArgument, notFound } from "../base/errors.ts";
import { newId, shortId } from "../base/ids.ts";
import { endpointOptions } from "./driver-options.ts";
import { checkSettings } from "./endpoint-settings.ts";
import { formatAddress, parseAddress } from "./ip.ts";
import { parseMac } from "./ipv4.ts";
import { type LiveNetwork, userSubnets } from "./live-network.ts";
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

function checkLinkLocal(text: string): string {
  const address = parseAddress(text);
  const isLinkLocal =
    address?.family === 4
      ? address.value >> 16n === 0xa9fen
      : address !== undefined && address.value >> 118n === 0x3fan;
  if (address === undefined || !isLinkLocal) throw invalidArgument(`invalid link local IP address: ${text}`);
  return formatAddress(address);
}

const normalAddress = (text: string): string => formatAddress(parseAddress(text)!);

/** Normal form of an endpoint request. Throws `invalidArgument` for an address that is none, or none of the network's. */
export function checkEndpoint(request: EndpointRequest, network: LiveNetwork): EndpointRequest {
  const { ipv4Address = "", ipv6Address = "", macAddress = "", linkLocalAddresses = [] } = request;
  endpointOptions(request.driverOptions ?? {});
  // What only networks of a user's own take is for the engine to say.
  checkSettings(request, { isUserDefined: true, userSubnets: userSubnets(network) });
  return {
    ...request,
    ipv4Address: undefined,
    ipv6Address: undefined,
    macAddress: undefined,
    linkLocalAddresses: linkLocalAddresses.map(checkLinkLocal),
    ...(ipv4Address !== "" && { ipv4Address: normalAddress(ipv4Address) }),
    ...(ipv6Address !== "" && { ipv6Address: normalAddress(ipv6Address) }),
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
    hostname,
  }: Pick<SandboxRequest, "containerId" | "containerName"> & { readonly hostname: string },
  aliases: readonly string[],
): string[] {
  const names = [containerName, ...aliases, shortId(containerId), hostname];
  return [...new Set(names.filter((name) => name !== ""))];
}
