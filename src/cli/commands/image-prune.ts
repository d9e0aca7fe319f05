import type { Command } from "../command.ts";
import { confirmPrune, imageLines, pruneFlags, pruneReport, reclaimedLine } from "../prune.ts";

const command: Command = {
  path: "image prune",
  usage: "[OPTIONS]",
  short: "Remove images that nobody uses",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Also images with a name that no container was made of" },
    ...pruneFlags,
  ],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const all = parsed.bool("all");
    const warning = all
      ? "WARNING! This will remove all images without at least one container associated to them."
      : "WARNING! This will remove all dangling images.";
    await confirmPrune(context, parsed, { warning });
    const { removed, reclaimedBytes } = await context.client.imagePrune({
      filters: { ...parsed.filters("filter"), dangling: [all ? "false" : "true"] },
    });
    context.print(pruneReport("Deleted Images", imageLines(removed)) + reclaimedLine(reclaimedBytes));
    return 0;
  },
};

export default command;
