/** Sets up the default bridge: its device, its addresses and the kernel settings that go with it. */
import { conflict, EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import { readSysctl, writeSysctl, type SysctlName } from "../linux/sysctl.ts";
import type { AddressRange } from "./address-pool.ts";
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
};

export interface DefaultBridge {
  readonly name: string;
  readonly linkIndex: number;
  readonly range: AddressRange;
  readonly gateway: string;
  readonly prefixLength: number;
  /** `172.17.0.0/16` */
  readonly subnet: string;
  readonly mtu: number;
  /** False when the administrator made it: then it stays. */
  readonly isOurs: boolean;
  /** Containers are kept apart by the bridge's ports, because the firewall does not see what they send each other. */
  readonly isolatePorts: boolean;
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
function takenSubnets(route: RouteSocket, exceptIndex: number): Subnet[] {
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

function choose(taken: readonly Subnet[]): Plan {
  const subnet = firstFree(defaultPools, taken);
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
function plan(
  config: NetworkConfig,
  records: NetworkRecords,
  hasEndpoints: boolean,
  route: RouteSocket,
): Plan {
  if (config.bip !== "") return parseCidr(config.bip, "--bip");
  const link = route.link(config.bridge);
  const taken = takenSubnets(route, link?.index ?? -1);
  const record = records.bridge(config.bridge);
  if (record !== undefined) {
    const last = parseCidr(record.address, "the stored bridge address");
    if (hasEndpoints || link !== undefined || firstFree([last.subnet], taken) !== undefined) return last;
  }
  const present = route.addresses().find(({ linkIndex }) => linkIndex === link?.index);
  const address = present === undefined ? undefined : parseIpv4(present.address);
  return present !== undefined && address !== undefined
    ? planFor(address, present.prefixLength)
    : choose(taken);
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

/** Kernel settings of the host for this bridge. What cannot be set is only warned of: the host may have it so already. */
function applySettings(config: NetworkConfig, isOurs: boolean): void {
  const name = config.bridge;
  if (config.ipForward) setOrWarn("net.ipv4.ip_forward", "1");
  else if (readSysctl("net.ipv4.ip_forward") !== "1")
    log.warn("IPv4 forwarding is off: containers reach neither the outside nor each other's published ports");
  // The host's own connections to 127.0.0.1:PORT are translated and leave by the bridge; chain `guard` does the rest.
  if (config.iptables) setOrWarn(["net", "ipv4", "conf", name, "route_localnet"], "1");
  // No IPv6 on this network: without it no router advertisement of a container reaches the host either.
  if (isOurs && readSysctl(["net", "ipv6", "conf", name, "disable_ipv6"]) !== undefined)
    setOrWarn(["net", "ipv6", "conf", name, "disable_ipv6"], "1");
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

/**
 * Makes or takes over the bridge that `config` names and puts it in order. `hasEndpoints`: containers from before still
 * use its addresses. Throws `conflict` when a device of that name is no bridge.
 */
export function setUpBridge(
  config: NetworkConfig,
  records: NetworkRecords,
  hasEndpoints: boolean,
): DefaultBridge {
  checkBridgeName(config.bridge);
  using route = RouteSocket.open();
  const before = route.link(config.bridge);
  if (before !== undefined && before.kind !== "bridge")
    throw conflict(`network device ${config.bridge} is there and is not a bridge`, {
      hint: "name another one with --bridge",
    });
  const { address, subnet } = plan(config, records, hasEndpoints, route);
  const allocationRange = checkPlan({ address, subnet }, config);
  const gateway = formatIpv4(address);
  const { prefixLength } = subnet;
  const isOurs = before === undefined || records.bridge(config.bridge)?.isOurs === true;
  records.saveBridge(config.bridge, { address: `${gateway}/${prefixLength}`, isOurs });

  if (before === undefined) route.createBridge(config.bridge, { mac: randomMac(), mtu: config.mtu });
  const link = route.link(config.bridge);
  if (link === undefined) throw conflict(`bridge ${config.bridge} went away while it was set up`);
  applySettings(config, isOurs);
  if (!link.isUp) route.setLink(link.index, { up: true });
  if (isOurs && link.mtu !== config.mtu) route.setLink(link.index, { mtu: config.mtu });
  const present = route.addresses().filter(({ linkIndex }) => linkIndex === link.index);
  const isWanted = (at: { address: string; prefixLength: number }): boolean =>
    at.address === gateway && at.prefixLength === prefixLength;
  if (!present.some(isWanted)) route.addAddress(link.index, { address: gateway, prefixLength });
  if (isOurs && !hasEndpoints)
    for (const other of present) if (!isWanted(other)) route.deleteAddress(link.index, other);

  const isFiltered = !config.icc && config.iptables && filterBridgedFrames(route, link.index);
  return {
    name: config.bridge,
    linkIndex: link.index,
    range: { subnet, gateway: address, ...(allocationRange && { allocationRange }) },
    gateway,
    prefixLength,
    subnet: formatSubnet(subnet),
    mtu: config.mtu,
    isOurs,
    isolatePorts: !config.icc && !isFiltered,
  };
}
