import type { Command } from "../command.ts";
import { errorLine } from "../each.ts";
import { CliError } from "../errors.ts";

const command: Command = {
  path: "rename",
  aliases: ["container rename"],
  usage: "CONTAINER NEW_NAME",
  short: "Give a container another name",
  section: "other",
  flags: [],
  args: { min: 2, max: 2 },
  completes: "containers",
  async run(context, parsed) {
    const [oldName = "", newName = ""] = parsed.positional.map((name) => name.trim());
    if (oldName === "" || newName === "") throw new CliError("Error: Neither old nor new names may be empty");
    try {
      await context.client.containerRename(oldName, newName);
    } catch (error) {
      context.printError(errorLine(error));
      throw new CliError(`Error: failed to rename container named ${oldName}`, 1, { cause: error });
    }
    return 0;
  },
};

export default command;
