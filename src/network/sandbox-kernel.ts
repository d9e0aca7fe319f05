/** The kernel's side of a sandbox: a namespace bound to a file, and which of them and of their devices are ours. */
import { createHash, randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { crashpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { realPath } from "../linux/mount.ts";
import { createNetns, deleteNetns } from "../linux/netns.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import { setSysctlIfThere } from "../linux/sysctl.ts";
import type { BridgeDevice } from "./bridge.ts";
import { attachToBridge, type DefaultRoute, setDefaultRoutes } from "./endpoint-kernel.ts";
import { randomMac } from "./ipv4.ts";
import type { TakenAddress } from "./network-addresses.ts";

export const sandboxInterface = "eth0";

/** A namespace that is connected to the default bridge and has its address, but no container yet. */
export interface BridgedSandbox {
  readonly path: string;
  /** The veth's end on the host. */
  readonly hostInterface: string;
  readonly macAddress: string;
  readonly ipv4: TakenAddress;
  readonly ipv6: TakenAddress | undefined;
}

/** The addresses that a sandbox of the pool has. */
export function addressesOf({ ipv4, ipv6 }: Pick<BridgedSandbox, "ipv4" | "ipv6">): TakenAddress[] {
  return ipv6 === undefined ? [ipv4] : [ipv4, ipv6];
}

/**
 * Where one daemon's namespaces are and how its veth devices are called: `ve`, six digits derived from the directory, six
 * random ones (the kernel allows 15 characters). So a daemon knows its own, also after a crash, and never takes another's.
 */
export class SandboxNames {
  readonly directory: string;
  /** Six digits that no other daemon has. */
  readonly tag: string;
  readonly #prefix: string;

  constructor(execRoot: string) {
    this.directory = join(execRoot, "netns");
    this.tag = createHash("sha256").update(execRoot).digest("hex").slice(0, 6);
    this.#prefix = `ve${this.tag}`;
  }

  newPath(): string {
    return join(this.directory, randomBytes(6).toString("hex"));
  }

  newHostInterface(): string {
    return `${this.#prefix}${randomBytes(3).toString("hex")}`;
  }

  /** The group that devices are put into to be deleted together; no other daemon's. */
  get deletionGroup(): number {
    return 0x67_00_00_00 + Number.parseInt(this.tag, 16);
  }

  isOurs(interfaceName: string): boolean {
    return interfaceName.length === 14 && interfaceName.startsWith(this.#prefix);
  }
}

/** A namespace with nothing but a loopback device, which is up. About half a millisecond. */
export function makeBareSandbox(path: string, ofPid?: number): void {
  createNetns(
    path,
    () => {
      // Devices made from now on have no IPv6 unless their network has it. The loopback device has ::1.
      setSysctlIfThere("net.ipv6.conf.default.disable_ipv6", "1");
      using inside = RouteSocket.open();
      inside.setLink(1, { up: true });
    },
    ofPid,
  );
}

/** Makes a namespace on a bridge, ready for a container. On failure nothing is left. */
export async function makeBridgedSandbox(
  names: SandboxNames,
  bridge: BridgeDevice,
  taken: Pick<BridgedSandbox, "ipv4" | "ipv6">,
): Promise<BridgedSandbox> {
  const path = names.newPath();
  const hostInterface = names.newHostInterface();
  const macAddress = randomMac();
  makeBareSandbox(path);
  crashpoint("sandbox-ahead.namespace");
  try {
    const wire = { path, interfaceName: sandboxInterface, macAddress, addresses: addressesOf(taken) };
    await attachToBridge(wire, bridge, hostInterface);
    const by = (address: TakenAddress | undefined): DefaultRoute | undefined =>
      address && { gateway: address.gateway, interfaceName: sandboxInterface };
    setDefaultRoutes(path, { ipv4: by(taken.ipv4), ipv6: by(taken.ipv6) });
    crashpoint("sandbox-ahead.made");
    return { path, hostInterface, macAddress, ...taken };
  } catch (error) {
    deleteNetns(path);
    throw error;
  }
}

/** Brings devices back to their bridge: one that was deleted and made again has lost them. */
export function reattach(hostInterfaces: readonly string[], bridge: BridgeDevice): void {
  using host = RouteSocket.open();
  const links = new Map(host.links().map((link) => [link.name, link]));
  for (const name of hostInterfaces) {
    const link = links.get(name);
    if (link === undefined || link.masterIndex === bridge.linkIndex) continue;
    host.setLink(link.index, { masterIndex: bridge.linkIndex, up: true });
    host.setBridgePort(link.index, { hairpin: true, isolated: bridge.isolatePorts });
  }
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

/** As {@link deleteSandbox}, for many at once: that takes hardly longer than one. Devices that are gone are no error. */
export async function deleteSandboxes(
  names: SandboxNames,
  paths: readonly string[],
  hostInterfaces: readonly string[],
): Promise<void> {
  using host = RouteSocket.open();
  if (hostInterfaces.length === 1) await host.deleteLinkAsync(hostInterfaces[0]!);
  else if (hostInterfaces.length > 1) {
    for (const name of hostInterfaces) host.setGroup(name, names.deletionGroup);
    await host.deleteGroupAsync(names.deletionGroup);
  }
  crashpoint("sandbox-delete.devices");
  for (const path of paths) deleteNetns(path);
  crashpoint("sandbox-delete.namespaces");
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
  // An earlier daemon may have been told another name of the same directory.
  const kept = new Set([...known.paths].map(realPath));
  for (const file of files) {
    const path = join(names.directory, file);
    if (!kept.has(realPath(path))) deleteNetns(path);
  }
}
