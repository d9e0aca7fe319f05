/** The network manager: each container's sandbox, and its endpoints on the daemon's networks. */
import type { Database } from "../base/database.ts";
import { conflict, EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { NetworkCreateRequest, NetworkInspect } from "../wire/network.ts";
import { Attacher, type PlannedEndpoint } from "./attacher.ts";
import { DeferredWork } from "./deferred-work.ts";
import { checkEndpoint, checkPort } from "./endpoint-request.ts";
import { containersOf, describeNetwork, networkInfo } from "./inspect.ts";
import { LiveChanges } from "./live-changes.ts";
import { type LiveNetwork, requireConnectable } from "./live-network.ts";
import type { NetworkConfig } from "./network-config.ts";
import type {
  Endpoint,
  EndpointRequest,
  LinkedPort,
  NetworkInfo,
  NetworkManager,
  NetworkMember,
  Sandbox,
  SandboxRequest,
  SandboxWatcher,
} from "./network.ts";
import { Networks } from "./networks.ts";
import { OpenSandboxes } from "./open-sandboxes.ts";
import { NetworkRecords } from "./records.ts";
import { SandboxNames } from "./sandbox-kernel.ts";
import { SandboxOpener } from "./sandbox-opener.ts";
import { SandboxRemover } from "./sandbox-remover.ts";
import { withName } from "./sandbox-record.ts";
import { keepSandboxes, reattachDevices } from "./take-over.ts";
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
  readonly #open = new OpenSandboxes();
  readonly #opening = new Set<string>();
  /** How many endpoints of a network are being made. */
  readonly #busy = new Map<string, number>();
  readonly #deferred = new DeferredWork();
  readonly #remover: SandboxRemover;
  readonly #opener: SandboxOpener;
  readonly #changes: LiveChanges;

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
    const parts = {
      records: this.#records,
      networks: this.#networks,
      names: this.#names,
      attacher: this.#attacher,
      ways: this.#ways,
      warm: this.#warm,
      deferred: this.#deferred,
      open: this.#open,
    };
    this.#remover = new SandboxRemover(parts);
    this.#opener = new SandboxOpener(parts);
    this.#changes = new LiveChanges(parts);
  }

  readonly isReady = (name: string): boolean => this.#warm.has(name);

  get bridgeName(): string {
    return this.#config.bridge;
  }

  // start-up

  async restore(isLive: (containerId: string) => boolean): Promise<void> {
    const found = await keepSandboxes({
      records: this.#records,
      networks: this.#networks,
      names: this.#names,
      isLive,
    });
    // What was not published in full is published anew below, as if nothing of it were there.
    const kept = found.map((record) => {
      if (this.#ways.isPublished(record)) return record;
      log.warn("ports of a running container are not published as they are to be; they are published anew", {
        container: record.containerId,
      });
      return { ...record, ports: [], wayIn: "" };
    });
    await this.#networks.restore(kept, () => kept.flatMap((record) => this.#ways.forwards(record)));
    reattachDevices(kept, this.#networks);
    for (const record of kept) {
      const publication = await this.#ways.holdAgain(record);
      try {
        await this.#open.add({ record, publication });
      } catch (error) {
        // One container without names is no reason not to start.
        log.error("a running container could not be taken over in full", {
          container: record.containerId,
          error: errorText(error),
        });
      }
    }
    for (const { containerId } of kept) await this.#changes.catchUp(containerId);
    await this.#warm.fill();
  }

  // sandboxes

  async open(request: SandboxRequest): Promise<Sandbox> {
    const { containerId } = request;
    if (this.#open.get(containerId) !== undefined || this.#opening.has(containerId))
      throw conflict(`container ${containerId} has a network sandbox already`);
    for (const port of request.ports) checkPort(port);
    const planned = request.mode === "none" ? [] : this.#plan(request.endpoints);
    this.#opening.add(containerId);
    using _ = this.#use(planned.map(({ network }) => network));
    try {
      const opened =
        planned.length === 0
          ? this.#opener.openBare(request)
          : await this.#opener.openConnected(request, planned);
      try {
        await this.#open.add(opened);
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
    this.#open.watch(watcher);
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

  get(containerId: string): Sandbox | undefined {
    return this.#open.get(containerId)?.record;
  }

  sandboxes(): Sandbox[] {
    return this.#open.records();
  }

  async rename(containerId: string, name: string): Promise<void> {
    const opened = this.#open.get(containerId);
    if (opened === undefined) return;
    const renamed = withName(opened.record, name);
    this.#records.replace(renamed);
    await this.#open.change(opened.record, { ...opened, record: renamed });
  }

  close(containerId: string): void {
    const opened = this.#open.remove(containerId);
    if (opened === undefined) return;
    const { record, publication } = opened;
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
      this.#networks.firewall?.setLinks(containerId, []);
    } catch (error) {
      log.error("the ways of links could not be removed", { container: containerId, error });
    }
    try {
      this.#networks.firewall?.remove(forwards);
    } catch (error) {
      log.error("the rules of published ports could not be removed", { container: containerId, error });
    }
    this.#remover.remove({ record, forwards });
  }

  openLinks(containerId: string, ports: readonly LinkedPort[]): void {
    const { firewall, defaultBridge } = this.#networks;
    if (firewall === undefined || this.#config.icc) return;
    const bridgeId = defaultBridge?.record.id;
    const from = this.#open.addressOn(bridgeId, containerId);
    const paths = ports.map(({ containerId: other, protocol, port }) => {
      const to = this.#open.addressOn(bridgeId, other);
      return { from, to, protocol, port };
    });
    if (paths.length > 0 && defaultBridge?.bridge?.isolatePorts === true)
      log.warn("the kernel has no br_netfilter: without icc a link opens no way between containers", {
        container: containerId,
      });
    firewall.setLinks(
      containerId,
      paths.filter((path) => path.from !== "" && path.to !== ""),
    );
  }

  // networks of a running container

  async connect(containerId: string, request: EndpointRequest): Promise<Endpoint> {
    const planned = this.#planOne(request);
    using _ = this.#use([planned.network]);
    return await this.#changes.connect(containerId, planned);
  }

  async disconnect(containerId: string, networkId: string): Promise<void> {
    await this.#changes.disconnect(containerId, networkId);
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
    const containers = containersOf(network.record.id, this.#open.records());
    return describeNetwork(network, this.#config, containers);
  }

  find(nameOrId: string): NetworkInfo {
    return networkInfo(this.#networks.find(nameOrId));
  }

  members(networkId: string): NetworkMember[] {
    return this.#open.members(networkId);
  }

  lookUp(networkId: string, name: string): readonly NetworkMember[] {
    return this.#open.lookUp(networkId, name);
  }

  repair(): void {
    this.#networks.firewall?.repair();
  }

  async shutdown({ removeAll }: { removeAll: boolean }): Promise<void> {
    this.#changes.stop();
    await this.#warm.stop();
    this.#networks.stopGuarding();
    await this.#deferred.close();
    for (const { publication } of this.#open.list()) publication?.close();
    if (removeAll && this.#open.size === 0) await this.#networks.tearDown();
  }
}
