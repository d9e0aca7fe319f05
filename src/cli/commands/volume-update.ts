import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";

const command: Command = {
  path: "volume update",
  usage: "[OPTIONS] [VOLUME]",
  short: "Change a cluster volume, which only a swarm has",
  flags: [
    {
      name: "availability",
      type: "string",
      default: "active",
      help: 'Availability of the volume: "active", "pause" or "drain"',
    },
  ],
  args: { min: 1, max: 1 },
  async run(context, parsed) {
    await context.client.volumeInspect(parsed.positional[0]!);
    throw new CliError("Can only update cluster volumes");
  },
};

export default command;
