/** What the default network's bridge is to be, by the daemon's options and by what was there last. */
import { EngineError, invalidArgument } from "../base/errors.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import type { AddressRange } from "./address-pool.ts";
import { type BridgePlan, checkBridgeName, existingBridge } from "./bridge.ts";
import {
  type Address,
  type Family,
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
  type Prefix,
  prefixContains,
  prefixesOverlap,
  sizeOfPrefix,
} from "./ip.ts";
import { firstFree, parseIpv4, type Subnet, subnetOf } from "./ipv4.ts";
import type { NetworkConfig } from "./network-config.ts";
import type { NetworkRecords } from "./records.ts";
import { choosePool6, toSubnet4 } from "./subnets.ts";

/** The default network's bridge, and the addresses that belong to it. */
export interface DefaultBridge {
  readonly plan: BridgePlan;
  readonly ranges: readonly AddressRange[];
}

/** One family's address of the bridge, and the network that it is in. */
interface Plan {
  readonly address: Address;
  readonly subnet: Prefix;
}

/** What a plan is made from. */
interface Situation {
  readonly config: NetworkConfig;
  readonly records: NetworkRecords;
  /** Containers from before still use its addresses. */
  readonly hasEndpoints: boolean;
  readonly route: RouteSocket;
  /** Subnets of other networks, whose devices may not be there yet. */
  readonly others: readonly Prefix[];
}

/** What the family's options are called, for errors. */
const flags = {
  4: { bip: "--bip", fixed: "--fixed-cidr", gateway: "--default-gateway" },
  6: { bip: "--bip6", fixed: "--fixed-cidr-v6", gateway: "--default-gateway-v6" },
} as const;

function readCidr(text: string, family: Family, what: string): Plan {
  const parsed = parsePrefix(text);
  if (parsed?.prefix.family !== family)
    throw invalidArgument(`invalid CIDR address for ${what}: ${text}`, {
      hint: `write an IPv${family} address and a prefix length, as in ${family === 4 ? "172.17.0.1/16" : "fd00:17::1/64"}`,
    });
  return { address: parsed.address, subnet: parsed.prefix };
}

/** The network's first address that a host can have. */
const firstOf = (subnet: Prefix): Plan => ({
  address: { family: subnet.family, value: subnet.base + 1n },
  subnet,
});

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

function choose4(config: NetworkConfig, taken: readonly Subnet[]): Plan {
  const subnet = firstFree(config.addressPools, taken);
  if (subnet === undefined)
    throw new EngineError(
      "resourceExhausted",
      "could not find an available, non-overlapping IPv4 address pool among the defaults for the default bridge",
      { hint: "name a free network with --bip" },
    );
  return firstOf({ family: 4, base: BigInt(subnet.base), prefixLength: subnet.prefixLength });
}

/** The address that the bridge's device has already. */
function presentAddress({ route, config }: Situation, family: Family): Plan | undefined {
  const link = route.link(config.bridge);
  const present = route
    .addresses(family)
    .find(({ linkIndex, address }) => linkIndex === link?.index && !address.startsWith("fe80:"));
  return present === undefined
    ? undefined
    : readCidr(`${present.address}/${present.prefixLength}`, family, "the bridge's device");
}

/**
 * Which address the bridge gets: the one asked for; else the one it had last, unless nobody depends on it and the host
 * uses that network by now; else the one that the bridge has; else the first free pool's.
 */
function plan4(situation: Situation): Plan {
  const { config, records, hasEndpoints, route, others } = situation;
  if (config.bip !== "") return readCidr(config.bip, 4, "--bip");
  const link = route.link(config.bridge);
  const taken = [
    ...takenSubnets(route, link?.index ?? -1),
    ...others.filter(({ family }) => family === 4).map(toSubnet4),
  ];
  const record = records.bridge(config.bridge);
  if (record !== undefined) {
    const last = readCidr(record.address, 4, "the stored bridge address");
    const isFree = firstFree([toSubnet4(last.subnet)], taken) !== undefined;
    if (hasEndpoints || link !== undefined || isFree) return last;
  }
  return presentAddress(situation, 4) ?? choose4(config, taken);
}

