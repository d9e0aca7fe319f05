import { openArchiveOutput } from "../archive-output.ts";
import type { Command } from "../command.ts";

const command: Command = {
  path: "export",
  aliases: ["container export"],
  usage: "[OPTIONS] CONTAINER",
  short: "Write a container's file system as a tar archive (to STDOUT without --output)",
  section: "other",
  flags: [
    {
      name: "output",
      short: "o",
      type: "string",
      placeholder: "FILE",
      help: "Write to a file instead of STDOUT",
    },
  ],
  args: { min: 1, max: 1 },
  completes: "containers",
  async run(context, parsed) {
    const output = openArchiveOutput(parsed.string("output"), "export container");
    await output.write(await context.client.containerExport(parsed.positional[0]!));
    return 0;
  },
};

export default command;
