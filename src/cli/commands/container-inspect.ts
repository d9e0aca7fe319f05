import type { Command } from "../command.ts";
import { inspectFlags } from "../flags/listing.ts";
import { inspectAll } from "../output/inspect-lookup.ts";
import { inspectPrinter } from "../output/inspect.ts";

const command: Command = {
  path: "container inspect",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  short: "Show everything about containers",
  args: { min: 1 },
  flags: inspectFlags.filter((flag) => flag.name !== "type"),
  completes: "containers",
  async run(context, parsed) {
    const printer = inspectPrinter(parsed.string("format"));
    return await inspectAll(context, parsed.positional, {
      kinds: ["container"],
      printer,
      size: parsed.bool("size"),
    });
  },
};

export default command;
