import type { VolumeInspect } from "../../wire/volume.ts";
import type { Command } from "../command.ts";
import { listFormatFlag } from "../flags/listing.ts";
import { compareNames } from "../output/natural-order.ts";
import { type Listing, renderListing } from "../output/table.ts";

const defaultFormat = "table {{.Driver}}\\t{{.Name}}";
const unknown = "N/A";

const listing: Listing<VolumeInspect> = {
  typeName: "*formatter.volumeContext",
  headers: {
    Availability: "AVAILABILITY",
    Driver: "DRIVER",
    Group: "GROUP",
    Labels: "LABELS",
    Links: "LINKS",
    Mountpoint: "MOUNTPOINT",
    Name: "VOLUME NAME",
    Scope: "SCOPE",
    Size: "SIZE",
    Status: "STATUS",
  },
  fields: (volume) => ({
    Availability: () => unknown,
    Driver: () => volume.Driver,
    Group: () => unknown,
    Labels: () =>
      Object.entries(volume.Labels ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .sort()
        .join(","),
    Links: () => unknown,
    Mountpoint: () => volume.Mountpoint,
    Name: () => volume.Name,
    Scope: () => volume.Scope,
    Size: () => unknown,
    Status: () => unknown,
  }),
  methods: (volume) => ({ Label: (key) => volume.Labels?.[typeof key === "string" ? key : ""] ?? "" }),
};

const command: Command = {
  path: "volume ls",
  aliases: ["volume list"],
  usage: "[OPTIONS]",
  short: "List volumes",
  flags: [
    { name: "cluster", type: "bool", help: "List cluster volumes, which only a swarm has" },
    {
      name: "filter",
      short: "f",
      type: "filter",
      help: 'Only what the filter fits, such as "dangling=true"',
    },
    listFormatFlag,
    { name: "quiet", short: "q", type: "bool", help: "Print names and nothing else" },
  ],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const volumes = await context.client.volumeList({ filters: parsed.filters("filter") });
    const asked = parsed.string("format");
    const standard = parsed.bool("quiet") ? "{{.Name}}" : defaultFormat;
    const raw = parsed.bool("quiet") ? "name: {{.Name}}" : "name: {{.Name}}\ndriver: {{.Driver}}\n";
    const format = asked === "" || asked === "table" ? standard : asked === "raw" ? raw : asked;
    const rows = (parsed.bool("cluster") ? [] : volumes).toSorted((a, b) => compareNames(a.Name, b.Name));
    context.print(renderListing(listing, rows, format));
    return 0;
  },
};

export default command;
