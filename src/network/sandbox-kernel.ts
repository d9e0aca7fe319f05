/** The kernel's side of a sandbox: a namespace bound to a file, and a veth device from it to the bridge. */
import { createHash, randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { log } from "../base/log.ts";
import { createNetns, deleteNetns } from "../linux/netns.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import { readSysctl, writeSysctl } from "../linux/sysctl.ts";
import type { DefaultBridge } from "./bridge.ts";
import { randomMac } from "./ipv4.ts";

export const sandboxInterface = "eth0";
const readyTimeoutMs = 2000;

/** A namespace that is connected to the bridge and has its address, but no container yet. */
export interface BridgedSandbox {
  readonly path: string;
  /** The veth's end on the host. */
  readonly hostInterface: string;
  readonly macAddress: string;
  readonly address: string;
}

/**
 * Where one daemon's namespaces are and how its veth devices are called: `ve`, six digits derived from the directory, six
 * random ones (the kernel allows 15 characters). So a daemon knows its own, also after a crash, and never takes another's.
 */
export class SandboxNames {
  readonly directory: string;
  readonly #prefix: string;

  constructor(execRoot: string) {
    this.directory = join(execRoot, "netns");
    this.#prefix = `ve${createHash("sha256").update(execRoot).digest("hex").slice(0, 6)}`;
  }

  newPath(): string {
    return join(this.directory, randomBytes(6).toString("hex"));
  }

  newHostInterface(): string {
    return `${this.#prefix}${randomBytes(3).toString("hex")}`;
  }

  isOurs(interfaceName: string): boolean {
    return interfaceName.length === 14 && interfaceName.startsWith(this.#prefix);
  }
}

/** A namespace with nothing but a loopback device, which is up. About half a millisecond. */
export function makeBareSandbox(path: string): RouteSocket {
  return createNetns(path, () => {
    // Devices made from now on have no IPv6: this network has no addresses of that kind. The loopback device has ::1.
    const setting = ["net", "ipv6", "conf", "default", "disable_ipv6"];
    if (readSysctl(setting) !== undefined) writeSysctl(setting, "1");
    const inside = RouteSocket.open();
    try {
      inside.setLink(1, { up: true });
      return inside;
    } catch (error) {
      inside[Symbol.dispose]();
      throw error;
    }
  });
}

/** Makes a namespace on the bridge, ready for a container. On failure nothing is left. */
export async function makeBridgedSandbox(
  names: SandboxNames,
  bridge: DefaultBridge,
  address: string,
): Promise<BridgedSandbox> {
  const path = names.newPath();
  const hostInterface = names.newHostInterface();
  const macAddress = randomMac();
  using inside = makeBareSandbox(path);
  try {
    using host = RouteSocket.open();
    await host.createVethAsync({
      name: hostInterface,
      peerName: sandboxInterface,
      peerMac: macAddress,
      peerNetns: path,
      mtu: bridge.mtu,
      masterIndex: bridge.linkIndex,
    });
    const near = host.link(hostInterface);
    const far = inside.link(sandboxInterface);
    if (near === undefined || far === undefined) throw new Error(`veth ${hostInterface} went away`);
    // Hairpin: with br_netfilter a container's packet to its own published port turns round within the bridge.
    host.setBridgePort(near.index, { hairpin: true, isolated: bridge.isolatePorts });
    inside.setLink(far.index, { up: true });
    inside.addAddress(far.index, { address, prefixLength: bridge.prefixLength });
    inside.addDefaultRoute(bridge.gateway, far.index);
    await untilPassing(host, inside, [bridge.name, hostInterface]);
    return { path, hostInterface, macAddress, address };
  } catch (error) {
    deleteNetns(path);
    throw error;
  }
}

/**
 * Waits until packets pass from the bridge to the sandbox and back. The kernel acts on a new carrier a moment later, on a
 * work queue that waits for other changes of links; a packet sent before is lost, and TCP tries again only a second later.
 */
async function untilPassing(
  host: RouteSocket,
  inside: RouteSocket,
  [bridgeName, hostInterface]: readonly [string, string],
): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs;
  const isPassing = (): boolean =>
    host.link(hostInterface)?.isForwarding === true &&
    host.link(bridgeName)?.isOperational === true &&
    inside.link(sandboxInterface)?.isOperational === true;
  while (!isPassing()) {
    if (performance.now() > deadline) {
      log.warn("a sandbox's network device is slow to come up", { device: hostInterface });
      return;
    }
    await sleep(1);
  }
}

/** Brings devices back to their bridge: one that was deleted and made again has lost them. */
export function reattach(hostInterfaces: readonly string[], bridge: DefaultBridge): void {
  using host = RouteSocket.open();
  const links = new Map(host.links().map((link) => [link.name, link]));
  for (const name of hostInterfaces) {
    const link = links.get(name);
    if (link === undefined || link.masterIndex === bridge.linkIndex) continue;
    host.setLink(link.index, { masterIndex: bridge.linkIndex, up: true });
    host.setBridgePort(link.index, { hairpin: true, isolated: bridge.isolatePorts });
  }
}

/** Gives the container's device another hardware address. */
export function changeMac(path: string, macAddress: string): void {
  using inside = RouteSocket.open(path);
  const link = inside.link(sandboxInterface);
  if (link !== undefined) inside.setLink(link.index, { mac: macAddress });
}

/**
 * Deletes a sandbox's devices and its namespace. The kernel takes tens of milliseconds for it, on another thread. With
 * the device gone its address can be given away, even while a process is left in the namespace.
 */
export async function deleteSandbox(path: string, hostInterfaces: readonly string[]): Promise<void> {
  if (hostInterfaces.length > 0) {
    using host = RouteSocket.open();
    for (const name of hostInterfaces) await host.deleteLinkAsync(name);
  }
  deleteNetns(path);
}

/** Deletes every namespace and device of this daemon that `isKnown` (by file, or by device) does not name. */
export async function sweepSandboxes(
  names: SandboxNames,
  known: { readonly paths: ReadonlySet<string>; readonly hostInterfaces: ReadonlySet<string> },
): Promise<void> {
  using host = RouteSocket.open();
  for (const { name } of host.links()) {
    if (!names.isOurs(name) || known.hostInterfaces.has(name)) continue;
    log.info("deleting a left-over network device", { device: name });
    await host.deleteLinkAsync(name);
  }
  let files: string[] = [];
  try {
    files = readdirSync(names.directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  for (const file of files) {
    const path = join(names.directory, file);
    if (!known.paths.has(path)) deleteNetns(path);
  }
}
