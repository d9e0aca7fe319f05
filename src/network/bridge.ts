/** Sets up the default bridge: its device, its addresses and the kernel settings that go with it. */
import { readdirSync } from "node:fs";
import { conflict, EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { type Link, type LinkAddress, RouteSocket } from "../linux/rtnetlink.ts";
import { readSysctl, writeSysctl, type SysctlName } from "../linux/sysctl.ts";
import type { AddressRange } from "./address-pool.ts";
import { parseAddress, parsePrefix } from "./ip.ts";
import {
  contains,
  defaultPools,
  firstFree,
  formatIpv4,
  formatSubnet,
  parseCidr,
  parseIpv4,
  randomMac,
  sizeOf,
  type Subnet,
  subnetOf,
} from "./ipv4.ts";
import type { NetworkRecords } from "./records.ts";

/** The daemon's network settings, by the names of Docker's flags. */
export interface NetworkConfig {
  /** `none` for no default bridge. */
  readonly bridge: string;
  /** Address and prefix length of the bridge, `172.17.0.1/16`; empty to choose. */
  readonly bip: string;
  /** Part of the bridge's network that containers' addresses come from; empty for all of it. */
  readonly fixedCidr: string;
  /** Bytes. */
  readonly mtu: number;
  readonly icc: boolean;
  /** Host address for published ports that name none. */
  readonly ip: string;
  /** Switch forwarding on in the kernel. */
  readonly ipForward: boolean;
  /** Manage firewall rules (with nftables; the flag is named after its forerunner). */
  readonly iptables: boolean;
  /** Networks that get no subnet of the user's get one of these. */
  readonly addressPools: Iterable<Subnet>;
}

export const defaultNetworkConfig: NetworkConfig = {
  bridge: "gantry0",
  bip: "",
  fixedCidr: "",
  mtu: 1500,
  icc: true,
  ip: "0.0.0.0",
  ipForward: true,
  iptables: true,
  addressPools: defaultPools,
};

/** What a bridge is to be. */
export interface BridgePlan {
  readonly name: string;
  /** Addresses of the host on it. */
  readonly addresses: readonly LinkAddress[];
  /** Bytes. */
  readonly mtu: number;
  readonly icc: boolean;
  /** False when the administrator made it: then it stays, and keeps what it has. */
  readonly isOurs: boolean;
  /** Containers from before still use other addresses. */
  readonly keepsAddresses: boolean;
}

/** A bridge that is there. */
export interface BridgeDevice {
  readonly name: string;
  readonly linkIndex: number;
  readonly mtu: number;
  readonly isOurs: boolean;
  /** Containers are kept apart by the bridge's ports, because the firewall does not see what they send each other. */
  readonly isolatePorts: boolean;
}

/** The default network's bridge, and the addresses that belong to it. */
export interface DefaultBridge {
  readonly plan: BridgePlan;
  readonly range: AddressRange;
}

/** Throws `invalidArgument` for what could not be a device's name or would not be safe in a rule. */
export function checkBridgeName(name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(name) || name === "all" || name === "default")
    throw invalidArgument(`invalid bridge name: ${name}`, {
      hint: "take at most 15 letters, digits, dashes, dots and underscores",
    });
}

interface Plan {
  readonly address: number;
  readonly subnet: Subnet;
}

function planFor(address: number, prefixLength: number): Plan {
  return { address, subnet: subnetOf(address, prefixLength) };
}

/** Networks that the host knows by its addresses and routes, without those of the link `exceptIndex`. */
export function takenSubnets(route: RouteSocket, exceptIndex: number): Subnet[] {
  const taken: Subnet[] = [];
  const add = (address: string, prefixLength: number): void => {
    const value = parseIpv4(address);
    if (value !== undefined && prefixLength > 0) taken.push(subnetOf(value, prefixLength));
  };
  for (const { address, prefixLength, linkIndex } of route.addresses())
    if (linkIndex !== exceptIndex) add(address, prefixLength);
  for (const { destination, linkIndex } of route.routes())
    if (linkIndex !== exceptIndex) add(destination.address, destination.prefixLength);
  return taken;
}

