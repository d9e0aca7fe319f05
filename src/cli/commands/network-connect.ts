import type { EndpointSettings } from "../../wire/container.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";
import { checkLink } from "../run/values.ts";

const command: Command = {
  path: "network connect",
  usage: "[OPTIONS] NETWORK CONTAINER",
  short: "Connect a container to a network, also while it runs",
  flags: [
    { name: "alias", type: "strings", placeholder: "NAME", help: "One more name for it on this network" },
    { name: "driver-opt", type: "strings", placeholder: "KEY=VALUE", help: "Option of the connection" },
    {
      name: "gw-priority",
      type: "int",
      help: "The network with the highest gives the container its default route; may be negative",
    },
    { name: "ip", type: "string", placeholder: "ADDRESS", help: "Its IPv4 address there" },
    { name: "ip6", type: "string", placeholder: "ADDRESS", help: "Its IPv6 address there" },
    {
      name: "link",
      type: "list",
      placeholder: "CONTAINER:ALIAS",
      help: "Another container's name, as this one alone sees it",
      validate: checkLink,
    },
    {
      name: "link-local-ip",
      type: "strings",
      placeholder: "ADDRESS",
      help: "One more address, of the link-local kind",
    },
  ],
  args: { min: 2, max: 2 },
  completes: "networks-then-containers",
  async run(context, parsed) {
    const [network = "", container = ""] = parsed.positional;
    await context.client.networkConnect(network, container, { endpoint: settings(parsed) });
    return 0;
  },
};

function settings(parsed: ParsedArguments): EndpointSettings {
  const options = parsed.list("driver-opt").map((entry): [string, string] => {
    const at = entry.indexOf("=");
    if (at < 0) throw new CliError("invalid key/value pair format in driver options");
    return [entry.slice(0, at), entry.slice(at + 1)];
  });
  return {
    IPAMConfig: {
      ...(parsed.changed("ip") && { IPv4Address: parsed.string("ip") }),
      ...(parsed.changed("ip6") && { IPv6Address: parsed.string("ip6") }),
      ...(parsed.changed("link-local-ip") && { LinkLocalIPs: [...parsed.list("link-local-ip")] }),
    },
    Links: [...parsed.list("link")],
    Aliases: [...parsed.list("alias")],
    DriverOpts: Object.fromEntries(options),
    GwPriority: parsed.number("gw-priority"),
  };
}

export default command;
