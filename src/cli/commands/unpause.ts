import type { Command } from "../command.ts";
import { forEachName } from "../each.ts";

const command: Command = {
  path: "unpause",
  aliases: ["container unpause"],
  usage: "CONTAINER [CONTAINER...]",
  short: "Let the processes of one or more paused containers go on",
  section: "other",
  flags: [],
  args: { min: 1 },
  completes: "running-containers",
  run: (context, parsed) =>
    forEachName(context, parsed.positional, async (name) => {
      await context.client.containerUnpause(name);
      return name;
    }),
};

export default command;
