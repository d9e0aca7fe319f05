import type { Command } from "../command.ts";
import { confirmPrune, pruneFlags, pruneReport } from "../prune.ts";

const command: Command = {
  path: "network prune",
  usage: "[OPTIONS]",
  short: "Remove networks that no running container is on",
  flags: pruneFlags,
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const warning = "WARNING! This will remove all custom networks not used by at least one container.";
    await confirmPrune(context, parsed, { warning });
    const { removed } = await context.client.networkPrune({ filters: parsed.filters("filter") });
    context.print(pruneReport("Deleted Networks", removed));
    return 0;
  },
};

export default command;
