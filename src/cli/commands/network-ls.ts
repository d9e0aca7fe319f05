import type { NetworkInspect } from "../../wire/network.ts";
import type { Command } from "../command.ts";
import { listFormatFlag, noTruncFlag } from "../flags/listing.ts";
import { goTime, truncateId } from "../output/humanize.ts";
import { compareNames } from "../output/natural-order.ts";
import { type Listing, renderListing } from "../output/table.ts";

const defaultFormat = "table {{.ID}}\\t{{.Name}}\\t{{.Driver}}\\t{{.Scope}}";

interface Row {
  readonly network: NetworkInspect;
  readonly isTruncated: boolean;
}

const listing: Listing<Row> = {
  typeName: "*formatter.networkContext",
  headers: {
    CreatedAt: "CREATED AT",
    Driver: "DRIVER",
    ID: "NETWORK ID",
    IPv4: "IPV4",
    IPv6: "IPV6",
    Internal: "INTERNAL",
    Labels: "LABELS",
    Name: "NAME",
    Scope: "SCOPE",
  },
  fields: ({ network, isTruncated }) => ({
    CreatedAt: () => goTime(network.Created),
    Driver: () => network.Driver,
    ID: () => (isTruncated ? truncateId(network.Id) : network.Id),
    IPv4: () => String(network.EnableIPv4 ?? true),
    IPv6: () => String(network.EnableIPv6),
    Internal: () => String(network.Internal),
    Labels: () =>
      Object.entries(network.Labels ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .sort()
        .join(","),
    Name: () => network.Name,
    Scope: () => network.Scope,
  }),
  methods: ({ network }) => ({ Label: (key) => network.Labels?.[typeof key === "string" ? key : ""] ?? "" }),
};

const command: Command = {
  path: "network ls",
  aliases: ["network list"],
  usage: "[OPTIONS]",
  short: "List networks",
  flags: [
    {
      name: "filter",
      short: "f",
      type: "filter",
      help: 'Only what the filter fits, such as "driver=bridge", "type=custom" or "dangling=true"',
    },
    listFormatFlag,
    noTruncFlag,
    { name: "quiet", short: "q", type: "bool", help: "Print IDs and nothing else" },
  ],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const networks = await context.client.networkList({ filters: parsed.filters("filter") });
    const asked = parsed.string("format");
    const standard = parsed.bool("quiet") ? "{{.ID}}" : defaultFormat;
    const format = asked === "" || asked === "table" ? standard : asked;
    const isTruncated = !parsed.bool("no-trunc");
    const rows = networks
      .toSorted((a, b) => compareNames(a.Name, b.Name))
      .map((network) => ({ network, isTruncated }));
    context.print(renderListing(listing, rows, format));
    return 0;
  },
};

export default command;
