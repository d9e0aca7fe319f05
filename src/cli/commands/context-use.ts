import type { Command } from "../command.ts";
import { setCurrentContext } from "../config-file.ts";
import { checkContextName, ContextStore } from "../context-store.ts";

const command: Command = {
  path: "context use",
  usage: "CONTEXT",
  short: "Talk to a context's daemon from now on",
  flags: [],
  args: { min: 1, max: 1 },
  async run(context, parsed) {
    const name = parsed.positional[0]!;
    if (name !== "default") {
      checkContextName(name);
      new ContextStore(context.configDirectory).get(name);
    }
    setCurrentContext(context, name === "default" ? undefined : name);
    context.print(`${name}\n`);
    context.printError(`Current context is now "${name}"`);
    const variable = ["GANTRY_HOST", "DOCKER_HOST"].find((key) => context.env[key]);
    if (name !== "default" && variable !== undefined)
      context.printError(
        `Warning: ${variable} environment variable overrides the active context. To use "${name}", either set the global --context flag, or unset ${variable} environment variable.`,
      );
    return 0;
  },
};

export default command;
