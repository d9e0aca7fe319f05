/** Sets up bridges: the device, its addresses and the kernel settings that go with it. */
import { readdirSync } from "node:fs";
import { conflict, errorText, invalidArgument } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { type Link, type LinkAddress, RouteSocket } from "../linux/rtnetlink.ts";
import { readSysctl, writeSysctl, type SysctlName } from "../linux/sysctl.ts";
import { randomMac } from "./ipv4.ts";
import { hasFirewall, type NetworkConfig } from "./network-config.ts";

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

/** Throws `invalidArgument` for what could not be a device's name or would not be safe in a rule. */
export function checkBridgeName(name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(name) || name === "all" || name === "default")
    throw invalidArgument(`invalid bridge name: ${name}`, {
      hint: "take at most 15 letters, digits, dashes, dots and underscores",
    });
}

/** Whether one of the addresses is of IPv6. */
export const hasIpv6 = (addresses: readonly LinkAddress[]): boolean =>
  addresses.some(({ address }) => address.includes(":"));

function setOrWarn(name: SysctlName, value: string): void {
  try {
    writeSysctl(name, value);
  } catch (error) {
    log.warn("a kernel setting that the bridge needs could not be made", { error: errorText(error) });
  }
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
  if (config.ipForward) {
    setOrWarn("net.ipv4.ip_forward", "1");
    if (hasIpv6(addresses)) forwardIpv6();
  } else if (readSysctl("net.ipv4.ip_forward") !== "1")
    log.warn("IPv4 forwarding is off: containers reach neither the outside nor each other's published ports");
  // The host's own connections to 127.0.0.1:PORT are translated and leave by the bridge; chain `guard` does the rest.
  if (config.iptables) setOrWarn(["net", "ipv4", "conf", name, "route_localnet"], "1");
  if (!isOurs || readSysctl(["net", "ipv6", "conf", name, "disable_ipv6"]) === undefined) return;
  // Without IPv6 on the network no router advertisement of a container reaches the host; with it none is heard.
  setOrWarn(["net", "ipv6", "conf", name, "accept_ra"], "0");
  setOrWarn(["net", "ipv6", "conf", name, "disable_ipv6"], hasIpv6(addresses) ? "0" : "1");
}

/**
 * Has containers' frames to each other pass the firewall, which `icc=false` needs: they do not leave the bridge. Returns
 * false where the kernel has no br_netfilter.
 */
function filterBridgedFrames(
  route: RouteSocket,
  linkIndex: number,
  { iptables, ip6tables }: NetworkConfig,
): boolean {
  if (readSysctl("net.bridge.bridge-nf-call-iptables") === undefined) return false;
  route.setBridgeCallIptables(linkIndex, { ipv4: iptables, ipv6: ip6tables });
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
  const isFiltered = !wanted.icc && hasFirewall(config) && filterBridgedFrames(route, link.index, config);
  return {
    name: wanted.name,
    linkIndex: link.index,
    mtu: wanted.mtu,
    isOurs: wanted.isOurs,
    isolatePorts: !wanted.icc && !isFiltered,
  };
}
