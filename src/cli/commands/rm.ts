import { isNotFound } from "../../client/errors.ts";
import type { Command } from "../command.ts";
import { containerName, errorLine, forEachName } from "../each.ts";

const command: Command = {
  path: "rm",
  aliases: ["container rm", "container remove"],
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  short: "Remove containers with what they have written",
  section: "other",
  flags: [
    { name: "force", short: "f", type: "bool", help: "Kill the container first when it runs" },
    { name: "link", short: "l", type: "bool", help: "Remove the link of this name" },
    { name: "volumes", short: "v", type: "bool", help: "Remove the container's anonymous volumes" },
  ],
  args: { min: 1 },
  completes: "containers",
  run: (context, parsed) => {
    const query = { force: parsed.bool("force"), link: parsed.bool("link"), volumes: parsed.bool("volumes") };
    return forEachName(context, parsed.positional, async (name) => {
      try {
        await context.client.containerRemove(containerName(name), query);
      } catch (error) {
        // What is not there needs no force.
        if (!query.force || !isNotFound(error)) throw error;
        context.printError(errorLine(error));
        return undefined;
      }
      return name;
    });
  },
};

export default command;
