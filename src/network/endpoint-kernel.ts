/** The kernel's side of an endpoint: a device in the sandbox, its addresses, and the default route. */
import { setTimeout as sleep } from "node:timers/promises";
import { log } from "../base/log.ts";
import { inNetns } from "../linux/netns.ts";
import { type LinkAddress, RouteSocket, type SlaveKind } from "../linux/rtnetlink.ts";
import { setSysctlIfThere, writeSysctl } from "../linux/sysctl.ts";
import { type BridgeDevice, hasIpv6 } from "./bridge.ts";

const readyTimeoutMs = 2000;

/** A device to be made in a sandbox. */
export interface WireRequest {
  /** File of the sandbox's namespace. */
  readonly path: string;
  readonly interfaceName: string;
  readonly macAddress: string;
  readonly addresses: readonly LinkAddress[];
  /** Names with IFNAME for the device. */
  readonly sysctls?: readonly (readonly [name: string, value: string])[];
}

/** A macvlan or ipvlan device's parent and kind. */
export interface SlavePlan {
  readonly parentIndex: number;
  readonly mtu: number | undefined;
  readonly slave: SlaveKind;
}

/**
 * Joins a sandbox to a bridge by a veth whose near end is called `hostInterface`, and waits until packets pass. On failure
 * the device is gone again.
 */
export async function attachToBridge(
  wire: WireRequest,
  bridge: BridgeDevice,
  hostInterface: string,
): Promise<void> {
  using host = RouteSocket.open();
  await host.createVethAsync({
    name: hostInterface,
    peerName: wire.interfaceName,
    peerMac: wire.macAddress,
    peerNetns: wire.path,
    mtu: bridge.mtu,
    masterIndex: bridge.linkIndex,
  });
  try {
    const near = host.link(hostInterface);
    if (near === undefined) throw new Error(`veth ${hostInterface} went away`);
    // Hairpin: with br_netfilter a container's packet to its own published port turns round within the bridge.
    host.setBridgePort(near.index, { hairpin: true, isolated: bridge.isolatePorts });
    using inside = RouteSocket.open(wire.path);
    configure(inside, wire);
    await untilPassing(
      { host, inside },
      { bridgeName: bridge.name, hostInterface, inner: wire.interfaceName },
    );
    await announce(inside, wire);
  } catch (error) {
    await host.deleteLinkAsync(hostInterface);
    throw error;
  }
}

/** Makes a macvlan or ipvlan device in a sandbox. On failure the device is gone again. Returns its hardware address. */
export function attachSlave(wire: WireRequest, { parentIndex, mtu, slave }: SlavePlan): string {
  using host = RouteSocket.open();
  host.createSlave({
    name: wire.interfaceName,
    netns: wire.path,
    parentIndex,
    mtu,
    mac: slave.kind === "macvlan" ? wire.macAddress : undefined,
    slave,
  });
  using inside = RouteSocket.open(wire.path);
  try {
    configure(inside, wire);
    return inside.link(wire.interfaceName)?.mac ?? "";
  } catch (error) {
    inside.deleteLink(wire.interfaceName);
    throw error;
  }
}

function configure(inside: RouteSocket, { path, interfaceName, addresses, sysctls = [] }: WireRequest): void {
  const link = inside.link(interfaceName);
  if (link === undefined) throw new Error(`device ${interfaceName} went away`);
  if (sysctls.length > 0 || hasIpv6(addresses))
    inNetns(path, () => {
      // Link-local addresses of IPv6 come with the device going up.
      if (hasIpv6(addresses)) setSysctlIfThere(["net", "ipv6", "conf", interfaceName, "disable_ipv6"], "0");
      for (const [name, value] of sysctls)
        writeSysctl(
          name.split(".").map((part) => (part.toUpperCase() === "IFNAME" ? interfaceName : part)),
          value,
        );
    });
  inside.setLink(link.index, { up: true });
  for (const address of addresses) inside.addAddress(link.index, address);
}

