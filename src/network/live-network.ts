/** A network as it is while the daemon runs: its record, its addresses, its device. */
import { EngineError, invalidArgument, notFound } from "../base/errors.ts";
import { createNetns, deleteNetns } from "../linux/netns.ts";
import { RouteSocket, type SlaveKind } from "../linux/rtnetlink.ts";
import type { AddressRange } from "./address-pool.ts";
import type { BridgeDevice, BridgePlan } from "./bridge.ts";
import type { NetworkDefinition, SubnetDefinition } from "./definition.ts";
import { bridgeOptions, ipvlanOptions, macvlanOptions } from "./driver-options.ts";
import type { SlavePlan } from "./endpoint-kernel.ts";
import { type Address, parseAddress, parsePrefix, type Prefix } from "./ip.ts";
import type { NetworkDriver } from "./network.ts";
import type { NetworkAddresses } from "./network-addresses.ts";
import { defaultNetworkConfig, type NetworkConfig } from "./network-config.ts";
import type { NetworkRecord } from "./records.ts";
import type { BridgeRules } from "./ruleset.ts";

export interface LiveNetwork {
  readonly record: NetworkRecord;
  readonly isPredefined: boolean;
  readonly addresses: NetworkAddresses;
  /** Of driver bridge, once it is set up. */
  readonly bridge: BridgeDevice | undefined;
  readonly ranges: readonly AddressRange[];
}

/**
 * The range of addresses that a subnet of a definition is. An auxiliary address `DefaultGatewayIPv4` or `…IPv6` of a
 * bridge is where its containers' default routes lead to. (moby, drivers/bridge, DefaultGatewayV4AuxKey)
 */
export function rangeOf(
  { subnet, gateway, ipRange, auxiliaryAddresses }: SubnetDefinition,
  driver: NetworkDriver,
): AddressRange {
  const { prefix } = parsePrefix(subnet)!;
  const wayOut = auxiliaryAddresses[`DefaultGatewayIPv${prefix.family}`];
  return {
    subnet: prefix,
    ...(driver === "bridge" && wayOut !== undefined && { containerGateway: parseAddress(wayOut) }),
    gateway: gateway === "" ? undefined : parseAddress(gateway),
    allocationRange: ipRange === "" ? undefined : parsePrefix(ipRange)!.prefix,
    reserved: Object.values(auxiliaryAddresses).map((address) => parseAddress(address) as Address),
  };
}

const bridgeName = (id: string): string => `br-${id.slice(0, 12)}`;

/** What the bridge of a user's network is to be. */
export function bridgePlan({ id, definition }: NetworkRecord): BridgePlan {
  const options = bridgeOptions(definition.options, definition.internal);
  const { gatewayModes: modes } = options;
  const addresses = definition.subnets
    .map(({ subnet, gateway }) => ({ prefix: parsePrefix(subnet)!.prefix, gateway }))
    .filter(({ prefix, gateway }) => {
      if (gateway === "") return false;
      return prefix.family === 4
        ? !options.inhibitIPv4 && modes.ipv4 !== "isolated"
        : modes.ipv6 !== "isolated";
    });
  return {
    name: definition.device || bridgeName(id),
    addresses: addresses.map(({ prefix, gateway }) => ({
      address: gateway,
      prefixLength: prefix.prefixLength,
    })),
    // The daemon's own is that of the default bridge alone, as with Docker.
    mtu: options.mtu || defaultNetworkConfig.mtu,
    icc: options.icc,
    isOurs: definition.isDeviceOurs,
    keepsAddresses: false,
  };
}

/** How the firewall deals with a user's bridge. */
export function bridgeRules(name: string, { subnets, options, internal }: NetworkDefinition): BridgeRules {
  const asked = bridgeOptions(options, internal);
  const { gatewayModes: modes } = asked;
  const all = subnets.map(({ subnet }) => subnet);
  const isV6 = (subnet: string): boolean => subnet.includes(":");
  const translated = all.filter((subnet) => (isV6(subnet) ? modes.ipv6 : modes.ipv4) !== "routed");
  const sourceOf = (subnet: string): string => (isV6(subnet) ? asked.hostIPv6 : asked.hostIPv4);
  const goesOut = !internal && asked.masquerade ? translated : [];
  return {
    name,
    subnets: all,
    icc: asked.icc,
    internal,
    masquerade: goesOut.filter((subnet) => sourceOf(subnet) === ""),
    sourceAddresses: goesOut
      .filter((subnet) => sourceOf(subnet) !== "")
      .map((subnet) => ({ subnet, address: sourceOf(subnet) })),
    open: { ipv4: modes.ipv4 === "nat-unprotected", ipv6: modes.ipv6 === "nat-unprotected" },
    routed: { ipv4: modes.ipv4 === "routed", ipv6: modes.ipv6 === "routed" },
    trusted: asked.trustedInterfaces,
  };
}

/** The default network's, by the daemon's options. */
export function defaultBridgeRules(
  name: string,
  subnets: readonly string[],
  { icc, ipMasquerade }: NetworkConfig,
): BridgeRules {
  return {
    name,
    subnets,
    icc,
    internal: false,
    masquerade: ipMasquerade ? subnets : [],
    sourceAddresses: [],
    open: { ipv4: false, ipv6: false },
    routed: { ipv4: false, ipv6: false },
    trusted: [],
  };
}

/** Names that {@link planParent} gives. */
const dummyForm = /^d[mi]-[0-9a-f]{12}$/;
const vlanForm = /^(.+)\.(\d{1,4})$/;

