/** Networks given to and taken from sandboxes that are open. */
import { EngineError, errorText, notFound } from "../base/errors.ts";
import { failpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import type { Attacher, PlannedEndpoint } from "./attacher.ts";
import { detach } from "./endpoint-kernel.ts";
import type { Endpoint, PortRequest } from "./network.ts";
import type { Networks } from "./networks.ts";
import type { OpenSandbox, OpenSandboxes } from "./open-sandboxes.ts";
import type { NetworkRecords, SandboxRecord } from "./records.ts";
import { forgetFlowsTo } from "./udp-flows.ts";
import type { WaysOut } from "./ways-out.ts";

export interface LiveChangeParts {
  readonly records: NetworkRecords;
  readonly networks: Networks;
  readonly attacher: Attacher;
  readonly ways: WaysOut;
  readonly open: OpenSandboxes;
}

export class LiveChanges {
  readonly #parts: LiveChangeParts;

  constructor(parts: LiveChangeParts) {
    this.#parts = parts;
  }

  /** Connects an open sandbox to one more network. All or nothing. */
  async connect(containerId: string, planned: PlannedEndpoint): Promise<Endpoint> {
    const { records, attacher, open } = this.#parts;
    const opened = open.require(containerId);
    const { record } = opened;
    const { record: network } = planned.network;
    if (record.endpoints.some(({ networkId }) => networkId === network.id))
      throw new EngineError(
        "permissionDenied",
        `endpoint with name ${record.containerName} already exists in network ${network.name}`,
      );
    await using undo = new AsyncDisposableStack();
    const endpoint = await attacher.plan(planned, record, record.endpoints, undo);
    records.addEndpoint(containerId, endpoint);
    undo.defer(() => records.removeEndpoint(endpoint.id));
    await attacher.makeDevice(record.path, planned, endpoint);
    undo.defer(() => detach(record.path, endpoint.interfaceName, endpoint.hostInterface));
    failpoint("network-connect.attached");
    undo.defer(() => this.#exchange(open.get(containerId) ?? opened, record));
    await this.#exchange(opened, { ...record, endpoints: [...record.endpoints, endpoint] });
    undo.move();
    return endpoint;
  }

  /** Takes a network (its full id) from an open sandbox. Throws `notFound` when it is not on it. */
  async disconnect(containerId: string, networkId: string): Promise<void> {
    const { records, networks, open } = this.#parts;
    const opened = open.require(containerId);
    const { record } = opened;
    const endpoint = record.endpoints.find((candidate) => candidate.networkId === networkId);
    if (endpoint === undefined) throw notFound(`container ${record.containerName} is not on that network`);
    await detach(record.path, endpoint.interfaceName, endpoint.hostInterface);
    failpoint("network-disconnect.detached");
    const endpoints = record.endpoints.filter((candidate) => candidate !== endpoint);
    await this.#exchange(opened, { ...record, endpoints }, true);
    records.removeEndpoint(endpoint.id);
    networks.release(endpoint);
  }

  /** Lets routes, published ports and names follow a sandbox's new endpoints. */
  async #exchange(opened: OpenSandbox, after: SandboxRecord, mayBeLost = false): Promise<void> {
    const { networks, ways, open } = this.#parts;
    const before = opened.record;
    ways.setRoutes(after.path, after.endpoints);
    if (ways.kindOfWayIn(before) !== ways.kindOfWayIn(after)) {
      await open.change(before, await this.#publishAnew(opened, after, mayBeLost));
      return;
    }
    if (!ways.leadToTheSame(before, after)) {
      networks.firewall?.move(ways.forwards(before), ways.forwards(after));
      opened.publication?.retarget(ways.publishedAddress(after));
    }
    await open.change(before, { ...opened, record: after });
  }

  /**
   * Publishes what was asked for on the network that is the way in now. When a port is taken meanwhile, nothing is
   * published if ports `mayBeLost`; else what was published before is again, and it throws `conflict`.
   */
  async #publishAnew(opened: OpenSandbox, after: SandboxRecord, mayBeLost: boolean): Promise<OpenSandbox> {
    const { records, networks, ways, open } = this.#parts;
    const { record: before } = opened;
    opened.publication?.close();
    try {
      networks.firewall?.remove(ways.forwards(before));
      return await this.#publish(after);
    } catch (error) {
      const { containerId: container } = after;
      if (mayBeLost) {
        log.error("a container's ports could not be published on another of its networks", {
          container,
          error: errorText(error),
        });
        // They stay asked for: another network may be the way in some time.
        const unpublished = { ...after, ports: [], requests: requestsOf(after) };
        records.replacePorts(unpublished);
        return { record: unpublished, publication: undefined };
      }
      open.restore({ record: before, publication: await ways.holdAgain(before) });
      this.#takeBack(before);
      throw error;
    }
  }

  /** Has records and rules say again what is published. What fails is logged: why it is taken back matters more. */
  #takeBack(before: SandboxRecord): void {
    const { records, networks, ways } = this.#parts;
    const steps = [() => records.replacePorts(before), () => networks.firewall?.add(ways.forwards(before))];
    for (const step of steps)
      try {
        step();
      } catch (error) {
        log.error("a container's published ports could not be put back in full", {
          container: before.containerId,
          error: errorText(error),
        });
      }
  }

  async #publish(record: SandboxRecord): Promise<OpenSandbox> {
    const { records, networks, ways } = this.#parts;
    const { containerId, containerName } = record;
    const ports = requestsOf(record);
    const publication = await ways.publish({ containerId, containerName, ports }, record.endpoints);
    const published = { ...record, ports: publication?.ports ?? [], requests: ports };
    try {
      records.replacePorts(published);
      const forwards = ways.forwards(published);
      networks.firewall?.add(forwards);
      forgetFlowsTo(forwards);
    } catch (error) {
      publication?.close();
      throw error;
    }
    return { record: published, publication };
  }
}

/** What was asked to be published; of an older daemon's record what is published. */
function requestsOf({ requests, ports }: SandboxRecord): readonly PortRequest[] {
  if (requests !== undefined) return requests;
  return ports.map(({ protocol, containerPort, hostIp, hostPort }) => ({
    protocol,
    containerPort,
    hostIp,
    hostPortFirst: hostPort,
    hostPortLast: hostPort,
  }));
}
