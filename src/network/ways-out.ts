/** By which of its endpoints a sandbox reaches the world, and the world its published ports. */
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { NetworkConfig } from "./network-config.ts";
import { bridgeOptions } from "./driver-options.ts";
import { setDefaultRoutes } from "./endpoint-kernel.ts";
import { hasWayOut, isRoutedByDevice } from "./live-network.ts";
import type { Endpoint, PortRequest, PublishedPort, SandboxRequest } from "./network.ts";
import type { Networks } from "./networks.ts";
import { holdAgain, type Publication, publishPorts } from "./port-publisher.ts";
import type { EndpointRecord, SandboxRecord } from "./records.ts";
import type { PortForward } from "./ruleset.ts";
import { defaultRoutes, forwardsOf, isExposed, publishingEndpoint, type WayOut } from "./sandbox-record.ts";

/** The kind of way in of a sandbox that nobody can reach. */
const noWayIn = "none";

export class WaysOut {
  readonly #networks: Networks;
  readonly #config: NetworkConfig;

  constructor(networks: Networks, config: NetworkConfig) {
    this.#networks = networks;
    this.#config = config;
  }

  #wayOut = ({ networkId }: Endpoint): WayOut => {
    const network = this.#networks.byId(networkId);
    return {
      hasWayOut: network !== undefined && hasWayOut(network),
      byDevice: network !== undefined && isRoutedByDevice(network.record),
      hasIpv4: network?.addresses.has(4) ?? false,
      hasIpv6: network?.addresses.has(6) ?? false,
    };
  };

  setRoutes(path: string, endpoints: readonly EndpointRecord[]): void {
    setDefaultRoutes(path, defaultRoutes(endpoints, this.#wayOut));
  }

  /** Where the held sockets pass on to: programs that listen on IPv4 alone are many. Empty when they are not to. */
  publishedAddress({ endpoints }: Pick<SandboxRecord, "endpoints">): string {
    if (!this.#config.userlandProxy) return "";
    const { ipv4Address = "", ipv6Address = "" } = publishingEndpoint(endpoints, this.#wayOut) ?? {};
    return ipv4Address || ipv6Address;
  }

  forwards(record: SandboxRecord): PortForward[] {
    return forwardsOf(record, publishingEndpoint(record.endpoints, this.#wayOut));
  }

  /** Whether two states of a sandbox have their published ports lead to the same addresses. */
  leadToTheSame(one: SandboxRecord, other: SandboxRecord): boolean {
    const [a, b] = [one, other].map(({ endpoints }) => publishingEndpoint(endpoints, this.#wayOut));
    return a?.ipv4Address === b?.ipv4Address && a?.ipv6Address === b?.ipv6Address;
  }

  /**
   * What of a sandbox's way in decides which ports are published and how. Where it changes they are published anew, else
   * they only lead to another address.
   */
  kindOfWayIn({ endpoints }: Pick<SandboxRecord, "endpoints">): string {
    const endpoint = publishingEndpoint(endpoints, this.#wayOut);
    const network = endpoint && this.#networks.byId(endpoint.networkId);
    if (endpoint === undefined || network === undefined) return noWayIn;
    const { definition } = network.record;
    const { hostBindingIp, gatewayModes } = bridgeOptions(definition.options, definition.internal);
    const { ipv4Address, ipv6Address } = endpoint;
    const families = this.#config.userlandProxy ? [] : [ipv4Address !== "", ipv6Address !== ""];
    return JSON.stringify([
      hostBindingIp,
      gatewayModes.ipv4 === "routed" ? ipv4Address : "",
      gatewayModes.ipv6 === "routed" ? ipv6Address : "",
      ...families,
    ]);
  }

  /**
   * Whether a sandbox's ports are published as its endpoints want it. They are not where a daemon was cut off while it
   * exchanged networks, and where somebody else had a port at that time.
   */
  isPublished(record: SandboxRecord): boolean {
    const { requests = [], ports, wayIn } = record;
    if (requests.length === 0) return true;
    const kind = this.kindOfWayIn(record);
    return wayIn === undefined ? ports.length > 0 || kind === noWayIn : wayIn === kind;
  }

  /** Holds the ports that a request is for; undefined when there are none, or no way to them. */
  async publish(
    request: Pick<SandboxRequest, "containerId" | "containerName" | "ports">,
    endpoints: readonly EndpointRecord[],
  ): Promise<Publication | undefined> {
    if (request.ports.length === 0) return undefined;
    const endpoint = publishingEndpoint(endpoints, this.#wayOut);
    if (endpoint === undefined) {
      log.info("ports of a container without a way out are published when it comes to a network with one", {
        container: request.containerId,
      });
      return undefined;
    }
    const { definition } = this.#networks.byId(endpoint.networkId)!.record;
    const { hostBindingIp, gatewayModes } = bridgeOptions(definition.options, definition.internal);
    const exposed = exposedPorts(request.ports, [
      gatewayModes.ipv4 === "routed" ? endpoint.ipv4Address : "",
      gatewayModes.ipv6 === "routed" ? endpoint.ipv6Address : "",
    ]);
    if (gatewayModes.ipv4 === "routed") return { ports: exposed, close() {}, retarget() {} };
    const publication = await publishPorts({
      ports: request.ports,
      containerAddress: this.publishedAddress({ endpoints: [endpoint] }),
      // Without anybody to pass on, a port of a family that the container has not leads nowhere.
      families: {
        ipv4: this.#config.userlandProxy || endpoint.ipv4Address !== "",
        ipv6: this.#config.userlandProxy || endpoint.ipv6Address !== "",
      },
      endpoint: `${request.containerName} (${endpoint.id})`,
      defaultHostIp: hostBindingIp || this.#config.ip,
    });
    return { ...publication, ports: [...publication.ports, ...exposed] };
  }

  /** As {@link publish}, for ports that an earlier process published. */
  async holdAgain(record: SandboxRecord): Promise<Publication | undefined> {
    if (record.ports.length === 0) return undefined;
    // A record with ports and without a way to them is an older daemon's: they stay held.
    const endpoint = publishingEndpoint(record.endpoints, this.#wayOut);
    const held = record.ports.filter((port) => endpoint === undefined || !isExposed(port, endpoint));
    return await holdAgain(held, this.publishedAddress(record), (port, error) =>
      log.warn(
        "a published port could not be held again; its traffic still reaches the container, and it is tried again",
        {
          container: record.containerId,
          port: `${port.hostIp}:${port.hostPort}/${port.protocol}`,
          error: errorText(error),
        },
      ),
    );
  }
}

/** Ports that are open at these addresses of a container, each once. */
function exposedPorts(requests: readonly PortRequest[], addresses: readonly string[]): PublishedPort[] {
  const found = new Map<string, PublishedPort>();
  for (const hostIp of addresses)
    for (const { protocol, containerPort } of requests)
      if (hostIp !== "")
        found.set(`${hostIp} ${protocol} ${containerPort}`, {
          protocol,
          containerPort,
          hostIp,
          hostPort: containerPort,
        });
  return [...found.values()];
}
