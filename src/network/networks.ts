/** All networks of the daemon: made, kept, found and removed. Sandboxes and endpoints are the manager's. */
import { conflict, EngineError, errorText, invalidArgument, notFound } from "../base/errors.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { newId } from "../base/ids.ts";
import { log } from "../base/log.ts";
import { nowRfc3339 } from "../base/time.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import type { NetworkCreateRequest } from "../wire/network.ts";
import { AddressPool } from "./address-pool.ts";
import { existingBridge, setUpBridge } from "./bridge.ts";
import { planDefaultBridge, takenSubnets } from "./default-bridge.ts";
import {
  checkCreateRequest,
  type CheckedRequest,
  type NetworkDefinition,
  type SubnetDefinition,
} from "./definition.ts";
import { bridgeOptions, ipvlanOptions } from "./driver-options.ts";
import { findNetwork } from "./endpoint-request.ts";
import { FirewallGuard } from "./firewall-guard.ts";
import { Firewall } from "./firewall.ts";
import { formatPrefix, parsePrefix, type Prefix } from "./ip.ts";
import {
  bridgePlan,
  bridgeRules,
  defaultBridgeRules,
  type LiveNetwork,
  checkPassthru,
  planParent,
  rangeOf,
  setUpParent,
  tryDevice,
} from "./live-network.ts";
import { NetworkAddresses } from "./network-addresses.ts";
import { hasFirewall, type NetworkConfig } from "./network-config.ts";
import type { Endpoint } from "./network.ts";
import type { NetworkRecord, NetworkRecords, SandboxRecord } from "./records.ts";
import { type PortForward, tableName } from "./ruleset.ts";
import type { SandboxNames } from "./sandbox-kernel.ts";
import { checkOverlap, choosePool4, choosePool6 } from "./subnets.ts";

export class Networks {
  readonly #config: NetworkConfig;
  readonly #records: NetworkRecords;
  readonly #names: SandboxNames;
  readonly #live = new Map<string, LiveNetwork>();
  /** Undefined when rules are not ours to make. */
  readonly firewall: Firewall | undefined;
  #guard: FirewallGuard | undefined;

  constructor(records: NetworkRecords, names: SandboxNames, config: NetworkConfig) {
    this.#names = names;
    this.#records = records;
    this.#config = config;
    this.firewall = hasFirewall(config)
      ? new Firewall(tableName(config.bridge, names.tag), records.userRules, {
          families: { ipv4: config.iptables, ipv6: config.ip6tables },
          acceptMark: config.acceptMark,
          allowDirectRouting: config.allowDirectRouting,
          zoneNotes: records.zoneLeftovers,
        })
      : undefined;
    for (const record of records.predefined())
      if (config.bridge !== "none" || record.driver !== "bridge") this.#put({ record, isPredefined: true });
    for (const record of records.networks())
      if (record.isComplete) this.#put({ record, isPredefined: false });
  }

