/** `network create`'s subnets, ranges, gateways and auxiliary addresses put together by Docker's rules. */
import { BlockList, isIP, isIPv6 } from "node:net";
import type { IpamConfig } from "../../wire/network.ts";

export interface IpamFlags {
  readonly subnets: readonly string[];
  readonly ranges: readonly string[];
  readonly gateways: readonly string[];
  readonly auxiliary: Readonly<Record<string, string>>;
}

interface Block {
  readonly text: string;
  readonly address: string;
  readonly length: number;
  readonly family: "ipv4" | "ipv6";
  readonly list: BlockList;
}

const familyOf = (address: string): "ipv4" | "ipv6" => (isIPv6(address) ? "ipv6" : "ipv4");

function readBlock(text: string): Block {
  const [address = "", lengthText = "", ...rest] = text.split("/");
  const length = Number(lengthText);
  const most = isIPv6(address) ? 128 : 32;
  if (isIP(address) === 0 || rest.length > 0 || !/^\d{1,3}$/.test(lengthText) || length > most)
    throw new Error(`invalid CIDR address: ${text}`);
  const family = familyOf(address);
  const list = new BlockList();
  list.addSubnet(address, length, family);
  return { text, address, length, family, list };
}

const holds = (block: Block, address: string): boolean => block.list.check(address, familyOf(address));

/** Throws `Error` in Docker's words for what does not go together. */
export function ipamConfigs({ subnets, ranges, gateways, auxiliary }: IpamFlags): IpamConfig[] {
  if (subnets.length < ranges.length || subnets.length < gateways.length)
    throw new Error("every ip-range or gateway must have a corresponding subnet");
  // One by itself is for the daemon to judge.
  if (subnets.length === 1 && ranges.length + gateways.length + Object.keys(auxiliary).length === 0)
    return [{ Subnet: subnets[0]! }];
  const blocks: Block[] = [];
  for (const text of subnets) {
    const block = readBlock(text);
    if (blocks.some((other) => holds(other, block.address) || holds(block, other.address)))
      throw new Error("multiple overlapping subnet configuration is not supported");
    blocks.push(block);
  }
  const configs = new Map<Block, IpamConfig>(blocks.map((block) => [block, { Subnet: block.text }]));
  const configFor = (address: string, what: string): IpamConfig => {
    const block = blocks.find((candidate) => holds(candidate, address));
    if (block === undefined) throw new Error(`no matching subnet for ${what}`);
    return configs.get(block)!;
  };
  for (const range of ranges) {
    const config = configFor(readBlock(range).address, `range ${range}`);
    if (config.IPRange !== undefined)
      throw new Error(
        `cannot configure multiple ranges (${range}, ${config.IPRange}) on the same subnet (${config.Subnet})`,
      );
    config.IPRange = range;
  }
  for (const gateway of gateways) {
    const config = configFor(gateway, `gateway ${gateway}`);
    if (config.Gateway !== undefined)
      throw new Error(
        `cannot configure multiple gateways (${gateway}, ${config.Gateway}) for the same subnet (${config.Subnet})`,
      );
    config.Gateway = gateway;
  }
  for (const [name, address] of Object.entries(auxiliary)) {
    const config = configFor(address, `aux-address ${address}`);
    config.AuxiliaryAddresses = { ...config.AuxiliaryAddresses, [name]: address };
  }
  return [...configs.values()];
}
