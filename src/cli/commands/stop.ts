import type { Command } from "../command.ts";
import { forEachName } from "../each.ts";
import { stopFlags, stopQuery } from "../stop-options.ts";

const command: Command = {
  path: "stop",
  aliases: ["container stop"],
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  short: "Ask containers to end, and end them after a while",
  section: "other",
  flags: stopFlags,
  args: { min: 1 },
  completes: "running-containers",
  run: (context, parsed) => {
    const query = stopQuery(parsed);
    return forEachName(context, parsed.positional, async (name) => {
      await context.client.containerStop(name, query);
      return name;
    });
  },
};

export default command;
