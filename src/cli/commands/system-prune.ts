import type { Command, CommandContext } from "../command.ts";
import { CliError } from "../errors.ts";
import { confirm, imageLines, pruneReport, reclaimedLine } from "../prune.ts";
import type { ParsedArguments } from "../parser.ts";

const command: Command = {
  path: "system prune",
  usage: "[OPTIONS]",
  short: "Remove what nobody uses: containers, networks, images, build cache",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Also images with a name that no container was made of" },
    { name: "filter", type: "filter", help: 'Only what the filter fits, such as "label=x" or "until=24h"' },
    { name: "force", short: "f", type: "bool", help: "Do not ask" },
    { name: "volumes", type: "bool", help: "Also volumes without a name that no container has" },
  ],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const filters = parsed.filters("filter");
    const all = parsed.bool("all");
    const volumes = parsed.bool("volumes");
    if (volumes && filters["until"] !== undefined)
      throw new CliError('ERROR: The "until" filter is not supported with "--volumes"');
    if (!parsed.bool("force") && !(await confirm(context, question(parsed)))) return 0;
    const bytes = [
      await pruneContainers(context, filters),
      await pruneNetworks(context, filters),
      ...(volumes ? [await pruneVolumes(context, filters)] : []),
      await pruneImages(context, filters, all),
      await pruneBuildCache(context, filters, all),
    ];
    context.print(reclaimedLine(bytes.reduce((sum, value) => sum + value, 0)));
    return 0;
  },
};

export default command;

type Filters = Readonly<Record<string, readonly string[]>>;

function question(parsed: ParsedArguments): string {
  const all = parsed.bool("all");
  const kinds = [
    "all stopped containers",
    "all networks not used by at least one container",
    ...(parsed.bool("volumes") ? ["all anonymous volumes not used by at least one container"] : []),
    all ? "all images without at least one container associated to them" : "all dangling images",
    all ? "all build cache" : "unused build cache",
  ];
  const filters = Object.entries(parsed.filters("filter"))
    .flatMap(([key, values]) => values.map((value) => `${key}=${value}`))
    .sort();
  const list = (lines: readonly string[]): string => lines.map((line) => `\n  - ${line}`).join("");
  const filtered =
    filters.length === 0 ? "" : `\n  Items to be pruned will be filtered with:${list(filters)}\n`;
  return `WARNING! This will remove:${list(kinds)}\n${filtered}\nAre you sure you want to continue? [y/N] `;
}

async function pruneContainers(context: CommandContext, filters: Filters): Promise<number> {
  const { removed, reclaimedBytes } = await context.client.containerPrune({ filters });
  context.print(pruneReport("Deleted Containers", removed));
  return reclaimedBytes;
}

async function pruneNetworks(context: CommandContext, filters: Filters): Promise<number> {
  const { removed } = await context.client.networkPrune({ filters });
  context.print(pruneReport("Deleted Networks", removed));
  return 0;
}

async function pruneVolumes(context: CommandContext, filters: Filters): Promise<number> {
  const { removed, reclaimedBytes } = await context.client.volumePrune({ filters });
  context.print(pruneReport("Deleted Volumes", removed));
  return reclaimedBytes;
}

async function pruneImages(context: CommandContext, filters: Filters, all: boolean): Promise<number> {
  const dangling = [all ? "false" : "true"];
  const { removed, reclaimedBytes } = await context.client.imagePrune({ filters: { ...filters, dangling } });
  context.print(pruneReport("Deleted Images", imageLines(removed)));
  return reclaimedBytes;
}

async function pruneBuildCache(context: CommandContext, filters: Filters, all: boolean): Promise<number> {
  const { removed, reclaimedBytes } = await context.client.buildCachePrune({ filters, all });
  context.print(pruneReport("Deleted build cache objects", removed));
  return reclaimedBytes;
}
