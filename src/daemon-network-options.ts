/** The daemon's options of networking: names and meaning are dockerd's. */
import { isIP, isIPv4, isIPv6 } from "node:net";
import { invalidArgument } from "./base/errors.ts";
import { formatPrefix, parsePrefix, type Prefix } from "./network/ip.ts";
import { cutPool, defaultPools, joinPools } from "./network/ipv4.ts";
import { type FirewallMark, type NetworkConfig, plainNetworkDefaults } from "./network/network-config.ts";
import type { Pool6 } from "./network/subnets.ts";

/** Networks, and the length of the prefix of those that they are cut into. */
interface AddressPool {
  base: string;
  size: number;
}

export interface DaemonNetworkOptions {
  bridge: string;
  bip: string;
  bip6: string;
  fixedCidr: string;
  fixedCidr6: string;
  defaultGateway: string;
  defaultGateway6: string;
  ipv6: boolean;
  mtu: number;
  defaultAddressPools: AddressPool[];
  /** By driver. */
  defaultNetworkOptions: Record<string, Record<string, string>>;
  dns: string[];
  dnsOptions: string[];
  dnsSearch: string[];
  /** What `host-gateway` stands for; empty for the default bridge's addresses. */
  hostGatewayIps: string[];
  icc: boolean;
  ip: string;
  ipForward: boolean;
  ipForwardNoDrop: boolean;
  ipMasquerade: boolean;
  iptables: boolean;
  /** Undefined to do as {@link iptables} says. */
  ip6tables: boolean | undefined;
  userlandProxy: boolean;
  allowDirectRouting: boolean;
  /** `MARK` or `MARK/MASK`; empty for none. */
  bridgeAcceptMark: string;
  /** Bytes; for networks of swarms, of which there are none. */
  controlPlaneMtu: number;
}

export const defaultDaemonNetworkOptions: DaemonNetworkOptions = {
  ...plainNetworkDefaults,
  defaultAddressPools: [],
  defaultNetworkOptions: {},
  dns: [],
  dnsOptions: [],
  dnsSearch: [],
  hostGatewayIps: [],
  ipForwardNoDrop: false,
  ip6tables: undefined,
  bridgeAcceptMark: "",
  controlPlaneMtu: 1500,
};

type NetworkRule = readonly [
  option: keyof DaemonNetworkOptions,
  flag: string,
  kind: "string" | "boolean" | "number" | "list" | "pools" | "maps",
  key?: string,
];

/** Option, flag, kind of its value, and its key in daemon.json where that is another one. */
export const networkOptionRules: readonly NetworkRule[] = [
  ["bridge", "bridge", "string"],
  ["bip", "bip", "string"],
  ["bip6", "bip6", "string"],
  ["fixedCidr", "fixed-cidr", "string"],
  ["fixedCidr6", "fixed-cidr-v6", "string"],
  ["defaultGateway", "default-gateway", "string"],
  ["defaultGateway6", "default-gateway-v6", "string"],
  ["ipv6", "ipv6", "boolean"],
  ["mtu", "mtu", "number"],
  ["defaultAddressPools", "default-address-pool", "pools", "default-address-pools"],
  ["defaultNetworkOptions", "default-network-opt", "maps", "default-network-opts"],
  ["dns", "dns", "list"],
  ["dnsOptions", "dns-opt", "list", "dns-opts"],
  ["dnsSearch", "dns-search", "list"],
  ["hostGatewayIps", "host-gateway-ip", "list", "host-gateway-ips"],
  ["icc", "icc", "boolean"],
  ["ip", "ip", "string"],
  ["ipForward", "ip-forward", "boolean"],
  ["ipForwardNoDrop", "ip-forward-no-drop", "boolean"],
  ["ipMasquerade", "ip-masq", "boolean"],
  ["iptables", "iptables", "boolean"],
  ["ip6tables", "ip6tables", "boolean"],
  ["userlandProxy", "userland-proxy", "boolean"],
  ["allowDirectRouting", "allow-direct-routing", "boolean"],
  ["bridgeAcceptMark", "bridge-accept-fwmark", "string"],
  ["controlPlaneMtu", "network-control-plane-mtu", "number"],
];

/** `MARK` or `MARK/MASK`, decimal or 0x… (moby, daemon/config: `bridge-accept-fwmark`). Throws `invalidArgument`. */
function parseMark(text: string): FirewallMark | undefined {
  if (text === "") return undefined;
  const [markText = "", maskText = "0xffffffff", ...rest] = text.split("/");
  const read = (part: string): number => (/^(?:0x[0-9a-f]+|\d+)$/i.test(part) ? Number(part) : Number.NaN);
  const mark = read(markText);
  const mask = read(maskText);
  const isValue = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
  if (rest.length > 0 || !isValue(mark) || !isValue(mask))
    throw invalidArgument(`invalid firewall mark: "${text}" (want MARK or MARK/MASK, as in 0x1/0x3)`);
  return { mark, mask };
}