function choose(pools: Iterable<Subnet>, taken: readonly Subnet[]): Plan {
  const subnet = firstFree(pools, taken);
  if (subnet === undefined)
    throw new EngineError(
      "resourceExhausted",
      "could not find an available, non-overlapping IPv4 address pool among the defaults for the default bridge",
      { hint: "name a free network with --bip" },
    );
  return { address: subnet.base + 1, subnet };
}

/**
 * Which address the bridge gets: the one asked for; else the one it had last, unless nobody depends on it and the host
 * uses that network by now; else the one that the bridge has; else the first free pool's.
 */
function plan({
  config,
  records,
  hasEndpoints,
  route,
  others,
}: {
  readonly config: NetworkConfig;
  readonly records: NetworkRecords;
  readonly hasEndpoints: boolean;
  readonly route: RouteSocket;
  /** Subnets of other networks, whose devices may not be there yet. */
  readonly others: readonly Subnet[];
}): Plan {
  if (config.bip !== "") return parseCidr(config.bip, "--bip");
  const link = route.link(config.bridge);
  const taken = [...takenSubnets(route, link?.index ?? -1), ...others];
  const record = records.bridge(config.bridge);
  if (record !== undefined) {
    const last = parseCidr(record.address, "the stored bridge address");
    if (hasEndpoints || link !== undefined || firstFree([last.subnet], taken) !== undefined) return last;
  }
  const present = route.addresses().find(({ linkIndex }) => linkIndex === link?.index);
  const address = present === undefined ? undefined : parseIpv4(present.address);
  return present !== undefined && address !== undefined
    ? planFor(address, present.prefixLength)
    : choose(config.addressPools, taken);
}

function checkPlan({ address, subnet }: Plan, config: NetworkConfig): Subnet | undefined {
  const last = subnet.base + sizeOf(subnet.prefixLength) - 1;
  if (subnet.prefixLength > 30 || address === subnet.base || address === last)
    throw invalidArgument(
      `--bip ${formatIpv4(address)}/${subnet.prefixLength} is not the address of a host in a network with room for others`,
    );
  if (config.fixedCidr === "") return undefined;
  const fixed = parseCidr(config.fixedCidr, "--fixed-cidr").subnet;
  if (!contains(subnet, fixed.base) || fixed.prefixLength < subnet.prefixLength)
    throw invalidArgument(
      `--fixed-cidr ${config.fixedCidr} is not within the bridge's ${formatSubnet(subnet)}`,
    );
  return fixed;
}

function setOrWarn(name: SysctlName, value: string): void {
  try {
    writeSysctl(name, value);
  } catch (error) {
    log.warn("a kernel setting that the bridge needs could not be made", { error: errorText(error) });
  }
}

/**
 * What the default network's bridge is to be, by the daemon's options and by what was there last. `hasEndpoints`:
 * containers from before still use its addresses. Throws `conflict` when a device of that name is no bridge.
 */
export function planDefaultBridge(
  config: NetworkConfig,
  records: NetworkRecords,
  hasEndpoints: boolean,
  others: readonly Subnet[],
): DefaultBridge {
  checkBridgeName(config.bridge);
  using route = RouteSocket.open();
  const before = existingBridge(route, config.bridge);
  const { address, subnet } = plan({ config, records, hasEndpoints, route, others });
  const allocationRange = checkPlan({ address, subnet }, config);
  const gateway = formatIpv4(address);
  const { prefixLength } = subnet;
  const isOurs = before === undefined || records.bridge(config.bridge)?.isOurs === true;
  records.saveBridge(config.bridge, { address: `${gateway}/${prefixLength}`, isOurs });
  return {
    plan: {
      name: config.bridge,
      addresses: [{ address: gateway, prefixLength }],
      mtu: config.mtu,
      icc: config.icc,
      isOurs,
      keepsAddresses: hasEndpoints,
    },
    range: {
      subnet: parsePrefix(formatSubnet(subnet))!.prefix,
      gateway: parseAddress(gateway),
      ...(allocationRange && { allocationRange: parsePrefix(formatSubnet(allocationRange))!.prefix }),
    },
  };
}

/** The bridge of that name, undefined when there is no such device. Throws `conflict` when it is no bridge. */
export function existingBridge(route: RouteSocket, name: string): Link | undefined {
  const link = route.link(name);
  if (link !== undefined && link.kind !== "bridge")
    throw conflict(`network device ${name} is there and is not a bridge`, {
      hint: "name another one with --bridge, or of a network with -o com.docker.network.bridge.name",
    });
  return link;
}

