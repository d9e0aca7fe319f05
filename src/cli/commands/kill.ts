import type { Command } from "../command.ts";
import { forEachName } from "../each.ts";

const command: Command = {
  path: "kill",
  aliases: ["container kill"],
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  short: "Send a signal to containers, by default the one that ends them at once",
  section: "other",
  flags: [{ name: "signal", short: "s", type: "string", help: "Signal to send; KILL when none is given" }],
  args: { min: 1 },
  completes: "running-containers",
  run: (context, parsed) => {
    const signal = parsed.string("signal");
    return forEachName(context, parsed.positional, async (name) => {
      await context.client.containerKill(name, signal === "" ? undefined : signal);
      return name;
    });
  },
};

export default command;
