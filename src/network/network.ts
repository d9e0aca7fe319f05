/**
 * Networks as the engine sees them. A *sandbox* is a container's network namespace with everything in it; an *endpoint*
 * is the sandbox's attachment to one network; a *published port* is a way in from the host.
 *
 * The manager writes a record before it touches the kernel and removes it after, so that {@link NetworkManager.restore}
 * can bring kernel and records together again after a crash.
 */
import type { NetworkCreateRequest, NetworkInspect } from "../wire/network.ts";
import type { Prefix } from "./ip.ts";

export type NetworkDriver = "bridge" | "host" | "null" | "macvlan" | "ipvlan";

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
  readonly ipv4Address?: string | undefined;
  readonly ipv6Address?: string | undefined;
  /** Addresses that are only valid on the wire, beside the others (`--link-local-ip`). */
  readonly linkLocalAddresses?: readonly string[];
  readonly macAddress?: string | undefined;
  readonly aliases: readonly string[];
  /** `CONTAINER:ALIAS` pairs that only this container sees. */
  readonly links?: readonly string[];
  readonly driverOptions?: Readonly<Record<string, string>>;
  /** The endpoint with the highest one gives the default route. */
  readonly gatewayPriority?: number;
  /** The container's hostname, one of its names on the network; empty when it has none of its own. */
  readonly hostname?: string;
}

export interface Endpoint {
  readonly id: string;
  readonly networkId: string;
  readonly networkName: string;
  readonly driver: NetworkDriver;
  /** Name inside the sandbox, `eth0` …; empty where there is no device. */
  readonly interfaceName: string;
  readonly macAddress: string;
  /** Empty on a network without addresses of this kind; so are the gateways. */
  readonly ipv4Address: string;
  readonly ipv4PrefixLength: number;
  readonly ipv4Gateway: string;
  readonly ipv6Address: string;
  readonly ipv6PrefixLength: number;
  readonly ipv6Gateway: string;
  readonly linkLocalAddresses: readonly string[];
  readonly aliases: readonly string[];
  readonly links: readonly string[];
  /** What others on this network find the container by: its name, aliases, short id and hostname. Empty on predefined networks. */
  readonly dnsNames: readonly string[];
  readonly gatewayPriority: number;
}

export interface SandboxRequest {
  readonly containerId: string;
  readonly containerName: string;
  /** `none` has a loopback device only; `bridge` stands for any list of endpoints. Host mode needs no sandbox. */
  readonly mode: "none" | "bridge";
  readonly endpoints: readonly EndpointRequest[];
  readonly ports: readonly PortRequest[];
  /** A process whose network namespace it is to be; made anew without. */
  readonly namespaceOfPid?: number | undefined;
}

export interface Sandbox {
  readonly containerId: string;
  readonly containerName: string;
  /** File that the namespace is bound to; what the OCI spec's `linux.namespaces[].path` takes. */
  readonly path: string;
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly PublishedPort[];
}

/** An endpoint and whose it is. */
export interface NetworkMember {
  readonly containerId: string;
  readonly containerName: string;
  readonly endpoint: Endpoint;
}

/** A port of another container that a link leads to. */
export interface LinkedPort {
  readonly containerId: string;
  readonly protocol: PublishedPort["protocol"];
  readonly port: number;
}

/**
 * Told of sandboxes as they come and go; the name server is one. At {@link NetworkManager.restore} every sandbox that is
 * kept is `opened` again.
 */
export interface SandboxWatcher {
  /**
   * The namespace is there with its devices; the program is not. Awaited: when it throws, the sandbox is not opened.
   */
  opened?(sandbox: Sandbox): void | Promise<void>;
  /** It was connected to a network or disconnected from one, or its names changed. */
  changed?(sandbox: Sandbox): void | Promise<void>;
  /** It is given up; its namespace will be deleted. */
  closed?(sandbox: Sandbox): void;
}

