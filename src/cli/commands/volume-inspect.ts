import type { Command } from "../command.ts";
import { singleFormatFlag } from "../flags/listing.ts";
import { inspectAll } from "../output/inspect-lookup.ts";
import { inspectPrinter } from "../output/inspect.ts";

const command: Command = {
  path: "volume inspect",
  usage: "[OPTIONS] VOLUME [VOLUME...]",
  short: "Show everything about volumes",
  flags: [singleFormatFlag],
  args: { min: 1 },
  run: (context, parsed) =>
    inspectAll(context, parsed.positional, {
      kinds: ["volume"],
      printer: inspectPrinter(parsed.string("format")),
    }),
};

export default command;
