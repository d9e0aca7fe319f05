import type { Command } from "../command.ts";

const command: Command = {
  path: "context show",
  usage: "",
  short: "Print the name of the context in use",
  flags: [],
  args: { min: 0, max: 0 },
  async run(context) {
    context.print(`${context.contextName()}\n`);
    return 0;
  },
};

export default command;
