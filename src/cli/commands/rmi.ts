import { isNotFound } from "../../client/errors.ts";
import type { Command } from "../command.ts";
import { errorLine } from "../each.ts";

const command: Command = {
  path: "rmi",
  aliases: ["image rm", "image remove"],
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  short: "Remove images, or names of images",
  section: "other",
  flags: [
    { name: "force", short: "f", type: "bool", help: "Remove it though containers were made from it" },
    { name: "no-prune", type: "bool", help: "Keep parents without a name" },
    { name: "platform", type: "strings", help: "Remove only these platforms (linux/amd64)" },
  ],
  args: { min: 1 },
  completes: "images",
  async run(context, parsed) {
    const force = parsed.bool("force");
    const platforms = parsed.list("platform");
    let isFatal = false;
    const errors: string[] = [];
    for (const name of parsed.positional) {
      try {
        const entries = await context.client.imageRemove(name, {
          force,
          noPrune: parsed.bool("no-prune"),
          ...(platforms.length === 0 ? {} : { platforms }),
        });
        for (const entry of entries) {
          context.print("Deleted" in entry ? `Deleted: ${entry.Deleted}\n` : `Untagged: ${entry.Untagged}\n`);
        }
      } catch (error) {
        errors.push(errorLine(error));
        // What is not there needs no force.
        if (!force || !isNotFound(error)) isFatal = true;
      }
    }
    for (const line of errors) context.printError(line);
    return isFatal ? 1 : 0;
  },
};

export default command;