/** What code outside this room needs of a network. */
export interface NetworkInfo {
  readonly id: string;
  readonly name: string;
  readonly driver: NetworkDriver;
  /** Not `bridge`, `host` or `none`: made by a user, with names and aliases. */
  readonly isUserDefined: boolean;
  /** Without a way out. */
  readonly isInternal: boolean;
  readonly isAttachable: boolean;
  /** Only a template for other networks: nothing can be connected. */
  readonly isConfigOnly: boolean;
  /** Subnets, `10.1.0.0/24`; those of the default bridge are known once it is set up. */
  readonly subnets: readonly string[];
  /** Those among them that a user chose, and may choose addresses of. */
  readonly userSubnets: readonly Prefix[];
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: string;
}

export interface NetworkManager {
  /** Brings devices, nftables and records together; drops the sandboxes of containers that `isLive` does not know. */
  restore(isLive: (containerId: string) => boolean): Promise<void>;

  // sandboxes
  /**
   * Takes a sandbox from the warm pool (or makes one), connects and publishes. All or nothing. Throws `notFound` for a
   * network, `resourceExhausted` for a pool run dry, `conflict` for a busy port (the message names address and port).
   */
  open(request: SandboxRequest): Promise<Sandbox>;
  /** The open sandbox of a container, also one that an earlier process opened. */
  get(containerId: string): Sandbox | undefined;
  sandboxes(): Sandbox[];
  /**
   * Releases addresses, ports, namespace and records; the slow part (the kernel's deletion of the namespace) happens
   * after it returned. No error when nothing is open.
   */
  close(containerId: string): void;
  /** The container has another name from now on: names on its networks follow. */
  rename(containerId: string, name: string): Promise<void>;
  /** Adds a watcher. To be called before {@link restore}. */
  watch(watcher: SandboxWatcher): void;

  /**
   * Opens these ports of others on the default bridge for a container, in place of those that it had: where the bridge
   * keeps its containers apart, there is no other way. Those of containers without a sandbox are left out.
   */
  openLinks(containerId: string, ports: readonly LinkedPort[]): void;

  /** Connects an open sandbox to one more network. All or nothing. Throws as {@link open}. */
  connect(containerId: string, request: EndpointRequest): Promise<Endpoint>;
  /** Takes a network (its full id) from an open sandbox. */
  disconnect(containerId: string, networkId: string): Promise<void>;

  // networks
  /**
   * Makes a network. Throws `conflict` for a name in use, `permissionDenied` for overlapping subnets and predefined
   * names, `invalidArgument` for what makes no sense, `notFound` and `unavailable` for what needs a plugin or a swarm.
   */
  create(request: NetworkCreateRequest): Promise<NetworkInfo>;
  /** Removes a network that nobody is on. Throws `permissionDenied` for one in use, in Docker's words. */
  remove(nameOrId: string): Promise<NetworkInfo>;
  list(): NetworkInspect[];
  /** By full id, name or unique id prefix. Throws `notFound` (`network X not found`). */
  inspect(nameOrId: string): NetworkInspect;
  /** As {@link inspect}, without what only the API needs. */
  find(nameOrId: string): NetworkInfo;
  /** Who is on a network (its full id) now. */
  members(networkId: string): NetworkMember[];
  /** Who goes by a name on a network (its full id), in no order; names have no case. For the name server. */
  lookUp(networkId: string, name: string): readonly NetworkMember[];

  /** The default bridge's device; `none` when it is disabled. */
  readonly bridgeName: string;
  /** Writes the firewall's rules again, whatever others made of them. They are watched, too: this is for who is not sure. */
  repair(): void;
  /** True for a namespace file or a device that is kept ready for a container to come. */
  isReady(name: string): boolean;
  /** Resolves when the put-off deletions are done. */
  idle(): Promise<void>;
  /** Stops timers and gives up the warm pool. With `removeAll` (no container left) nothing of ours stays in the kernel. */
  shutdown(options: { removeAll: boolean }): Promise<void>;
}
