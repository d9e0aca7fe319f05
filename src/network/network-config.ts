/** The daemon's network settings, by the meaning of Docker's flags. */
import type { Pool6 } from "./subnets.ts";
import { defaultPools, type Subnet } from "./ipv4.ts";

/** Packets with this firewall mark, in the bits of the mask. */
export interface FirewallMark {
  readonly mark: number;
  readonly mask: number;
}

export interface NetworkConfig {
  /** `none` for no default bridge. */
  readonly bridge: string;
  /** Address and prefix length of the bridge, `172.17.0.1/16`; empty to choose. */
  readonly bip: string;
  /** The same for IPv6. */
  readonly bip6: string;
  /** Part of the bridge's network that containers' addresses come from; empty for all of it. */
  readonly fixedCidr: string;
  /** The same for IPv6; without an address of the bridge (`bip6`) it is the network. */
  readonly fixedCidr6: string;
  /** Addresses in the bridge's networks that containers' default routes lead to; empty for the bridge's own. */
  readonly defaultGateway: string;
  readonly defaultGateway6: string;
  /** IPv6 on the default bridge. */
  readonly ipv6: boolean;
  /** Bytes, of the default bridge. */
  readonly mtu: number;
  readonly icc: boolean;
  /** What leaves the default bridge for the outside gets the host's address. */
  readonly ipMasquerade: boolean;
  /** Host address for published ports that name none. */
  readonly ip: string;
  /** Switch forwarding on in the kernel. */
  readonly ipForward: boolean;
  /** Manage firewall rules for IPv4 (with nftables; the flag is named after its forerunner). */
  readonly iptables: boolean;
  /** The same for IPv6. */
  readonly ip6tables: boolean;
  /** Pass on what the kernel cannot translate to containers. */
  readonly userlandProxy: boolean;
  /** Published ports may be reached from outside at the container's own address too. */
  readonly allowDirectRouting: boolean;
  /** Marked packets may go into every bridge that is not internal; undefined for none. */
  readonly acceptMark: FirewallMark | undefined;
  /** Options of new networks that do not set them, by driver. */
  readonly defaultOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Networks that get no subnet of the user's get one of these. */
  readonly addressPools: Iterable<Subnet>;
  /** The same for IPv6; undefined for the range for local use that is derived from the machine. */
  readonly addressPools6: readonly Pool6[] | undefined;
}

/** Those that the daemon's flags and daemon.json give as they are. */
export const plainNetworkDefaults = {
  bridge: "gantry0",
  bip: "",
  bip6: "",
  fixedCidr: "",
  fixedCidr6: "",
  defaultGateway: "",
  defaultGateway6: "",
  ipv6: false,
  mtu: 1500,
  icc: true,
  ipMasquerade: true,
  ip: "0.0.0.0",
  ipForward: true,
  iptables: true,
  userlandProxy: true,
  allowDirectRouting: false,
} satisfies Partial<NetworkConfig>;

export const defaultNetworkConfig: NetworkConfig = {
  ...plainNetworkDefaults,
  ip6tables: true,
  acceptMark: undefined,
  defaultOptions: {},
  addressPools: defaultPools,
  addressPools6: undefined,
};

/** True when there are firewall rules to manage at all. */
export const hasFirewall = ({ iptables, ip6tables }: NetworkConfig): boolean => iptables || ip6tables;
