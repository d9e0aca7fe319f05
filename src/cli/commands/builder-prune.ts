import type { Command } from "../command.ts";
import { confirmCachePrune, pruneFlags, pruneReport, reclaimedLine } from "../prune.ts";

const command: Command = {
  path: "builder prune",
  usage: "[OPTIONS]",
  short: "Remove build cache",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Also what images have, not just what is left over" },
    { name: "keep-storage", type: "bytes", help: "How much of the cache to keep" },
    ...pruneFlags,
  ],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    await confirmCachePrune(context, parsed);
    const { removed, reclaimedBytes } = await context.client.buildCachePrune({
      filters: parsed.filters("filter"),
      all: parsed.bool("all"),
      ...(parsed.changed("keep-storage") ? { keepBytes: parsed.number("keep-storage") } : {}),
    });
    context.print(pruneReport("Deleted build cache objects", removed) + reclaimedLine(reclaimedBytes));
    return 0;
  },
};

export default command;