/**
 * Switches IPv6 forwarding on. A router takes no router advertisements any more unless it is told to (accept_ra=2): the
 * host's own devices that listen to them go on, so that it keeps the addresses and routes that it has by them.
 */
function forwardIpv6(): void {
  if (readSysctl("net.ipv6.conf.all.forwarding") === "1") return;
  for (const device of readdirSync("/proc/sys/net/ipv6/conf"))
    if (
      device !== "all" &&
      device !== "default" &&
      readSysctl(["net", "ipv6", "conf", device, "accept_ra"]) === "1"
    )
      setOrWarn(["net", "ipv6", "conf", device, "accept_ra"], "2");
  setOrWarn("net.ipv6.conf.all.forwarding", "1");
}

/** Kernel settings of the host for a bridge. What cannot be set is only warned of: the host may have it so already. */
function applySettings(config: NetworkConfig, { name, addresses, isOurs }: BridgePlan): void {
  const hasIpv6 = addresses.some(({ address }) => address.includes(":"));
  if (config.ipForward) {
    setOrWarn("net.ipv4.ip_forward", "1");
    if (hasIpv6) forwardIpv6();
  } else if (readSysctl("net.ipv4.ip_forward") !== "1")
    log.warn("IPv4 forwarding is off: containers reach neither the outside nor each other's published ports");
  // The host's own connections to 127.0.0.1:PORT are translated and leave by the bridge; chain `guard` does the rest.
  if (config.iptables) setOrWarn(["net", "ipv4", "conf", name, "route_localnet"], "1");
  if (!isOurs || readSysctl(["net", "ipv6", "conf", name, "disable_ipv6"]) === undefined) return;
  // Without IPv6 on the network no router advertisement of a container reaches the host; with it none is heard.
  setOrWarn(["net", "ipv6", "conf", name, "accept_ra"], "0");
  setOrWarn(["net", "ipv6", "conf", name, "disable_ipv6"], hasIpv6 ? "0" : "1");
}

/**
 * Has containers' frames to each other pass the firewall, which `icc=false` needs: they do not leave the bridge. Returns
 * false where the kernel has no br_netfilter.
 */
function filterBridgedFrames(route: RouteSocket, linkIndex: number): boolean {
  if (readSysctl("net.bridge.bridge-nf-call-iptables") === undefined) return false;
  route.setBridgeCallIptables(linkIndex, true);
  return true;
}

const sameAddress = (a: LinkAddress, b: LinkAddress): boolean =>
  a.address === b.address && a.prefixLength === b.prefixLength;

/** Makes or takes over a bridge and puts it in order. Throws `conflict` when a device of that name is no bridge. */
export function setUpBridge(wanted: BridgePlan, config: NetworkConfig): BridgeDevice {
  using route = RouteSocket.open();
  const before = existingBridge(route, wanted.name);
  if (before === undefined) route.createBridge(wanted.name, { mac: randomMac(), mtu: wanted.mtu });
  const link = route.link(wanted.name);
  if (link === undefined) throw conflict(`bridge ${wanted.name} went away while it was set up`);
  applySettings(config, wanted);
  if (!link.isUp) route.setLink(link.index, { up: true });
  if (wanted.isOurs && link.mtu !== wanted.mtu) route.setLink(link.index, { mtu: wanted.mtu });
  const present = [...route.addresses(), ...route.addresses(6)].filter(
    ({ linkIndex, address }) => linkIndex === link.index && !address.startsWith("fe80:"),
  );
  for (const address of wanted.addresses)
    if (!present.some((other) => sameAddress(other, address))) route.addAddress(link.index, address);
  if (wanted.isOurs && !wanted.keepsAddresses)
    for (const other of present)
      if (!wanted.addresses.some((address) => sameAddress(other, address)))
        route.deleteAddress(link.index, other);
  const isFiltered = !wanted.icc && config.iptables && filterBridgedFrames(route, link.index);
  return {
    name: wanted.name,
    linkIndex: link.index,
    mtu: wanted.mtu,
    isOurs: wanted.isOurs,
    isolatePorts: !wanted.icc && !isFiltered,
  };
}
