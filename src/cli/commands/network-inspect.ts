import type { Command } from "../command.ts";
import { singleFormatFlag } from "../flags/listing.ts";
import { inspectAll } from "../output/inspect-lookup.ts";
import { inspectPrinter } from "../output/inspect.ts";

const command: Command = {
  path: "network inspect",
  usage: "[OPTIONS] NETWORK [NETWORK...]",
  short: "Show everything about networks",
  flags: [
    singleFormatFlag,
    { name: "verbose", short: "v", type: "bool", help: "Also what a swarm knows, which is nothing here" },
  ],
  args: { min: 1 },
  completes: "networks",
  run: (context, parsed) =>
    inspectAll(context, parsed.positional, {
      kinds: ["network"],
      printer: inspectPrinter(parsed.string("format")),
    }),
};

export default command;
