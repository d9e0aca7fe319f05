import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { confirmPrune, pruneFlags, pruneReport, reclaimedLine } from "../prune.ts";

const command: Command = {
  path: "volume prune",
  usage: "[OPTIONS]",
  short: "Remove volumes that no container has",
  flags: [{ name: "all", short: "a", type: "bool", help: "Also volumes with a name" }, ...pruneFlags],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const all = parsed.bool("all");
    if (all && parsed.filters("filter")["all"] !== undefined)
      throw new CliError("conflicting options: cannot specify both --all and --filter all=1");
    const warning = all
      ? "WARNING! This will remove all local volumes not used by at least one container."
      : "WARNING! This will remove anonymous local volumes not used by at least one container.";
    await confirmPrune(context, parsed, { warning });
    const { removed, reclaimedBytes } = await context.client.volumePrune({
      filters: { ...parsed.filters("filter"), ...(all ? { all: ["true"] } : {}) },
    });
    context.print(pruneReport("Deleted Volumes", removed) + reclaimedLine(reclaimedBytes));
    return 0;
  },
};

export default command;
