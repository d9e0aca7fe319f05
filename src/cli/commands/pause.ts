import type { Command } from "../command.ts";
import { forEachName } from "../each.ts";

const command: Command = {
  path: "pause",
  aliases: ["container pause"],
  usage: "CONTAINER [CONTAINER...]",
  short: "Pause all processes of one or more containers",
  section: "other",
  flags: [],
  args: { min: 1 },
  completes: "running-containers",
  run: (context, parsed) =>
    forEachName(context, parsed.positional, async (name) => {
      await context.client.containerPause(name);
      return name;
    }),
};

export default command;
