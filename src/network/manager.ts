/** The network manager: the default bridge, and each container's sandbox on it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../base/database.ts";
import { conflict, EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { failpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import type { NetworkInspect } from "../wire/network.ts";
import { AddressPool } from "./address-pool.ts";
import { type DefaultBridge, type NetworkConfig, setUpBridge } from "./bridge.ts";
import { EndpointIndex } from "./endpoint-index.ts";
import { checkEndpoint, checkPort, emptyEndpoint, findNetwork } from "./endpoint-request.ts";
import { Firewall } from "./firewall.ts";
import { forgetFlowsFrom, forgetFlowsTo } from "./udp-flows.ts";
import { containersOf, describeNetwork, networkInfo } from "./inspect.ts";
import { contains, parseIpv4 } from "./ipv4.ts";
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
import { holdAgain, type Publication, publishPorts } from "./port-publisher.ts";
import { type NetworkRecord, NetworkRecords, type SandboxRecord } from "./records.ts";
import { tableName } from "./ruleset.ts";
import { addressOf, forwardsOf, isNamespace, withName } from "./sandbox-record.ts";
import {
  type BridgedSandbox,
  changeMac,
  deleteSandbox,
  makeBareSandbox,
  makeBridgedSandbox,
  reattach,
  sandboxInterface,
  SandboxNames,
  sweepSandboxes,
} from "./sandbox-kernel.ts";
import { SandboxPool } from "./sandbox-pool.ts";

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

/** Everything that exists once the default bridge is up. */
interface Bridged {
  readonly bridge: DefaultBridge;
  readonly addresses: AddressPool;
  readonly firewall: Firewall | undefined;
  readonly warm: SandboxPool;
}

/** How long a container's start may have passed before the next sandbox is made ready. */
const refillDelayMs = 60;

/** The one implementation of {@link NetworkManager}. Touches no kernel object before {@link NetworkManager.restore}. */
export function createNetworkManager(options: NetworkManagerOptions): NetworkManager {
  return new Manager(options);
}

class Manager implements NetworkManager {
  readonly #config: NetworkConfig;
  readonly #poolSize: number;
  readonly #records: NetworkRecords;
  readonly #networks: readonly NetworkRecord[];
  readonly #names: SandboxNames;
  readonly #open = new Map<string, OpenSandbox>();
  readonly #opening = new Set<string>();
  readonly #index = new EndpointIndex();
  readonly #watchers: SandboxWatcher[] = [];
  #bridged: Bridged | undefined;
  #deferred: Promise<void> = Promise.resolve();

  constructor({ database, execRoot, config, poolSize = 3 }: NetworkManagerOptions) {
    this.#config = config;
    this.#poolSize = poolSize;
    this.#records = new NetworkRecords(database);
    this.#names = new SandboxNames(execRoot);
    const hasBridge = config.bridge !== "none";
    this.#networks = this.#records.predefined().filter(({ driver }) => hasBridge || driver !== "bridge");
  }

  get bridgeName(): string {
    return this.#config.bridge;
  }

