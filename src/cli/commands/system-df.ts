import {
  buildCacheUsage,
  containerUsage,
  type DiskUsageResponse,
  imageUsage,
  type KindUsage,
  volumeUsage,
} from "../../wire/disk-usage.ts";
import type { Command } from "../command.ts";
import { listFormatFlag } from "../flags/listing.ts";
import { humanSize } from "../output/humanize.ts";
import { GoStruct } from "../../base/template/values.ts";
import { diskUsageLists, diskUsageTables } from "../output/disk-usage.ts";
import { compile, execute, type Listing, renderListing, unescapeBlanks } from "../output/table.ts";

interface Row {
  readonly type: string;
  readonly usage: KindUsage<unknown>;
}

const defaultFormat = "table {{.Type}}\\t{{.TotalCount}}\\t{{.Active}}\\t{{.Size}}\\t{{.Reclaimable}}";

const listing: Listing<Row> = {
  typeName: "*formatter.diskUsageContext",
  headers: {
    Type: "TYPE",
    TotalCount: "TOTAL",
    Active: "ACTIVE",
    Size: "SIZE",
    Reclaimable: "RECLAIMABLE",
  },
  fields: ({ type, usage }) => ({
    Type: () => type,
    TotalCount: () => String(usage.TotalCount),
    Active: () => String(usage.ActiveCount),
    Size: () => humanSize(usage.TotalSize),
    Reclaimable: () => {
      const share = Math.floor((usage.Reclaimable / usage.TotalSize) * 100);
      return `${humanSize(usage.Reclaimable)}${usage.TotalSize > 0 && type !== "Build Cache" ? ` (${share}%)` : ""}`;
    },
  }),
};

const command: Command = {
  path: "system df",
  usage: "[OPTIONS]",
  short: "Show how much room images, containers and volumes take",
  flags: [
    listFormatFlag,
    { name: "verbose", short: "v", type: "bool", help: "Each image, container and volume" },
  ],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const asked = parsed.string("format");
    const format = asked === "" || asked === "table" ? defaultFormat : asked;
    if (parsed.bool("verbose")) {
      const usage = await context.client.diskUsage({ verbose: true });
      const isTable = asked === "" || asked === "table";
      context.print(isTable ? diskUsageTables(usage) : `${renderLists(usage, asked)}\n`);
      return 0;
    }
    context.print(renderListing(listing, rowsOf(await context.client.diskUsage()), format));
    return 0;
  },
};

export default command;

/** The lists by a template, `json` for all of them. */
function renderLists(usage: DiskUsageResponse, format: string): string {
  const source = unescapeBlanks(format === "json" ? "{{json .}}" : format);
  return execute(compile(source), new GoStruct("*formatter.diskUsageContext", diskUsageLists(usage)));
}

/** Of a newer daemon its sums, of an older one those of its lists. */
function rowsOf(usage: DiskUsageResponse): Row[] {
  return [
    { type: "Images", usage: usage.ImageUsage ?? imageUsage(usage.Images ?? [], usage.LayersSize ?? 0) },
    { type: "Containers", usage: usage.ContainerUsage ?? containerUsage(usage.Containers ?? []) },
    { type: "Local Volumes", usage: usage.VolumeUsage ?? volumeUsage(usage.Volumes ?? []) },
    { type: "Build Cache", usage: usage.BuildCacheUsage ?? buildCacheUsage(usage.BuildCache ?? []) },
  ];
}