  #put(network: Pick<LiveNetwork, "record" | "isPredefined"> & Partial<LiveNetwork>): LiveNetwork {
    const { record } = network;
    const ranges =
      network.ranges ?? record.definition.subnets.map((subnet) => rangeOf(subnet, record.driver));
    const live: LiveNetwork = {
      bridge: undefined,
      ...network,
      ranges,
      addresses: network.addresses ?? new NetworkAddresses(record.name, ranges),
    };
    this.#live.set(record.id, live);
    return live;
  }

  list(): LiveNetwork[] {
    return [...this.#live.values()].sort((a, b) => (a.record.name < b.record.name ? -1 : 1));
  }

  byId(id: string): LiveNetwork | undefined {
    return this.#live.get(id);
  }

  /** By full id, name or unique prefix of the id. Throws `notFound`, `invalidArgument`. */
  find(nameOrId: string): LiveNetwork {
    const records = [...this.#live.values()].map(({ record }) => record);
    const wanted = nameOrId === "default" && this.defaultBridge !== undefined ? "bridge" : nameOrId;
    return this.#live.get(findNetwork(records, wanted).id)!;
  }

  /** The network `bridge`; undefined when it is disabled. */
  get defaultBridge(): LiveNetwork | undefined {
    return [...this.#live.values()].find(
      ({ record, isPredefined }) => isPredefined && record.driver === "bridge",
    );
  }

  /**
   * Brings devices and rules together with the records: networks that were being made or removed are removed, all others
   * get what they need. `kept` are the sandboxes that go on; their addresses are taken.
   */
  async restore(kept: readonly SandboxRecord[], forwards: () => readonly PortForward[]): Promise<void> {
    const unfinished = this.#records.networks().filter(({ isComplete }) => !isComplete);
    for (const record of unfinished) {
      log.info("removing what is left of a network that was being made or removed", { network: record.name });
      if (record.driver === "bridge") this.firewall?.forgetBridge(record.definition.device);
      await this.#deleteDevice(record);
    }
    for (const network of this.#live.values()) this.#setUpAgain(network, kept);
    this.#takeAddresses(kept);
    if (this.firewall !== undefined) {
      const rules = this.list().flatMap((network) => this.#rules(network));
      this.firewall.install(rules, forwards());
      this.#guard = new FirewallGuard(this.firewall);
      await this.firewall.foreignSettled();
    }
    for (const { id } of unfinished) this.#records.removeNetwork(id);
  }

  /** Gives the addresses of an endpoint back. */
  release({ networkId, ipv4Address, ipv6Address }: Endpoint): void {
    const addresses = this.#live.get(networkId)?.addresses;
    for (const address of [ipv4Address, ipv6Address]) if (address !== "") addresses?.release(address);
  }

  /** Stops watching what others do to the firewall. */
  stopGuarding(): void {
    this.#guard?.[Symbol.dispose]();
    this.#guard = undefined;
  }

  #setUpAgain(network: LiveNetwork, kept: readonly SandboxRecord[]): void {
    const { record, isPredefined } = network;
    try {
      if (isPredefined && record.driver === "bridge") this.#setUpDefault(network, kept);
      else if (!isPredefined && !record.definition.configOnly) this.#setUp(record);
    } catch (error) {
      if (isPredefined) throw error;
      // One network that cannot be had (its parent is unplugged) is no reason to start without the others.
      log.error("a network could not be set up; what is connected to it has no network", {
        network: record.name,
        error: errorText(error),
      });
    }
  }

  #setUpDefault(network: LiveNetwork, kept: readonly SandboxRecord[]): void {
    const hasEndpoints = kept.some(({ endpoints }) =>
      endpoints.some(({ networkId, ipv4Address }) => networkId === network.record.id && ipv4Address !== ""),
    );
    const { plan, ranges } = planDefaultBridge(this.#config, this.#records, hasEndpoints, this.#prefixes());
    const bridge = setUpBridge(plan, this.#config);
    this.#put({ ...network, bridge, ranges, addresses: new NetworkAddresses(network.record.name, ranges) });
  }

  /** Makes or takes over what a user's network needs in the kernel. */
  #setUp(record: NetworkRecord): LiveNetwork {
    const known = this.#live.get(record.id);
    if (record.driver !== "bridge") {
      setUpParent(record);
      return this.#put({ ...known, record, isPredefined: false });
    }
    const bridge = setUpBridge(bridgePlan(record), this.#config);
    return this.#put({ ...known, record, isPredefined: false, bridge });
  }

  #takeAddresses(kept: readonly SandboxRecord[]): void {
    for (const { containerId, endpoints } of kept)
      for (const { networkId, networkName, ipv4Address, ipv6Address } of endpoints)
        for (const address of [ipv4Address, ipv6Address]) {
          const addresses = this.#live.get(networkId)?.addresses;
          if (address === "" || addresses === undefined) continue;
          if (addresses.contains(address)) addresses.takeExactly(address);
          else
            log.warn("a running container's address is not in its network any more; restart it", {
              container: containerId,
              address,
              network: networkName,
            });
        }
  }

  #rules({ record, isPredefined, bridge, ranges }: LiveNetwork): Parameters<Firewall["addBridge"]>[0][] {
    if (bridge === undefined) return [];
    const subnets = ranges.map(({ subnet }) => formatPrefix(subnet));
    return [
      isPredefined
        ? defaultBridgeRules(bridge.name, subnets, this.#config)
        : bridgeRules(bridge.name, record.definition),
    ];
  }

  #prefixes(): Prefix[] {
    return [...this.#live.values()]
      .filter(({ record }) => !record.definition.configOnly)
      .flatMap(({ ranges }) => ranges.map(({ subnet }) => subnet));
  }

  /** Makes a network. All or nothing; a crash in the middle is put right by {@link restore}. */
  async create(request: NetworkCreateRequest): Promise<LiveNetwork> {
    const from = request.ConfigFrom?.Network ?? "";
    const asked = from === "" ? this.#withDefaultOptions(request) : request;
    const checked = checkCreateRequest(asked, from === "" ? undefined : this.#template(from));
    const { name, driver } = checked;
    // Among them is one that is just being removed.
    const stored = [...this.#records.predefined(), ...this.#records.networks()];
    if (stored.some((record) => record.name === name))
      throw conflict(`network with name ${name} already exists`);
    const definition = this.#complete(checked);
    const id = newId();
    const record = this.#withDevice({ id, name, driver, createdAt: nowRfc3339(), definition });
    await using undo = new AsyncDisposableStack();
    this.#records.addNetwork(record);
    undo.defer(() => this.#records.removeNetwork(id));
    failpoint("network-create.recorded");
    undo.defer(() => this.#deleteDevice(record));
    undo.defer(() => void this.#live.delete(id));
    const live = definition.configOnly ? this.#put({ record, isPredefined: false }) : this.#setUp(record);
    if (driver === "macvlan" || driver === "ipvlan") tryDevice(record, this.#names.newPath());
    failpoint("network-create.set-up");
    for (const rules of this.#rules(live)) {
      this.firewall?.addBridge(rules);
      undo.defer(() => this.firewall?.removeBridge(rules.name));
      await this.firewall?.foreignSettled();
    }
    if (!this.#live.has(id)) {
      // Whoever removed it meanwhile has undone all of this; another network may have the same bridge by now.
      undo.move();
      throw conflict(`network ${name} was removed while it was being made`);
    }
    failpoint("network-create.firewall");
    this.#records.markNetwork(id, { isComplete: true });
    crashpoint("network-create.complete");
    undo.move();
    return live;
  }

  #withDefaultOptions(request: NetworkCreateRequest): NetworkCreateRequest {
    const defaults = this.#config.defaultOptions[request.Driver || "bridge"];
    // Options beside a configuration network are refused; it has its own.
    const isFromTemplate = (request.ConfigFrom?.Network ?? "") !== "";
    return defaults === undefined || isFromTemplate
      ? request
      : { ...request, Options: { ...defaults, ...request.Options } };
  }

  #template(name: string): NetworkDefinition {
    const found = [...this.#live.values()].find(
      ({ record }) => record.definition.configOnly && (record.name === name || record.id === name),
    );
    if (found === undefined) throw notFound(`configuration network "${name}" does not exist`);
    return found.record.definition;
  }

  /** With subnets and gateways where they were left open. */
  #complete({ driver, definition }: CheckedRequest): NetworkDefinition {
    if (definition.configOnly) return definition;
    const taken = this.#prefixes();
    checkOverlap(definition.subnets, taken);
    if (definition.ipamDriver === "null") return { ...definition, subnets: [] };
    const isV6 = ({ subnet }: SubnetDefinition): boolean => subnet.includes(":");
    const subnets = definition.subnets.filter((subnet) =>
      isV6(subnet) ? definition.enableIPv6 : definition.enableIPv4,
    );
    const blank = { gateway: "", ipRange: "", auxiliaryAddresses: {}, isAutomatic: true };
    if (definition.enableIPv4 && !subnets.some((subnet) => !isV6(subnet))) {
      using route = RouteSocket.open();
      const host = takenSubnets(route, -1);
      subnets.push({ ...blank, subnet: choosePool4(this.#config.addressPools, { networks: taken, host }) });
    }
    if (definition.enableIPv6 && !subnets.some(isV6))
      subnets.push({ ...blank, subnet: choosePool6(this.#config.addressPools6, taken) });
    return {
      ...definition,
      enableIPv6: subnets.some(isV6),
      subnets: subnets.map((subnet) => withGateway(subnet, needsGateway(driver, definition))),
    };
  }

  /** Decides which device it has and whose that is. Throws `permissionDenied` for a bridge that another network has. */
  #withDevice(record: NetworkRecord): NetworkRecord {
    if (record.definition.configOnly) return record;
    if (record.driver !== "bridge") return this.#withParent(record);
    const { name } = bridgePlan(record);
    const other = [...this.#live.values()].find(({ bridge }) => bridge?.name === name);
    if (other !== undefined)
      throw new EngineError(
        "permissionDenied",
        `cannot create network ${record.id} (${name}): conflicts with network ${other.record.id} (${name}): networks have same bridge name`,
      );
    using route = RouteSocket.open();
    const isDeviceOurs = existingBridge(route, name) === undefined;
    return { ...record, definition: { ...record.definition, device: name, isDeviceOurs } };
  }

  /** A parent that another network has made is there for both, and goes with the last one. */
  #withParent(record: NetworkRecord): NetworkRecord {
    const planned = planParent(record);
    const others = [...this.#live.values()]
      .map((network) => network.record)
      .filter(({ driver, definition }) => driver !== "bridge" && definition.device === planned.device);
    checkPassthru(record, planned.device, others);
    const isDeviceOurs = planned.isDeviceOurs || others.some(({ definition }) => definition.isDeviceOurs);
    return { ...record, definition: { ...record.definition, ...planned, isDeviceOurs } };
  }

  /**
   * Removes a network's device, rules and record. Who still uses it is for the caller to ask; `settled` resolves when
   * devices of containers that have just ended are gone.
   */
  async remove(network: LiveNetwork, settled: () => Promise<void>): Promise<void> {
    const { record, bridge } = network;
    const { id, name } = record;
    const user = [...this.#live.values()].find(({ record: other }) => other.definition.configFrom === name);
    if (record.definition.configOnly && user !== undefined)
      throw new EngineError(
        "permissionDenied",
        `error while removing network: configuration network "${name}" is in use`,
      );
    this.#records.markNetwork(id, { isComplete: false });
    this.#live.delete(id);
    try {
      failpoint("network-remove.marked");
      await settled();
      if (bridge !== undefined) this.firewall?.removeBridge(bridge.name);
      failpoint("network-remove.firewall");
      await this.#deleteDevice(record);
      failpoint("network-remove.deleted");
      // Nobody would take it out of another firewall's zone once the record is gone.
      await this.firewall?.foreignSettled();
      this.#records.removeNetwork(id);
    } catch (error) {
      // It is there for another try; what is gone of it comes back with the next start of the daemon.
      this.#live.set(id, network);
      this.#records.markNetwork(id, { isComplete: true });
      throw error;
    }
    // Without its record it is gone, whatever comes after.
    crashpoint("network-remove.recorded");
  }

  async #deleteDevice({ driver, definition: { device, isDeviceOurs } }: NetworkRecord): Promise<void> {
    if (device === "" || !isDeviceOurs) return;
    // Another network of ours may hang on the same VLAN.
    if (
      driver !== "bridge" &&
      [...this.#live.values()].some(({ record }) => record.definition.device === device)
    )
      return;
    using host = RouteSocket.open();
    await host.deleteLinkAsync(device);
  }

  /** Nothing of any network stays in the kernel. */
  async tearDown(): Promise<void> {
    this.stopGuarding();
    this.firewall?.uninstall();
    await this.firewall?.foreignSettled();
    using host = RouteSocket.open();
    for (const { record, isPredefined, bridge } of this.#live.values()) {
      if (isPredefined && bridge?.isOurs === true) await host.deleteLinkAsync(bridge.name);
      const { device, isDeviceOurs } = record.definition;
      if (!isPredefined && isDeviceOurs && device !== "") await host.deleteLinkAsync(device);
    }
  }
}

function needsGateway(
  driver: string,
  { options, internal }: NetworkDefinition,
): { v4: boolean; v6: boolean } {
  if (driver === "ipvlan") {
    const isL2 = ipvlanOptions(options, internal).mode === "l2";
    return { v4: isL2, v6: isL2 };
  }
  if (driver !== "bridge") return { v4: true, v6: true };
  const { gatewayModes } = bridgeOptions(options, internal);
  return { v4: gatewayModes.ipv4 !== "isolated", v6: gatewayModes.ipv6 !== "isolated" };
}

/** The first address that is nobody's is the gateway, as with Docker. */
function withGateway(subnet: SubnetDefinition, needed: { v4: boolean; v6: boolean }): SubnetDefinition {
  const { prefix } = parsePrefix(subnet.subnet)!;
  if (subnet.gateway !== "" || !(prefix.family === 4 ? needed.v4 : needed.v6)) return subnet;
  const gateway = new AddressPool(rangeOf({ ...subnet, ipRange: "" }, "bridge")).take();
  if (gateway === undefined)
    throw invalidArgument(`subnet ${subnet.subnet} has no address that a gateway could have`);
  return { ...subnet, gateway };
}