/** The same for IPv6; undefined without it. */
function plan6(situation: Situation): Plan | undefined {
  const { config, records, hasEndpoints, others } = situation;
  if (!config.ipv6) return undefined;
  if (config.bip6 !== "") return readCidr(config.bip6, 6, "--bip6");
  const present = presentAddress(situation, 6);
  if (config.fixedCidr6 !== "") {
    const { subnet } = readCidr(config.fixedCidr6, 6, "--fixed-cidr-v6");
    // Of an administrator's bridge the network is the device's, and this a part of it.
    return present !== undefined && prefixContains(present.subnet, firstOf(subnet).address)
      ? present
      : firstOf(subnet);
  }
  const record = records.bridge(config.bridge)?.ipv6Address ?? "";
  if (record !== "") {
    const last = readCidr(record, 6, "the stored bridge address");
    if (hasEndpoints || !others.some((other) => prefixesOverlap(other, last.subnet))) return last;
  }
  return present ?? firstOf(parsePrefix(choosePool6(config.addressPools6, others))!.prefix);
}

function checkAddress({ address, subnet }: Plan): void {
  const { family, prefixLength } = subnet;
  const last = subnet.base + sizeOfPrefix(subnet) - 1n;
  const isBroadcast = family === 4 && address.value === last;
  if (prefixLength > (family === 4 ? 30 : 126) || address.value === subnet.base || isBroadcast)
    throw invalidArgument(
      `${flags[family].bip} ${formatAddress(address)}/${prefixLength} is not the address of a host in a network with room for others`,
    );
}

function allocationRange({ subnet }: Plan, config: NetworkConfig): Prefix | undefined {
  const { family } = subnet;
  const text = family === 4 ? config.fixedCidr : config.fixedCidr6;
  if (text === "") return undefined;
  const { subnet: fixed } = readCidr(text, family, flags[family].fixed);
  if (!prefixContains(subnet, { family, value: fixed.base }) || fixed.prefixLength < subnet.prefixLength)
    throw invalidArgument(
      `${flags[family].fixed} ${text} is not within the bridge's ${formatPrefix(subnet)}`,
    );
  return formatPrefix(fixed) === formatPrefix(subnet) && family === 6 ? undefined : fixed;
}

function containerGateway({ subnet }: Plan, config: NetworkConfig): Address | undefined {
  const { family } = subnet;
  const text = family === 4 ? config.defaultGateway : config.defaultGateway6;
  if (text === "") return undefined;
  const address = parseAddress(text);
  if (address?.family !== family || !prefixContains(subnet, address))
    throw invalidArgument(
      `${flags[family].gateway} ${text}: default gateway ip must be part of the network ${formatPrefix(subnet)}`,
    );
  return address;
}

function rangeFor(plan: Plan, config: NetworkConfig): AddressRange {
  checkAddress(plan);
  const range = allocationRange(plan, config);
  const gateway = containerGateway(plan, config);
  const isOther = gateway !== undefined && gateway.value !== plan.address.value;
  return {
    subnet: plan.subnet,
    gateway: plan.address,
    ...(range && { allocationRange: range }),
    ...(isOther && { containerGateway: gateway, reserved: [gateway] }),
  };
}

const cidrOf = ({ address, subnet }: Plan): string => `${formatAddress(address)}/${subnet.prefixLength}`;

/**
 * Plans the default bridge and writes down what was chosen. `hasEndpoints`: containers from before still use its
 * addresses. Throws `conflict` when a device of that name is no bridge, `invalidArgument` for options that cannot be.
 */
export function planDefaultBridge(
  config: NetworkConfig,
  records: NetworkRecords,
  hasEndpoints: boolean,
  others: readonly Prefix[],
): DefaultBridge {
  checkBridgeName(config.bridge);
  using route = RouteSocket.open();
  const before = existingBridge(route, config.bridge);
  const situation = { config, records, hasEndpoints, route, others };
  const ipv4 = plan4(situation);
  const ipv6 = plan6(situation);
  const plans = [ipv4, ...(ipv6 === undefined ? [] : [ipv6])];
  const ranges = plans.map((plan) => rangeFor(plan, config));
  const isOurs = before === undefined || records.bridge(config.bridge)?.isOurs === true;
  records.saveBridge(config.bridge, {
    address: cidrOf(ipv4),
    ipv6Address: ipv6 === undefined ? "" : cidrOf(ipv6),
    isOurs,
  });
  return {
    plan: {
      name: config.bridge,
      addresses: plans.map(({ address, subnet }) => ({
        address: formatAddress(address),
        prefixLength: subnet.prefixLength,
      })),
      mtu: config.mtu,
      icc: config.icc,
      isOurs,
      keepsAddresses: hasEndpoints,
    },
    ranges,
  };
}
