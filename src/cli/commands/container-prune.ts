import type { Command } from "../command.ts";
import { confirmPrune, pruneFlags, pruneReport, reclaimedLine } from "../prune.ts";

const command: Command = {
  path: "container prune",
  usage: "[OPTIONS]",
  short: "Remove all containers that do not run",
  flags: pruneFlags,
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const warning = "WARNING! This will remove all stopped containers.";
    await confirmPrune(context, parsed, { warning });
    const { removed, reclaimedBytes } = await context.client.containerPrune({
      filters: parsed.filters("filter"),
    });
    context.print(pruneReport("Deleted Containers", removed) + reclaimedLine(reclaimedBytes));
    return 0;
  },
};

export default command;