/** `base=10.0.0.0/8,size=24` */
export function parseAddressPool(text: string): AddressPool {
  const fields = new Map(
    text.split(",").map((field): [string, string] => {
      const at = field.indexOf("=");
      return [field.slice(0, Math.max(at, 0)).trim().toLowerCase(), field.slice(at + 1).trim()];
    }),
  );
  const base = fields.get("base");
  const size = fields.get("size");
  if (fields.size !== 2 || base === undefined || size === undefined || !/^\d{1,3}$/.test(size))
    throw invalidArgument(
      `invalid default address pool "${text}": want base=CIDR,size=LENGTH, as in base=10.0.0.0/8,size=24`,
    );
  return { base, size: Number(size) };
}

/** `DRIVER=KEY=VALUE`, as in `bridge=com.docker.network.driver.mtu=1400`, several of them. */
export function parseNetworkOptions(entries: readonly string[]): Record<string, Record<string, string>> {
  const found: Record<string, Record<string, string>> = {};
  for (const entry of entries) {
    const match = /^([^=]+)=([^=]+)=(.*)$/.exec(entry);
    if (match === null)
      throw invalidArgument(
        `invalid default network option "${entry}": want DRIVER=KEY=VALUE, as in bridge=com.docker.network.driver.mtu=1400`,
      );
    const [, driver = "", key = "", value = ""] = match;
    found[driver] = { ...found[driver], [key]: value };
  }
  return found;
}

function cutIpv6({ base, size }: AddressPool, prefix: Prefix): Pool6 {
  if (
    formatPrefix(prefix) !== formatPrefix(parsePrefix(base)!.prefix) ||
    parsePrefix(base)!.address.value !== prefix.base
  )
    throw invalidArgument(`invalid default address pool: ${base} should be ${formatPrefix(prefix)}`);
  if (!Number.isInteger(size) || size < prefix.prefixLength || size > 126)
    throw invalidArgument(
      `invalid default address pool: the size of ${base} is ${size} (want ${prefix.prefixLength} to 126, the length of its networks' prefix)`,
    );
  return { range: prefix, prefixLength: size };
}

type Pools = Pick<NetworkConfig, "addressPools" | "addressPools6">;

/** The pools of both families, each in the order given; a family without one has the default. Throws `invalidArgument`. */
function cutPools(pools: readonly AddressPool[]): Pools {
  const cut4: ReturnType<typeof cutPool>[] = [];
  const cut6: Pool6[] = [];
  for (const pool of pools) {
    const parsed = parsePrefix(pool.base);
    if (parsed?.prefix.family === 6) cut6.push(cutIpv6(pool, parsed.prefix));
    else cut4.push(cutPool(pool));
  }
  return {
    addressPools: cut4.length === 0 ? defaultPools : joinPools(cut4),
    addressPools6: cut6.length === 0 ? undefined : cut6,
  };
}

function requireAddresses(addresses: readonly string[], isAddress: (text: string) => boolean): void {
  for (const address of addresses)
    if (!isAddress(address)) throw invalidArgument(`${address} is not an ip address`);
}

/** Throws `invalidArgument` for values that make no sense, before anything is set up. */
export function checkNetworkOptions(options: DaemonNetworkOptions): void {
  if (!Number.isInteger(options.mtu) || options.mtu < 68 || options.mtu > 65535)
    throw invalidArgument(`invalid MTU: ${options.mtu} (want 68 to 65535)`);
  cutPools(options.defaultAddressPools);
  parseMark(options.bridgeAcceptMark);
  const given = (text: string): string[] => (text === "" ? [] : [text]);
  requireAddresses([...options.dns, ...options.hostGatewayIps, options.ip], (text) => isIP(text) !== 0);
  requireAddresses(given(options.defaultGateway), isIPv4);
  requireAddresses(given(options.defaultGateway6), isIPv6);
  for (const isFamily of [isIPv4, isIPv6])
    if (options.hostGatewayIps.filter(isFamily).length > 1)
      throw invalidArgument("only one IPv4 and one IPv6 address is allowed for host-gateway-ips");
}

/** What the network room gets of the options. */
export function networkConfig(options: DaemonNetworkOptions): NetworkConfig {
  return {
    ...options,
    ip6tables: options.ip6tables ?? options.iptables,
    acceptMark: parseMark(options.bridgeAcceptMark),
    defaultOptions: options.defaultNetworkOptions,
    ...cutPools(options.defaultAddressPools),
  };
}
