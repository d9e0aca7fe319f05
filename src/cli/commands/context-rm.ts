import type { Command } from "../command.ts";
import { setCurrentContext } from "../config-file.ts";
import { ContextStore } from "../context-store.ts";
import { forEachName } from "../each.ts";
import { CliError } from "../errors.ts";

const command: Command = {
  path: "context rm",
  aliases: ["context remove"],
  usage: "CONTEXT [CONTEXT...]",
  short: "Forget contexts",
  flags: [{ name: "force", short: "f", type: "bool", help: "Also the one in use" }],
  args: { min: 1 },
  async run(context, parsed) {
    const store = new ContextStore(context.configDirectory);
    const isForced = parsed.bool("force");
    return await forEachName(context, parsed.positional, async (name) => {
      if (name === "default") throw new CliError('context "default" cannot be removed');
      if (!store.has(name) && !isForced) throw new CliError(`context "${name}" does not exist`);
      if (context.config().currentContext === name) {
        if (!isForced) throw new CliError(`context "${name}" is in use, set -f flag to force remove`);
        setCurrentContext(context, undefined);
      }
      store.remove(name);
      return name;
    });
  },
};

export default command;
