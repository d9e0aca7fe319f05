/** By which of its endpoints a sandbox reaches the world, and the world its published ports. */
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { NetworkConfig } from "./bridge.ts";
import { bridgeOptions } from "./driver-options.ts";
import { setDefaultRoutes } from "./endpoint-kernel.ts";
import { hasWayOut, isRoutedByDevice } from "./live-network.ts";
import type { Endpoint, SandboxRequest } from "./network.ts";
import type { Networks } from "./networks.ts";
import { holdAgain, type Publication, publishPorts } from "./port-publisher.ts";
import type { EndpointRecord, SandboxRecord } from "./records.ts";
import type { PortForward } from "./ruleset.ts";
import { defaultRoutes, forwardsOf, publishingEndpoint, type WayOut } from "./sandbox-record.ts";

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

  /** The container's address that published ports lead to; empty when none has a way out. */
  publishedAddress({ endpoints }: Pick<SandboxRecord, "endpoints">): string {
    return publishingEndpoint(endpoints, this.#wayOut)?.ipv4Address ?? "";
  }

  forwards(record: SandboxRecord): PortForward[] {
    return forwardsOf(record, this.publishedAddress(record));
  }

  /** Holds the ports that a request is for; undefined when there are none, or no way to them. */
  async publish(
    request: SandboxRequest,
    endpoints: readonly EndpointRecord[],
  ): Promise<Publication | undefined> {
    if (request.ports.length === 0) return undefined;
    const endpoint = publishingEndpoint(endpoints, this.#wayOut);
    if (endpoint === undefined) {
      log.warn("published ports of a container without a way out are ignored", {
        container: request.containerId,
      });
      return undefined;
    }
    const { definition } = this.#networks.byId(endpoint.networkId)!.record;
    const { hostBindingIp } = bridgeOptions(definition.options, definition.internal);
    return await publishPorts({
      ports: request.ports,
      containerAddress: endpoint.ipv4Address,
      endpoint: `${request.containerName} (${endpoint.id})`,
      defaultHostIp: hostBindingIp || this.#config.ip,
    });
  }

  /** As {@link publish}, for ports that an earlier process published. */
  async holdAgain(record: SandboxRecord): Promise<Publication | undefined> {
    if (record.ports.length === 0) return undefined;
    return await holdAgain(record.ports, this.publishedAddress(record), (port, error) =>
      log.warn("a published port could not be held again; its traffic still reaches the container", {
        container: record.containerId,
        port: `${port.hostIp}:${port.hostPort}/${port.protocol}`,
        error: errorText(error),
      }),
    );
  }
}
