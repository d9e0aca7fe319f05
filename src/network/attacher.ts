/** Makes endpoints: addresses from a network's pools, a device in the sandbox, and the undo of both. */
import { conflict, EngineError, invalidArgument } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import { bridgeOptions, endpointOptions } from "./driver-options.ts";
import { attachSlave, attachToBridge, type WireRequest } from "./endpoint-kernel.ts";
import { dnsNames, emptyEndpoint } from "./endpoint-request.ts";
import type { Family } from "./ip.ts";
import { randomMac } from "./ipv4.ts";
import { hasWayOut, isRoutedByDevice, type LiveNetwork, slavePlan } from "./live-network.ts";
import type { TakenAddress } from "./network-addresses.ts";
import type { EndpointRequest, SandboxRequest } from "./network.ts";
import type { EndpointRecord } from "./records.ts";
import { freeInterfaceName } from "./sandbox-record.ts";
import type { SandboxNames } from "./sandbox-kernel.ts";

/** An endpoint that is wanted on a network. */
export interface PlannedEndpoint {
  readonly network: LiveNetwork;
  readonly request: EndpointRequest;
}

/** Whose endpoint it is. */
export type Owner = Pick<SandboxRequest, "containerId" | "containerName">;

/** Addresses of an endpoint that does not have to have any. */
interface Addresses {
  readonly ipv4: TakenAddress | undefined;
  readonly ipv6: TakenAddress | undefined;
}

const linkLocalPrefixLength = (address: string): number => (address.includes(":") ? 64 : 16);

export class Attacher {
  readonly #names: SandboxNames;
  readonly #freeAddresses: (network: LiveNetwork, address: string | undefined) => Promise<void>;

  /** `freeAddresses` waits for addresses that are being given back, and gives up those that are kept for speed. */
  constructor(
    names: SandboxNames,
    freeAddresses: (network: LiveNetwork, address: string | undefined) => Promise<void>,
  ) {
    this.#names = names;
    this.#freeAddresses = freeAddresses;
  }

  /** Takes one address. Throws `resourceExhausted`, `conflict` for one in use, `invalidArgument` for one that cannot be. */
  async takeAddress(network: LiveNetwork, family: Family, asked: string | undefined): Promise<TakenAddress> {
    const { addresses } = network;
    const attempt = (): TakenAddress | undefined =>
      asked === undefined ? addresses.take(family) : addresses.takeExactly(asked);
    const first = attempt();
    if (first !== undefined) return first;
    await this.#freeAddresses(network, asked);
    const second = attempt();
    if (second !== undefined) return second;
    throw asked === undefined ? addresses.exhausted(family) : addresses.refusal(asked);
  }

  /** Takes the addresses that a request is for; `undo` gives them back. */
  async #takeAddresses(
    { network, request }: PlannedEndpoint,
    undo: AsyncDisposableStack,
  ): Promise<Addresses> {
    const take = async (family: Family, asked: string | undefined): Promise<TakenAddress | undefined> => {
      if (!network.addresses.has(family)) {
        if (asked === undefined) return undefined;
        throw invalidArgument(
          `no configured subnet contains IP address ${asked}: network ${network.record.name} has no IPv${family} subnet`,
        );
      }
      const taken = await this.takeAddress(network, family, asked);
      undo.defer(() => network.addresses.release(taken.address));
      return taken;
    };
    return { ipv4: await take(4, request.ipv4Address), ipv6: await take(6, request.ipv6Address) };
  }

  /**
   * The record of an endpoint to be: its addresses are taken, its device is not made yet. `present` are the endpoints
   * that the sandbox has.
   */
  async plan(
    planned: PlannedEndpoint,
    owner: Owner,
    present: readonly EndpointRecord[],
    undo: AsyncDisposableStack,
  ): Promise<EndpointRecord> {
    const taken = await this.#takeAddresses(planned, undo);
    const { network, request } = planned;
    const { driver, definition } = network.record;
    const { interfaceName } = endpointOptions(request.driverOptions ?? {});
    if (interfaceName !== "" && present.some((other) => other.interfaceName === interfaceName))
      throw conflict(`the container has a network device ${interfaceName} already`);
    const prefix =
      driver === "bridge" ? bridgeOptions(definition.options, definition.internal).interfacePrefix : "eth";
    return {
      ...this.describe(planned, owner, taken),
      interfaceName: interfaceName || freeInterfaceName(prefix, present),
      macAddress: driver === "ipvlan" ? parentMac(definition.device) : (request.macAddress ?? randomMac()),
      hostInterface: driver === "bridge" ? this.#names.newHostInterface() : "",
    };
  }

  /** The record of an endpoint with these addresses, without a device. */
  describe({ network, request }: PlannedEndpoint, owner: Owner, { ipv4, ipv6 }: Addresses): EndpointRecord {
    const { record, isPredefined } = network;
    const leadsOut = hasWayOut(network) && !isRoutedByDevice(record);
    return {
      ...emptyEndpoint(record),
      id: newId(),
      hostInterface: "",
      ipv4Address: ipv4?.address ?? "",
      ipv4PrefixLength: ipv4?.prefixLength ?? 0,
      ipv4Gateway: leadsOut ? (ipv4?.gateway ?? "") : "",
      ipv6Address: ipv6?.address ?? "",
      ipv6PrefixLength: ipv6?.prefixLength ?? 0,
      ipv6Gateway: leadsOut ? (ipv6?.gateway ?? "") : "",
      linkLocalAddresses: request.linkLocalAddresses ?? [],
      aliases: request.aliases,
      links: request.links ?? [],
      dnsNames: isPredefined ? [] : dnsNames({ ...owner, hostname: request.hostname ?? "" }, request.aliases),
      gatewayPriority: request.gatewayPriority ?? 0,
    };
  }

  /** Makes the device of a planned endpoint. On failure it is gone again. */
  async makeDevice(
    path: string,
    { network, request }: PlannedEndpoint,
    endpoint: EndpointRecord,
  ): Promise<void> {
    const wire: WireRequest = {
      path,
      interfaceName: endpoint.interfaceName,
      macAddress: endpoint.macAddress,
      addresses: [
        ...(endpoint.ipv4Address === ""
          ? []
          : [{ address: endpoint.ipv4Address, prefixLength: endpoint.ipv4PrefixLength }]),
        ...(endpoint.ipv6Address === ""
          ? []
          : [{ address: endpoint.ipv6Address, prefixLength: endpoint.ipv6PrefixLength }]),
        ...endpoint.linkLocalAddresses.map((address) => ({
          address,
          prefixLength: linkLocalPrefixLength(address),
        })),
      ],
      sysctls: endpointOptions(request.driverOptions ?? {}).sysctls,
    };
    const { record, bridge } = network;
    if (record.driver !== "bridge") {
      attachSlave(wire, slavePlan(record));
      return;
    }
    if (bridge === undefined)
      throw new EngineError(
        "unavailable",
        `network ${record.name} could not be set up when the daemon started`,
        {
          hint: "the daemon's log says why; remove and create the network, or start the daemon again",
        },
      );
    await attachToBridge(wire, bridge, endpoint.hostInterface);
  }
}

function parentMac(device: string): string {
  using host = RouteSocket.open();
  return host.link(device)?.mac ?? "";
}
