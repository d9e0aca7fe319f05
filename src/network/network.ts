/**
 * Networks as the engine sees them. A *sandbox* is a container's network namespace with everything in it; an *endpoint*
 * is the sandbox's attachment to one network; a *published port* is a way in from the host.
 *
 * The manager writes a record before it touches the kernel and removes it after, so that {@link NetworkManager.restore}
 * can bring kernel and records together again after a crash.
 */
import type { NetworkInspect } from "../wire/network.ts";

export interface PortRequest {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly containerPort: number;
  /** Empty for all addresses, IPv4 and IPv6. */
  readonly hostIp: string;
  /** First and last host port to try; 0,0 for one of the kernel's ephemeral range. */
  readonly hostPortFirst: number;
  readonly hostPortLast: number;
}

export interface PublishedPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly containerPort: number;
  readonly hostIp: string;
  readonly hostPort: number;
}

export interface EndpointRequest {
  /** Name or id of the network. */
  readonly network: string;
  readonly ipv4Address?: string;
  readonly macAddress?: string;
  readonly aliases: readonly string[];
}

export interface Endpoint {
  readonly id: string;
  readonly networkId: string;
  readonly networkName: string;
  /** Name inside the sandbox, `eth0` … */
  readonly interfaceName: string;
  readonly macAddress: string;
  /** Empty on a network without addresses (none). */
  readonly ipv4Address: string;
  readonly ipv4PrefixLength: number;
  readonly ipv4Gateway: string;
  readonly aliases: readonly string[];
}

export interface SandboxRequest {
  readonly containerId: string;
  readonly containerName: string;
  /** `none` has a loopback device only; `bridge` stands for any list of endpoints. Host mode needs no sandbox. */
  readonly mode: "none" | "bridge";
  readonly endpoints: readonly EndpointRequest[];
  readonly ports: readonly PortRequest[];
}

export interface Sandbox {
  readonly containerId: string;
  /** File that the namespace is bound to; what the OCI spec's `linux.namespaces[].path` takes. */
  readonly path: string;
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly PublishedPort[];
}

export interface NetworkManager {
  /** Brings bridge, nftables and records together; drops the sandboxes of containers that `isLive` does not know. */
  restore(isLive: (containerId: string) => boolean): Promise<void>;
  /**
   * Takes a sandbox from the warm pool (or makes one), connects and publishes. All or nothing. Throws `notFound` for a
   * network, `resourceExhausted` for a pool run dry, `conflict` for a busy port (the message names address and port).
   */
  open(request: SandboxRequest): Promise<Sandbox>;
  /** The open sandbox of a container, also one that an earlier process opened. */
  get(containerId: string): Sandbox | undefined;
  /**
   * Releases addresses, ports, namespace and records; the slow part (the kernel's deletion of the namespace) happens
   * after it returned. No error when nothing is open.
   */
  close(containerId: string): void;
  list(): NetworkInspect[];
  /** By full id, name or unique id prefix. Throws `notFound` (`network X not found`). */
  inspect(nameOrId: string): NetworkInspect;
  /** The default bridge's device; `none` when it is disabled. */
  readonly bridgeName: string;
  /** Resolves when the put-off deletions are done. */
  idle(): Promise<void>;
  /** Stops timers and gives up the warm pool. With `removeAll` (no container left) nothing of ours stays in the kernel. */
  shutdown(options: { removeAll: boolean }): Promise<void>;
}
