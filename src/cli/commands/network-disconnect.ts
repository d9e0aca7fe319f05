import type { Command } from "../command.ts";

const command: Command = {
  path: "network disconnect",
  usage: "[OPTIONS] NETWORK CONTAINER",
  short: "Take a container from a network, also while it runs",
  flags: [
    {
      name: "force",
      short: "f",
      type: "bool",
      help: "Also take what is left of a container that is gone, which is nothing here",
    },
  ],
  args: { min: 2, max: 2 },
  completes: "networks-then-containers",
  async run(context, parsed) {
    const [network = "", container = ""] = parsed.positional;
    await context.client.networkDisconnect(network, container, { force: parsed.bool("force") });
    return 0;
  },
};

export default command;
