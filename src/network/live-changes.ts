/** Networks given to and taken from sandboxes that are open. */
import { conflict, EngineError, errorText, notFound } from "../base/errors.ts";
import { failpoint } from "../base/failpoint.ts";
import { KeyedLock } from "../base/keyed-lock.ts";
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

/** How long after a failure ports are tried again that a running container is to have: longer with each in a row. */
const publishAgainMs = 2_000;
const longestPublishAgainMs = 30_000;

export class LiveChanges {
  readonly #parts: LiveChangeParts;
  /** Publishing anew takes time, and happens by itself too: changes of one sandbox go one after the other. */
  readonly #locks = new KeyedLock();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** By container: after how long the next try is due. */
  readonly #delaysMs = new Map<string, number>();
  /** Containers whose record says that their ports are not published: it needs no second time. */
  readonly #recordedUnpublished = new Set<string>();
  #isStopped = false;

  constructor(parts: LiveChangeParts) {
    this.#parts = parts;
  }

  /** Connects an open sandbox to one more network. All or nothing. */
  async connect(containerId: string, planned: PlannedEndpoint): Promise<Endpoint> {
    const { records, attacher, open } = this.#parts;
    using _ = await this.#locks.acquire(containerId);
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
    using _ = await this.#locks.acquire(containerId);
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

  /**
   * Publishes the ports of a sandbox that are to be published and are not: a daemon was cut off between two steps of a
   * change, or somebody else had a port. What cannot be had yet is tried again by itself.
   */
  async catchUp(containerId: string): Promise<void> {
    const { ways, open } = this.#parts;
    using _ = await this.#locks.acquire(containerId);
    const opened = open.get(containerId);
    if (this.#isStopped || opened === undefined || ways.isPublished(opened.record)) {
      this.#forgetTries(containerId);
      return;
    }
    await this.#publishAnew(opened, opened.record, true);
  }

  /** Nothing is tried again any more. */
  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #forgetTries(containerId: string): void {
    this.#delaysMs.delete(containerId);
    this.#recordedUnpublished.delete(containerId);
  }

  #catchUpLater(containerId: string): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timers.get(containerId));
    const delayMs = this.#delaysMs.get(containerId) ?? publishAgainMs;
    this.#delaysMs.set(containerId, Math.min(2 * delayMs, longestPublishAgainMs));
    const timer = setTimeout(() => {
      this.#timers.delete(containerId);
      this.catchUp(containerId).catch((error: unknown) =>
        log.error("a container's ports could not be looked after", {
          container: containerId,
          error: errorText(error),
        }),
      );
    }, delayMs);
    this.#timers.set(containerId, timer.unref());
  }

  /** Lets routes, published ports and names follow a sandbox's new endpoints. */
  async #exchange(opened: OpenSandbox, after: SandboxRecord, mayBeLost = false): Promise<void> {
    const { ways, open } = this.#parts;
    const before = opened.record;
    ways.setRoutes(after.path, after.endpoints);
    if (ways.kindOfWayIn(before) !== ways.kindOfWayIn(after) || !this.#move(opened, after, mayBeLost))
      await this.#publishAnew(opened, after, mayBeLost);
    else await open.change(before, { ...opened, record: after });
  }

  /** Lets what is published lead to another address. False when it could not be and ports `mayBeLost`; else it throws. */
  #move({ record: before, publication }: OpenSandbox, after: SandboxRecord, mayBeLost: boolean): boolean {
    const { networks, ways } = this.#parts;
    if (ways.leadToTheSame(before, after)) return true;
    try {
      networks.firewall?.move(ways.forwards(before), ways.forwards(after));
    } catch (error) {
      if (!mayBeLost) throw error;
      return false;
    }
    publication?.retarget(ways.publishedAddress(after));
    return true;
  }

  /**
   * Publishes what was asked for on the network that is the way in now. When a port is taken meanwhile, nothing is
   * published for the time being if ports `mayBeLost`, and it is tried again by itself; else what was published before is
   * again, and it throws `conflict`.
   */
  async #publishAnew(opened: OpenSandbox, after: SandboxRecord, mayBeLost: boolean): Promise<void> {
    const { networks, ways, open } = this.#parts;
    const { record: before } = opened;
    opened.publication?.close();
    try {
      networks.firewall?.remove(ways.forwards(before));
      await this.#publish(opened, after);
    } catch (error) {
      if (mayBeLost) {
        await this.#leaveUnpublished(opened, after, error);
        return;
      }
      const publication = await ways.holdAgain(before);
      const isBack = this.#takeBack(before);
      open.restore({ record: isBack ? before : { ...before, wayIn: "" }, publication });
      if (!isBack) this.#catchUpLater(before.containerId);
      throw error;
    }
  }

  /** Notes that nothing is published and that it is to be: another network, or another try, may be the way. */
  async #leaveUnpublished(opened: OpenSandbox, after: SandboxRecord, error: unknown): Promise<void> {
    const { records, open } = this.#parts;
    const { record: before } = opened;
    const { containerId: container } = after;
    if (open.get(container) !== opened) {
      // It has another name by now, or is gone: then there is nothing to try again.
      this.#catchUpLater(container);
      return;
    }
    this.#catchUpLater(container);
    if (before === after && this.#recordedUnpublished.has(container)) return;
    const unpublished = { ...after, ports: [], requests: requestsOf(after), wayIn: "" };
    // Once: it may be tried for hours.
    if (before.wayIn !== "")
      log.error("a container's ports could not be published on another of its networks; it is tried again", {
        container,
        error: errorText(error),
      });
    try {
      records.replacePorts(unpublished);
      this.#recordedUnpublished.add(container);
    } catch (failure) {
      this.#recordedUnpublished.delete(container);
      log.error("that a container's ports are not published could not be recorded", {
        container,
        error: errorText(failure),
      });
    }
    await open.change(before, { record: unpublished, publication: undefined });
  }

  /** Has records and rules say again what is published. What fails is logged: why it is taken back matters more. */
  #takeBack(before: SandboxRecord): boolean {
    const { records, networks, ways } = this.#parts;
    let isBack = true;
    const steps = [() => records.replacePorts(before), () => networks.firewall?.add(ways.forwards(before))];
    for (const step of steps)
      try {
        step();
      } catch (error) {
        isBack = false;
        log.error("a container's published ports could not be put back in full; it is tried again", {
          container: before.containerId,
          error: errorText(error),
        });
      }
    return isBack;
  }

  async #publish(opened: OpenSandbox, record: SandboxRecord): Promise<void> {
    const { records, networks, ways, open } = this.#parts;
    const { containerId, containerName } = record;
    const ports = requestsOf(record);
    const publication = await ways.publish({ containerId, containerName, ports }, record.endpoints);
    const published = {
      ...record,
      ports: publication?.ports ?? [],
      requests: ports,
      wayIn: ways.kindOfWayIn(record),
    };
    try {
      if (this.#isStopped || open.get(containerId) !== opened)
        throw conflict(`container ${containerName} changed while its ports were published`);
      records.replacePorts(published);
      const forwards = ways.forwards(published);
      networks.firewall?.add(forwards);
      forgetFlowsTo(forwards);
    } catch (error) {
      publication?.close();
      throw error;
    }
    this.#forgetTries(containerId);
    await open.change(opened.record, { record: published, publication });
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
