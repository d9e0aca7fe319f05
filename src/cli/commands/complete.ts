import type { Command } from "../command.ts";
import { complete } from "../completion.ts";

/** Asked by the scripts of `completion`; prints a candidate a line, and `:files` when names of files fit too. */
const command: Command = {
  path: "__complete",
  usage: "-- WORD...",
  short: "Complete a command line for a shell",
  hidden: true,
  args: { min: 0 },
  flags: [],
  stopAtFirstArgument: true,
  async run(context, parsed) {
    const { candidates, files } = await complete(context.client, parsed.positional);
    const lines = candidates.map(({ value, help }) => (help === undefined ? value : `${value}\t${help}`));
    if (files) lines.push(":files");
    context.print(lines.map((line) => `${line}\n`).join(""));
    return 0;
  },
};

export default command;
