import type { Command } from "../command.ts";
import { forEachName } from "../each.ts";
import { stopFlags, stopQuery } from "../stop-options.ts";

const command: Command = {
  path: "restart",
  aliases: ["container restart"],
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  short: "Stop containers and start them again",
  section: "other",
  flags: stopFlags,
  args: { min: 1 },
  completes: "containers",
  run: (context, parsed) => {
    const query = stopQuery(parsed);
    return forEachName(context, parsed.positional, async (name) => {
      await context.client.containerRestart(name, query);
      return name;
    });
  },
};

export default command;