/**
 * The parent that a macvlan or ipvlan network will have: the one asked for, or a dummy for want of one; and whether it is
 * ours to make. Throws `invalidArgument` when it is neither there nor a VLAN (`eth0.50`) of one that is.
 */
export function planParent({ id, driver, definition }: NetworkRecord): {
  device: string;
  isDeviceOurs: boolean;
} {
  const { device } = definition;
  if (device === "")
    return { device: `${driver === "macvlan" ? "dm" : "di"}-${id.slice(0, 12)}`, isDeviceOurs: true };
  using host = RouteSocket.open();
  if (host.link(device) !== undefined) return { device, isDeviceOurs: false };
  vlanOf(host, device);
  return { device, isDeviceOurs: true };
}

/** The one device of a macvlan network in mode passthru has its parent for itself. Throws `permissionDenied` in Docker's words. */
export function checkPassthru(record: NetworkRecord, parent: string, others: readonly NetworkRecord[]): void {
  const isPassthru = ({ driver, definition }: NetworkRecord): boolean =>
    driver === "macvlan" && macvlanOptions(definition.options, definition.internal).mode === "passthru";
  const [other] = others;
  if (isPassthru(record) && other !== undefined)
    throw new EngineError(
      "permissionDenied",
      `cannot use mode passthru, macvlan network ${other.id} is already using parent interface ${parent}`,
    );
  const sole = others.find(isPassthru);
  if (sole !== undefined)
    throw new EngineError(
      "permissionDenied",
      `macvlan network ${sole.id} is already using parent interface ${parent} in mode passthru`,
    );
}

function vlanOf(host: RouteSocket, device: string): { parentIndex: number; vlan: number } {
  const [, parentName = "", vlanText = ""] = vlanForm.exec(device) ?? [];
  const parent = parentName === "" ? undefined : host.link(parentName);
  const vlan = Number(vlanText);
  if (parent === undefined || vlan < 1 || vlan > 4094)
    throw invalidArgument(`invalid parent ${device}: the host has no such network device`, {
      hint: "name one that `ip link` shows, or PARENT.VLAN for a VLAN (1 to 4094) of one",
    });
  return { parentIndex: parent.index, vlan };
}

/** Makes the parent of a macvlan or ipvlan network if it is ours and not there. */
export function setUpParent({ definition }: NetworkRecord): void {
  const { device, isDeviceOurs, options, internal } = definition;
  using host = RouteSocket.open();
  if (host.link(device) !== undefined || !isDeviceOurs) return;
  if (internal || (options["parent"] ?? "") === "" || dummyForm.test(device)) host.createDummy(device);
  else host.createVlan(device, vlanOf(host, device));
}

/** How devices of a macvlan or ipvlan network are made. Throws `notFound` when the parent is gone. */
export function slavePlan({ name, driver, definition }: NetworkRecord): SlavePlan {
  using host = RouteSocket.open();
  const parent = host.link(definition.device);
  if (parent === undefined)
    throw notFound(`network ${name} cannot be used: its parent device ${definition.device} is gone`);
  const { options, internal } = definition;
  const noParent = internal || (options["parent"] ?? "") === "";
  if (driver === "macvlan") {
    const { mode, mtu } = macvlanOptions(options, noParent);
    return { parentIndex: parent.index, mtu: mtu || undefined, slave: { kind: "macvlan", mode } };
  }
  const { mode, flag, mtu } = ipvlanOptions(options, noParent);
  const slave: SlaveKind = { kind: "ipvlan", mode, flag };
  return { parentIndex: parent.index, mtu: mtu || undefined, slave };
}

/**
 * Makes one device of a new network in a namespace of its own (at `path`) and gives it up: what stands in the way (a
 * kernel without the driver, a parent that another kind of device has) is said when the network is made, not at the first
 * start of a container.
 */
export function tryDevice(record: NetworkRecord, path: string): void {
  const { driver, definition } = record;
  createNetns(path, () => {});
  try {
    using host = RouteSocket.open();
    host.createSlave({ name: "eth0", netns: path, ...slavePlan(record) });
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const hint =
      error.kind === "conflict"
        ? `${definition.device} carries devices of another kind or mode; a parent has macvlan or ipvlan devices, not both`
        : `the kernel may lack the driver: modprobe ${driver}`;
    throw new EngineError(
      error.kind,
      `network driver ${driver} failed on parent ${definition.device}: ${error.message}`,
      {
        cause: error,
        hint,
      },
    );
  } finally {
    deleteNetns(path);
  }
}

/** True when containers' packets leave by the device itself and by no gateway. */
export function isRoutedByDevice({ driver, definition }: NetworkRecord): boolean {
  return driver === "ipvlan" && ["l3", "l3s"].includes(definition.options["ipvlan_mode"] ?? "");
}

/** True when a container on this network has a way out by it. */
export function hasWayOut({ record }: LiveNetwork): boolean {
  const { definition } = record;
  const withoutParent =
    ["macvlan", "ipvlan"].includes(record.driver) && (definition.options["parent"] ?? "") === "";
  return !definition.internal && !withoutParent;
}

/** Subnets that a user chose, and may choose addresses of. */
export function userSubnets({ record, isPredefined, ranges }: LiveNetwork): Prefix[] {
  const { subnets } = record.definition;
  return ranges
    .filter((_, index) => isPredefined || subnets[index]?.isAutomatic !== true)
    .map(({ subnet }) => subnet);
}

/** Throws for networks that no container can be connected to. */
export function requireConnectable({ record }: LiveNetwork): void {
  if (record.definition.configOnly)
    throw new EngineError(
      "permissionDenied",
      `cannot connect container to network ${record.name}: it is a configuration only network`,
    );
}
