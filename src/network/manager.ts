/** The network manager: each container's sandbox, and its endpoints on the daemon's networks. */
import type { Database } from "../base/database.ts";
import { conflict, EngineError, errorText, invalidArgument, notFound } from "../base/errors.ts";
import { failpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import type { NetworkCreateRequest, NetworkInspect } from "../wire/network.ts";
import { Attacher, type Owner, type PlannedEndpoint } from "./attacher.ts";
import type { NetworkConfig } from "./bridge.ts";
import { DeferredWork } from "./deferred-work.ts";
import { EndpointIndex } from "./endpoint-index.ts";
import { changeMac, detach } from "./endpoint-kernel.ts";
import { checkEndpoint, checkPort, emptyEndpoint } from "./endpoint-request.ts";
import { containersOf, describeNetwork, networkInfo } from "./inspect.ts";
import { type LiveNetwork, requireConnectable } from "./live-network.ts";
import type {
  Endpoint,
  EndpointRequest,
  NetworkInfo,
  NetworkManager,
  NetworkMember,
  Sandbox,
  SandboxRequest,
  SandboxWatcher,
} from "./network.ts";
import { Networks } from "./networks.ts";
import type { Publication } from "./port-publisher.ts";
import { type EndpointRecord, NetworkRecords, type SandboxRecord } from "./records.ts";
import { deleteSandbox, makeBareSandbox, sandboxInterface, SandboxNames } from "./sandbox-kernel.ts";
import { withName } from "./sandbox-record.ts";
import { keepSandboxes, reattachDevices } from "./take-over.ts";
import { forgetFlowsFrom, forgetFlowsTo } from "./udp-flows.ts";
import { WarmSandboxes } from "./warm-sandboxes.ts";
import { WaysOut } from "./ways-out.ts";

export interface NetworkManagerOptions {
  readonly database: Database;
  /** Directory of the daemon's run-time state, on a file system that a reboot empties. */
  readonly execRoot: string;
  readonly config: NetworkConfig;
  /** Sandboxes kept ready. */
  readonly poolSize?: number;
}

interface OpenSandbox {
  readonly record: SandboxRecord;
  readonly publication: Publication | undefined;
}

/** The one implementation of {@link NetworkManager}. Touches no kernel object before {@link NetworkManager.restore}. */
export function createNetworkManager(options: NetworkManagerOptions): NetworkManager {
  return new Manager(options);
}

class Manager implements NetworkManager {
  readonly #config: NetworkConfig;
  readonly #records: NetworkRecords;
  readonly #networks: Networks;
  readonly #names: SandboxNames;
  readonly #attacher: Attacher;
  readonly #ways: WaysOut;
  readonly #warm: WarmSandboxes;
  readonly #open = new Map<string, OpenSandbox>();
  readonly #opening = new Set<string>();
  /** How many endpoints of a network are being made. */
  readonly #busy = new Map<string, number>();
  readonly #index = new EndpointIndex();
  readonly #watchers: SandboxWatcher[] = [];
  readonly #deferred = new DeferredWork();

  constructor({ database, execRoot, config, poolSize = 3 }: NetworkManagerOptions) {
    this.#config = config;
    this.#records = new NetworkRecords(database);
    this.#names = new SandboxNames(execRoot);
    this.#networks = new Networks(this.#records, this.#names, config);
    this.#ways = new WaysOut(this.#networks, config);
    this.#warm = new WarmSandboxes(this.#networks, this.#names, poolSize);
    this.#attacher = new Attacher(this.#names, async (network, address) => {
      if (!(await this.#warm.freeAddress(network, address))) await this.idle();
    });
  }

  readonly isReady = (name: string): boolean => this.#warm.has(name);

  get bridgeName(): string {
    return this.#config.bridge;
  }

  // start-up

  async restore(isLive: (containerId: string) => boolean): Promise<void> {
    const kept = await keepSandboxes({
      records: this.#records,
      networks: this.#networks,
      names: this.#names,
      isLive,
    });
    await this.#networks.restore(kept, () => kept.flatMap((record) => this.#ways.forwards(record)));
    reattachDevices(kept, this.#networks);
    for (const record of kept) {
      const publication = await this.#ways.holdAgain(record);
      this.#open.set(record.containerId, { record, publication });
      try {
        await this.#announce(record);
      } catch (error) {
        // One container without names is no reason not to start.
        log.error("a running container could not be taken over in full", {
          container: record.containerId,
          error: errorText(error),
        });
      }
    }
    await this.#warm.fill();
  }

  // sandboxes

  async open(request: SandboxRequest): Promise<Sandbox> {
    const { containerId } = request;
    if (this.#open.has(containerId) || this.#opening.has(containerId))
      throw conflict(`container ${containerId} has a network sandbox already`);
    for (const port of request.ports) checkPort(port);
    const planned = request.mode === "none" ? [] : this.#plan(request.endpoints);
    this.#opening.add(containerId);
    using _ = this.#use(planned.map(({ network }) => network));
    try {
      const opened =
        planned.length === 0 ? this.#openBare(request) : await this.#openConnected(request, planned);
      this.#open.set(containerId, opened);
      try {
        await this.#announce(opened.record);
      } catch (error) {
        this.close(containerId);
        throw error;
      }
      return opened.record;
    } finally {
      this.#opening.delete(containerId);
    }
  }

  watch(watcher: SandboxWatcher): void {
    this.#watchers.push(watcher);
  }

  async #announce(sandbox: Sandbox): Promise<void> {
    this.#index.put(undefined, sandbox);
    for (const watcher of this.#watchers) await watcher.opened?.(sandbox);
  }

  /** The endpoints asked for, in their order. */
  #plan(requests: readonly EndpointRequest[]): PlannedEndpoint[] {
    const planned = requests.map((request) => this.#planOne(request));
    const ids = new Set(planned.map(({ network }) => network.record.id));
    if (ids.size < planned.length)
      throw invalidArgument("a container cannot be connected to the same network twice");
    return planned;
  }

  #planOne(asked: EndpointRequest): PlannedEndpoint {
    const network = this.#networks.find(asked.network);
    const { driver, name } = network.record;
    if (network.isPredefined && driver !== "bridge")
      throw conflict(`container cannot be connected to network ${name} besides others`);
    requireConnectable(network);
    return { network, request: checkEndpoint(asked, network) };
  }

  /** Keeps networks from being removed until the result is disposed. */
  #use(networks: readonly LiveNetwork[]): Disposable {
    const change = (by: number): void => {
      for (const { record } of networks) this.#busy.set(record.id, (this.#busy.get(record.id) ?? 0) + by);
    };
    change(1);
    return { [Symbol.dispose]: () => change(-1) };
  }

  /** A sandbox without a network: a loopback device, and the entry of network `none`. */
  #openBare(request: SandboxRequest): OpenSandbox {
    const { containerId, containerName, mode, ports } = request;
    if (ports.length > 0)
      log.warn("published ports of a container without a network are ignored", { containerId });
    const endpoint = { ...emptyEndpoint(this.#networks.find("none").record), hostInterface: "" };
    const record: SandboxRecord = {
      containerId,
      containerName,
      path: this.#names.newPath(),
      endpoints: mode === "none" ? [endpoint] : [],
      ports: [],
    };
    this.#records.insert(record);
    try {
      makeBareSandbox(record.path, request.namespaceOfPid);
    } catch (error) {
      this.#records.remove(containerId);
      throw error;
    }
    return { record, publication: undefined };
  }

  async #openConnected(request: SandboxRequest, planned: readonly PlannedEndpoint[]): Promise<OpenSandbox> {
    const { containerId, containerName } = request;
    await using undo = new AsyncDisposableStack();
    const endpoints: EndpointRecord[] = [];
    const warm =
      request.namespaceOfPid === undefined ? this.#openWarm(request, planned[0]!, undo) : undefined;
    const path = warm?.path ?? this.#names.newPath();
    if (warm === undefined) {
      makeBareSandbox(path, request.namespaceOfPid);
      undo.defer(() => deleteSandbox(path, []));
    } else endpoints.push(warm.endpoint);
    for (const each of planned.slice(warm === undefined ? 0 : 1)) {
      const endpoint = await this.#attacher.plan(each, request, endpoints, undo);
      await this.#attacher.makeDevice(path, each, endpoint);
      // Before its addresses are given back.
      undo.defer(() => detach(path, endpoint.interfaceName, endpoint.hostInterface));
      endpoints.push(endpoint);
    }
    if (warm === undefined || endpoints.length > 1) this.#ways.setRoutes(path, endpoints);
    const publication = await this.#ways.publish(request, endpoints);
    undo.defer(() => publication?.close());
    const record: SandboxRecord = {
      containerId,
      containerName,
      path,
      endpoints,
      ports: publication?.ports ?? [],
    };
    this.#records.insert(record);
    undo.defer(() => this.#records.remove(containerId));
    failpoint("network-open-recorded");
    const forwards = this.#ways.forwards(record);
    this.#networks.firewall?.add(forwards);
    undo.defer(() => this.#networks.firewall?.remove(forwards));
    failpoint("network-open-published");
    forgetFlowsTo(forwards);
    undo.move();
    return { record, publication };
  }

  /** A ready sandbox, if it fits the first endpoint and one is there. */
  #openWarm(
    owner: Owner,
    planned: PlannedEndpoint,
    undo: AsyncDisposableStack,
  ): { path: string; endpoint: EndpointRecord } | undefined {
    const ready = this.#warm.take(planned);
    if (ready === undefined) return undefined;
    // A sandbox that some container was promised is not given to the next one: it is made anew.
    undo.defer(() => this.#deferred.add(() => this.#warm.destroy(ready)));
    const { macAddress } = planned.request;
    if (macAddress !== undefined) changeMac(ready.path, sandboxInterface, macAddress);
    const endpoint: EndpointRecord = {
      ...this.#attacher.describe(planned, owner, { ipv4: ready.taken, ipv6: undefined }),
      interfaceName: sandboxInterface,
      macAddress: macAddress ?? ready.macAddress,
      hostInterface: ready.hostInterface,
    };
    return { path: ready.path, endpoint };
  }

  get(containerId: string): Sandbox | undefined {
    return this.#open.get(containerId)?.record;
  }

  sandboxes(): Sandbox[] {
    return [...this.#open.values()].map(({ record }) => record);
  }

  async rename(containerId: string, name: string): Promise<void> {
    const opened = this.#open.get(containerId);
    if (opened === undefined) return;
    const renamed = withName(opened.record, name);
    this.#records.replace(renamed);
    await this.#changed(opened, renamed);
  }

  async #changed(before: OpenSandbox, record: SandboxRecord): Promise<void> {
    this.#open.set(record.containerId, { ...before, record });
    this.#index.put(before.record, record);
    for (const watcher of this.#watchers)
      try {
        await watcher.changed?.(record);
      } catch (error) {
        // The networks are as they are to be; names that lag behind do not undo that.
        log.error("names could not follow a container's networks", { container: record.containerId, error });
      }
  }

  close(containerId: string): void {
    const opened = this.#open.get(containerId);
    if (opened === undefined) return;
    const { record, publication } = opened;
    this.#open.delete(containerId);
    this.#index.put(record, undefined);
    for (const watcher of this.#watchers) watcher.closed?.(record);
    try {
      this.#records.remove(containerId);
    } catch (error) {
      // A full disk keeps nobody's ports and addresses: the next start of the daemon drops the record.
      log.warn("the record of a sandbox could not be removed yet", {
        container: containerId,
        error: errorText(error),
      });
    }
    publication?.close();
    const forwards = this.#ways.forwards(record);
    try {
      this.#networks.firewall?.remove(forwards);
    } catch (error) {
      log.error("the rules of published ports could not be removed", { container: containerId, error });
    }
    this.#deferred.add(async () => {
      await deleteSandbox(
        record.path,
        record.endpoints.map(({ hostInterface }) => hostInterface),
      );
      forgetFlowsFrom(forwards);
      for (const endpoint of record.endpoints) this.#release(endpoint);
    });
  }

  #release({ networkId, ipv4Address, ipv6Address }: Endpoint): void {
    const addresses = this.#networks.byId(networkId)?.addresses;
    for (const address of [ipv4Address, ipv6Address]) if (address !== "") addresses?.release(address);
  }

  // networks of a running container

  async connect(containerId: string, request: EndpointRequest): Promise<Endpoint> {
    const opened = this.#requireOpen(containerId);
    const planned = this.#planOne(request);
    const { record: network } = planned.network;
    const { record } = opened;
    if (record.endpoints.some(({ networkId }) => networkId === network.id))
      throw new EngineError(
        "permissionDenied",
        `endpoint with name ${record.containerName} already exists in network ${network.name}`,
      );
    using _ = this.#use([planned.network]);
    await using undo = new AsyncDisposableStack();
    const endpoint = await this.#attacher.plan(planned, record, record.endpoints, undo);
    this.#records.addEndpoint(containerId, endpoint);
    undo.defer(() => this.#records.removeEndpoint(endpoint.id));
    await this.#attacher.makeDevice(record.path, planned, endpoint);
    undo.defer(() => detach(record.path, endpoint.interfaceName, endpoint.hostInterface));
    failpoint("network-connect.attached");
    undo.defer(() => this.#exchange(this.#open.get(containerId) ?? opened, record));
    await this.#exchange(opened, { ...record, endpoints: [...record.endpoints, endpoint] });
    undo.move();
    return endpoint;
  }

  async disconnect(containerId: string, networkId: string): Promise<void> {
    const opened = this.#requireOpen(containerId);
    const { record } = opened;
    const endpoint = record.endpoints.find((candidate) => candidate.networkId === networkId);
    if (endpoint === undefined) throw notFound(`container ${record.containerName} is not on that network`);
    await detach(record.path, endpoint.interfaceName, endpoint.hostInterface);
    failpoint("network-disconnect.detached");
    await this.#exchange(opened, {
      ...record,
      endpoints: record.endpoints.filter((candidate) => candidate !== endpoint),
    });
    this.#records.removeEndpoint(endpoint.id);
    this.#release(endpoint);
  }

  #requireOpen(containerId: string): OpenSandbox {
    const opened = this.#open.get(containerId);
    if (opened === undefined)
      throw conflict(`container ${containerId} has no network sandbox: it does not run`);
    return opened;
  }

  /** Lets routes, published ports and names follow a sandbox's new endpoints. */
  async #exchange(opened: OpenSandbox, after: SandboxRecord): Promise<void> {
    const before = opened.record;
    this.#ways.setRoutes(after.path, after.endpoints);
    if (!this.#ways.leadToTheSame(before, after)) {
      this.#networks.firewall?.move(this.#ways.forwards(before), this.#ways.forwards(after));
      opened.publication?.retarget(this.#ways.publishedAddress(after));
    }
    await this.#changed(opened, after);
  }

  async idle(): Promise<void> {
    await this.#deferred.idle();
  }

  // networks

  async create(request: NetworkCreateRequest): Promise<NetworkInfo> {
    return networkInfo(await this.#networks.create(request));
  }

  async remove(nameOrId: string): Promise<NetworkInfo> {
    const network = this.#networks.find(nameOrId);
    const { record, isPredefined } = network;
    if (isPredefined)
      throw new EngineError(
        "permissionDenied",
        `${record.name} is a pre-defined network and cannot be removed`,
      );
    const members = this.members(record.id);
    if (members.length > 0 || (this.#busy.get(record.id) ?? 0) > 0) {
      const who = members.map(
        ({ containerName, endpoint }) => `name:"${containerName}" id:"${endpoint.id.slice(0, 12)}"`,
      );
      throw new EngineError(
        "permissionDenied",
        `error while removing network: network ${record.name} has active endpoints (${who.join(", ")})`,
      );
    }
    // Addresses and devices of containers that have just ended are still being given back.
    await this.#networks.remove(network, () => this.idle());
    return networkInfo(network);
  }

  list(): NetworkInspect[] {
    return this.#networks.list().map((network) => describeNetwork(network, this.#config));
  }

  inspect(nameOrId: string): NetworkInspect {
    const network = this.#networks.find(nameOrId);
    const sandboxes = [...this.#open.values()].map((opened) => opened.record);
    return {
      ...describeNetwork(network, this.#config),
      Containers: containersOf(network.record.id, sandboxes),
    };
  }

  find(nameOrId: string): NetworkInfo {
    return networkInfo(this.#networks.find(nameOrId));
  }

  members(networkId: string): NetworkMember[] {
    return this.#index.members(networkId);
  }

  lookUp(networkId: string, name: string): readonly NetworkMember[] {
    return this.#index.lookUp(networkId, name);
  }

  repair(): void {
    this.#networks.firewall?.repair();
  }

  async shutdown({ removeAll }: { removeAll: boolean }): Promise<void> {
    await this.#warm.stop();
    this.#networks.stopGuarding();
    await this.#deferred.close();
    for (const { publication } of this.#open.values()) publication?.close();
    if (removeAll && this.#open.size === 0) await this.#networks.tearDown();
  }
}
