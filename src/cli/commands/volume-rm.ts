import type { Command } from "../command.ts";
import { forEachName } from "../each.ts";

const command: Command = {
  path: "volume rm",
  aliases: ["volume remove"],
  usage: "[OPTIONS] VOLUME [VOLUME...]",
  short: "Remove volumes with what is in them",
  flags: [{ name: "force", short: "f", type: "bool", help: "It is no error when there is no such volume" }],
  args: { min: 1 },
  run: (context, parsed) =>
    forEachName(context, parsed.positional, async (name) => {
      await context.client.volumeRemove(name, { force: parsed.bool("force") });
      return name;
    }),
};

export default command;