  async restore(isLive: (containerId: string) => boolean): Promise<void> {
    const kept: SandboxRecord[] = [];
    for (const record of this.#records.sandboxes()) {
      if (isLive(record.containerId) && isNamespace(record.path)) kept.push(record);
      else this.#records.remove(record.containerId);
    }
    await sweepSandboxes(this.#names, {
      paths: new Set(kept.map(({ path }) => path)),
      hostInterfaces: new Set(kept.flatMap(({ hostInterfaces }) => hostInterfaces)),
    });
    if (this.#config.bridge !== "none") {
      this.#bridged = this.#setUp(kept);
      reattach(
        kept.flatMap(({ hostInterfaces }) => hostInterfaces),
        this.#bridged.bridge,
      );
    }
    for (const record of kept) {
      const address = addressOf(record);
      const publication =
        record.ports.length === 0
          ? undefined
          : await holdAgain(record.ports, address, (port, error) =>
              log.warn("a published port could not be held again; its traffic still reaches the container", {
                container: record.containerId,
                port: `${port.hostIp}:${port.hostPort}/${port.protocol}`,
                error: errorText(error),
              }),
            );
      this.#open.set(record.containerId, { record, publication });
      await this.#announce(record);
    }
    await this.#bridged?.warm.fill();
  }

  #setUp(kept: readonly SandboxRecord[]): Bridged {
    const hasEndpoints = kept.some((record) => addressOf(record) !== "");
    const bridge = setUpBridge(this.#config, this.#records, hasEndpoints);
    const addresses = new AddressPool(bridge.range);
    for (const record of kept) {
      const address = addressOf(record);
      if (address === "") continue;
      if (!contains(bridge.range.subnet, parseIpv4(address) ?? 0))
        log.warn("a running container's address is not in the bridge's network any more; restart it", {
          container: record.containerId,
          address,
          network: bridge.subnet,
        });
      addresses.takeExactly(address);
    }
    let firewall: Firewall | undefined;
    if (this.#config.iptables) {
      const { name, subnet } = bridge;
      firewall = new Firewall({ table: tableName(name), bridge: name, subnet, icc: this.#config.icc });
      firewall.install(kept.flatMap(forwardsOf));
      for (const chain of firewall.foreignDrops())
        log.warn(
          "another firewall drops forwarded packets: containers may reach nothing outside until it accepts them",
          {
            chain,
            hint: `accept packets from and to ${name} there`,
          },
        );
    }
    const warm = new SandboxPool({
      size: this.#poolSize,
      delayMs: refillDelayMs,
      make: async () => {
        const address = addresses.take();
        return address === undefined ? undefined : await this.#make(bridge, addresses, address);
      },
      destroy: (ready) => this.#destroy(ready, addresses),
    });
    return { bridge, addresses, firewall, warm };
  }

  async #make(bridge: DefaultBridge, addresses: AddressPool, address: string): Promise<BridgedSandbox> {
    try {
      return await makeBridgedSandbox(this.#names, bridge, address);
    } catch (error) {
      addresses.release(address);
      throw error;
    }
  }

  async #destroy(ready: BridgedSandbox, addresses: AddressPool): Promise<void> {
    await deleteSandbox(ready.path, [ready.hostInterface]);
    addresses.release(ready.address);
  }

  async open(request: SandboxRequest): Promise<Sandbox> {
    const { containerId } = request;
    if (this.#open.has(containerId) || this.#opening.has(containerId))
      throw conflict(`container ${containerId} has a network sandbox already`);
    for (const port of request.ports) checkPort(port);
    const endpoint = request.mode === "bridge" ? this.#checkEndpoints(request.endpoints) : undefined;
    this.#opening.add(containerId);
    try {
      const opened =
        endpoint === undefined ? this.#openBare(request) : await this.#openBridged(request, endpoint);
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

  /** The one endpoint asked for; undefined for none. */
  #checkEndpoints(endpoints: readonly EndpointRequest[]): EndpointRequest | undefined {
    const checked = endpoints.map(checkEndpoint);
    for (const { network } of checked) {
      const { driver, name } = this.#find(network);
      if (driver !== "bridge")
        throw conflict(`container cannot be connected to network ${name} besides others`);
    }
    if (checked.length > 1)
      throw invalidArgument("a container cannot be connected to the same network twice");
    return checked[0];
  }

  #find(nameOrId: string): NetworkRecord {
    return findNetwork(this.#networks, nameOrId === "default" && this.#bridged ? "bridge" : nameOrId);
  }

  /** A sandbox without a network: a loopback device, and the entry of network `none`. */
  #openBare({ containerId, containerName, mode, ports }: SandboxRequest): OpenSandbox {
    if (ports.length > 0)
      log.warn("published ports of a container without a network are ignored", { containerId });
    const network = this.#find("none");
    const endpoint = emptyEndpoint(network);
    const record: SandboxRecord = {
      containerId,
      containerName,
      path: this.#names.newPath(),
      hostInterfaces: [],
      endpoints: mode === "none" ? [endpoint] : [],
      ports: [],
    };
    this.#records.insert(record);
    try {
      makeBareSandbox(record.path)[Symbol.dispose]();
    } catch (error) {
      this.#records.remove(containerId);
      throw error;
    }
    return { record, publication: undefined };
  }

  async #openBridged(request: SandboxRequest, wanted: EndpointRequest): Promise<OpenSandbox> {
    const bridged = this.#requireBridged();
    const network = this.#find(wanted.network);
    await using undo = new AsyncDisposableStack();
    const ready = await this.#acquire(bridged, wanted.ipv4Address);
    // A sandbox that some container was promised is not given to the next one: it is made anew.
    undo.defer(() => this.#later(() => this.#destroy(ready, bridged.addresses)));
    if (wanted.macAddress !== undefined) changeMac(ready.path, wanted.macAddress);
    const endpoint: Endpoint = {
      ...emptyEndpoint(network),
      interfaceName: sandboxInterface,
      macAddress: wanted.macAddress ?? ready.macAddress,
      ipv4Address: ready.address,
      ipv4PrefixLength: bridged.bridge.prefixLength,
      ipv4Gateway: bridged.bridge.gateway,
      aliases: wanted.aliases,
    };
    const publication = await this.#publish(request, endpoint);
    undo.defer(() => publication?.close());
    const record: SandboxRecord = {
      containerId: request.containerId,
      containerName: request.containerName,
      path: ready.path,
      hostInterfaces: [ready.hostInterface],
      endpoints: [endpoint],
      ports: publication?.ports ?? [],
    };
    this.#records.insert(record);
    undo.defer(() => this.#records.remove(record.containerId));
    failpoint("network-open-recorded");
    const forwards = forwardsOf(record);
    bridged.firewall?.add(forwards);
    undo.defer(() => bridged.firewall?.remove(forwards));
    failpoint("network-open-published");
    forgetFlowsTo(forwards);
    undo.move();
    return { record, publication };
  }

  async #publish(request: SandboxRequest, endpoint: Endpoint): Promise<Publication | undefined> {
    if (request.ports.length === 0) return undefined;
    return await publishPorts({
      ports: request.ports,
      containerAddress: endpoint.ipv4Address,
      endpoint: `${request.containerName} (${endpoint.id})`,
      defaultHostIp: this.#config.ip,
    });
  }

  #requireBridged(): Bridged {
    if (this.#bridged === undefined) throw new Error("open() was called before restore()");
    return this.#bridged;
  }

  /** A warm sandbox, else a new one. Addresses that are just being given back are waited for before it gives up. */
  async #acquire({ bridge, addresses, warm }: Bridged, address: string | undefined): Promise<BridgedSandbox> {
    for (const isLast of [false, true]) {
      const ready = warm.take(address);
      if (ready !== undefined) return ready;
      if (address === undefined) {
        const free = addresses.take();
        if (free !== undefined) return await this.#make(bridge, addresses, free);
      } else if (addresses.takeExactly(address)) return await this.#make(bridge, addresses, address);
      if (isLast) break;
      await warm.settle();
      await this.idle();
    }
    if (address === undefined)
      throw new EngineError(
        "resourceExhausted",
        `no available IPv4 addresses on this network's address pools: bridge (${bridge.subnet})`,
        { hint: "remove containers, or start the daemon with a larger network (--bip)" },
      );
    if (addresses.isUsed(address)) throw conflict(`Address already in use: ${address}`);
    throw invalidArgument(`address ${address} is not one that a container in ${bridge.subnet} can have`);
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
    const { record } = opened;
    const renamed = withName(record, name);
    this.#records.replace(renamed);
    this.#open.set(containerId, { ...opened, record: renamed });
    this.#index.put(record, renamed);
    for (const watcher of this.#watchers) await watcher.changed?.(renamed);
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
      log.error("the record of a sandbox could not be removed", { container: containerId, error });
    }
    publication?.close();
    const forwards = forwardsOf(record);
    try {
      this.#bridged?.firewall?.remove(forwards);
    } catch (error) {
      log.error("the rules of published ports could not be removed", { container: containerId, error });
    }
    this.#later(async () => {
      await deleteSandbox(record.path, record.hostInterfaces);
      const address = addressOf(record);
      forgetFlowsFrom(forwards, address);
      if (address !== "") this.#bridged?.addresses.release(address);
    });
  }

  /** Does work after the answer that is being prepared, one after the other. */
  #later(work: () => Promise<void>): void {
    this.#deferred = this.#deferred
      .then(() => sleep(1))
      .then(work)
      .catch((error: unknown) => log.error("cleaning up after a container's network failed", { error }));
  }

  async idle(): Promise<void> {
    for (let seen: Promise<void> | undefined; seen !== this.#deferred;) {
      seen = this.#deferred;
      await seen;
    }
  }

  list(): NetworkInspect[] {
    return this.#networks.map((record) => describeNetwork(record, this.#config, this.#bridged?.bridge));
  }

  inspect(nameOrId: string): NetworkInspect {
    const record = findNetwork(this.#networks, nameOrId);
    const sandboxes = [...this.#open.values()].map((opened) => opened.record);
    return {
      ...describeNetwork(record, this.#config, this.#bridged?.bridge),
      Containers: containersOf(record.id, sandboxes),
    };
  }

  find(nameOrId: string): NetworkInfo {
    return networkInfo(findNetwork(this.#networks, nameOrId));
  }

  members(networkId: string): NetworkMember[] {
    return this.#index.members(networkId);
  }

  lookUp(networkId: string, name: string): readonly NetworkMember[] {
    return this.#index.lookUp(networkId, name);
  }

  async shutdown({ removeAll }: { removeAll: boolean }): Promise<void> {
    await this.#bridged?.warm.stop();
    await this.idle();
    for (const { publication } of this.#open.values()) publication?.close();
    const bridged = this.#bridged;
    if (!removeAll || this.#open.size > 0 || bridged === undefined) return;
    bridged.firewall?.uninstall();
    using host = RouteSocket.open();
    if (bridged.bridge.isOurs) await host.deleteLinkAsync(bridged.bridge.name);
  }
}
