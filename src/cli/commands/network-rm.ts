import { isNotFound } from "../../client/errors.ts";
import type { Command } from "../command.ts";
import { forEachName } from "../each.ts";

const command: Command = {
  path: "network rm",
  aliases: ["network remove"],
  usage: "[OPTIONS] NETWORK [NETWORK...]",
  short: "Remove networks that no running container is on",
  flags: [{ name: "force", short: "f", type: "bool", help: "It is no error when there is no such network" }],
  args: { min: 1 },
  completes: "networks",
  run: (context, parsed) =>
    forEachName(context, parsed.positional, async (name) => {
      try {
        await context.client.networkRemove(name);
        return name;
      } catch (error) {
        if (parsed.bool("force") && isNotFound(error)) return undefined;
        throw error;
      }
    }),
};

export default command;
