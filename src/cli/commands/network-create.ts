import type { NetworkCreateRequest } from "../../wire/network.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import type { FlagSpec } from "../flags.ts";
import type { ParsedArguments } from "../parser.ts";
import { ipamConfigs } from "../run/ipam.ts";
import { checkLabel } from "../run/values.ts";

const flags: readonly FlagSpec[] = [
  {
    name: "attachable",
    type: "bool",
    help: "Kept as a mark; containers may be attached to every network here",
  },
  {
    name: "aux-address",
    type: "map",
    placeholder: "NAME=ADDRESS",
    help: "An address that somebody else has: no container gets it",
  },
  {
    name: "config-from",
    type: "string",
    placeholder: "NETWORK",
    help: "Take the configuration of another network",
  },
  { name: "config-only", type: "bool", help: "Only keep the configuration, for --config-from of others" },
  {
    name: "driver",
    short: "d",
    type: "string",
    default: "bridge",
    help: "How the network is made: bridge, macvlan or ipvlan",
  },
  { name: "gateway", type: "strings", placeholder: "ADDRESS", help: "The host's address in a subnet" },
  {
    name: "ingress",
    type: "bool",
    help: "A swarm's network for published ports",
    refused: "there is no swarm mode",
  },
  { name: "internal", type: "bool", help: "No way out and no way in" },
  {
    name: "ip-range",
    type: "strings",
    placeholder: "CIDR",
    help: "Part of a subnet that containers get their addresses from",
  },
  {
    name: "ipam-driver",
    type: "string",
    default: "default",
    help: "Who gives addresses: default, or null for nobody",
  },
  { name: "ipam-opt", type: "map", placeholder: "KEY=VALUE", help: "Option of that" },
  { name: "ipv4", type: "bool", default: true, help: "Give containers IPv4 addresses" },
  { name: "ipv6", type: "bool", help: "Give containers IPv6 addresses" },
  { name: "label", type: "list", placeholder: "KEY=VALUE", help: "Set a label", validate: checkLabel },
  {
    name: "opt",
    short: "o",
    type: "map",
    placeholder: "KEY=VALUE",
    help: "Option of the driver, such as com.docker.network.bridge.name=br0 or parent=eth0",
  },
  { name: "scope", type: "string", help: "Only local is served" },
  {
    name: "subnet",
    type: "strings",
    placeholder: "CIDR",
    help: "Addresses of the network (default: a free pool's)",
  },
];

const command: Command = {
  path: "network create",
  usage: "[OPTIONS] NETWORK",
  short: "Make a network",
  examples: [
    ["gantry network create back", "A network whose containers find each other by name"],
    [
      "gantry network create --internal --subnet 10.5.0.0/24 vault",
      "Without a way out, with addresses of your own choice",
    ],
    [
      "gantry network create -d macvlan -o parent=eth0 --subnet 192.168.1.0/24 lan",
      "Containers in the host's own network",
    ],
  ],
  flags,
  args: { min: 1, max: 1 },
  async run(context, parsed) {
    const { Id, Warning } = await context.client.networkCreate(request(parsed));
    if (Warning !== "") context.printError(`WARNING: ${Warning}`);
    context.print(`${Id}\n`);
    return 0;
  },
};

function request(parsed: ParsedArguments): NetworkCreateRequest {
  const from = parsed.string("config-from");
  const labels = parsed.list("label").map((label): [string, string] => {
    const at = label.indexOf("=");
    return at < 0 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)];
  });
  return {
    Name: parsed.positional[0]!,
    Driver: parsed.string("driver"),
    Scope: parsed.string("scope"),
    ...(parsed.changed("ipv4") && { EnableIPv4: parsed.bool("ipv4") }),
    ...(parsed.changed("ipv6") && { EnableIPv6: parsed.bool("ipv6") }),
    IPAM: { Driver: parsed.string("ipam-driver"), Options: parsed.map("ipam-opt"), Config: ipam(parsed) },
    Internal: parsed.bool("internal"),
    Attachable: parsed.bool("attachable"),
    ConfigOnly: parsed.bool("config-only"),
    ConfigFrom: from === "" ? null : { Network: from },
    Options: parsed.map("opt"),
    Labels: Object.fromEntries(labels),
  };
}

function ipam(parsed: ParsedArguments): ReturnType<typeof ipamConfigs> {
  try {
    return ipamConfigs({
      subnets: parsed.list("subnet"),
      ranges: parsed.list("ip-range"),
      gateways: parsed.list("gateway"),
      auxiliary: parsed.map("aux-address"),
    });
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}

export default command;
