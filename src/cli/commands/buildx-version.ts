import type { Command } from "../command.ts";
import { gantryVersion } from "../version-number.ts";

const command: Command = {
  path: "buildx version",
  usage: "",
  short: "Show the version of the build commands",
  flags: [],
  args: { min: 0, max: 0 },
  async run(context) {
    context.print(`gantry buildx ${gantryVersion}\n`);
    return 0;
  },
};

export default command;