/**
 * Tells the neighbours whose the addresses are: another container may have had them a moment ago, and host and
 * containers would send to its hardware address for up to a minute. With these settings the kernel does it when a hardware
 * address is set (ip-sysctl: arp_notify, ndisc_notify), also when it stays the same. It passes the message on to each port
 * of the bridge before it answers, a millisecond with two hundred of them: the event loop does not wait for that.
 */
async function announce(inside: RouteSocket, { path, interfaceName, addresses }: WireRequest): Promise<void> {
  inNetns(path, () => {
    setSysctlIfThere(["net", "ipv4", "conf", interfaceName, "arp_notify"], "1");
    if (hasIpv6(addresses)) setSysctlIfThere(["net", "ipv6", "conf", interfaceName, "ndisc_notify"], "1");
  });
  const link = inside.link(interfaceName);
  if (link !== undefined) await inside.setLinkAsync(link.index, { mac: link.mac });
}

/**
 * Waits until packets pass from the bridge to the sandbox and back. The kernel acts on a new carrier a moment later, on a
 * work queue that waits for other changes of links; a packet sent before is lost, and TCP tries again only a second later.
 */
async function untilPassing(
  { host, inside }: { readonly host: RouteSocket; readonly inside: RouteSocket },
  names: { readonly bridgeName: string; readonly hostInterface: string; readonly inner: string },
): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs;
  const isPassing = (): boolean =>
    host.link(names.hostInterface)?.isForwarding === true &&
    host.link(names.bridgeName)?.isOperational === true &&
    inside.link(names.inner)?.isOperational === true;
  while (!isPassing()) {
    if (performance.now() > deadline) {
      log.warn("a sandbox's network device is slow to come up", { device: names.hostInterface });
      return;
    }
    await sleep(1);
  }
}

/** Where packets to anywhere go: by a gateway, or straight out of a device when it is empty. */
export interface DefaultRoute {
  readonly gateway: string;
  readonly interfaceName: string;
}

/** Makes these the sandbox's default routes in place of those that it has. */
export function setDefaultRoutes(
  path: string,
  wanted: { readonly ipv4: DefaultRoute | undefined; readonly ipv6: DefaultRoute | undefined },
): void {
  using inside = RouteSocket.open(path);
  for (const [family, route] of [[4, wanted.ipv4] as const, [6, wanted.ipv6] as const]) {
    const index = route === undefined ? undefined : inside.link(route.interfaceName)?.index;
    const present = inside.routes(family).filter(({ destination }) => destination.prefixLength === 0);
    const isWanted = (other: { gateway: string; linkIndex: number }): boolean =>
      route !== undefined && other.gateway === route.gateway && other.linkIndex === index;
    for (const other of present)
      if (!isWanted(other)) inside.deleteDefaultRoute(other.gateway, other.linkIndex, family);
    if (route !== undefined && index !== undefined && !present.some(isWanted))
      inside.addDefaultRoute(route.gateway, index, family);
  }
}

/** Takes a device out of a sandbox; no error when it, or the sandbox, is gone. Deleting one end of a veth deletes both. */
export async function detach(path: string, interfaceName: string, hostInterface: string): Promise<void> {
  if (hostInterface !== "") {
    using host = RouteSocket.open();
    await host.deleteLinkAsync(hostInterface);
    return;
  }
  if (interfaceName === "") return;
  using inside = RouteSocket.open(path);
  await inside.deleteLinkAsync(interfaceName);
}

/** Gives the container's device another hardware address. */
export function changeMac(path: string, interfaceName: string, macAddress: string): void {
  using inside = RouteSocket.open(path);
  const link = inside.link(interfaceName);
  if (link !== undefined) inside.setLink(link.index, { mac: macAddress });
}

/** Names of the devices in a sandbox; empty when it is gone. */
export function interfacesIn(path: string): ReadonlySet<string> {
  using inside = RouteSocket.open(path);
  return new Set(inside.links().map(({ name }) => name));
}
