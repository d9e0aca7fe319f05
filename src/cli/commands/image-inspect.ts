import type { Command } from "../command.ts";
import { singleFormatFlag } from "../flags/listing.ts";
import { inspectAll } from "../output/inspect-lookup.ts";
import { inspectPrinter } from "../output/inspect.ts";

const command: Command = {
  path: "image inspect",
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  short: "Show everything about images",
  args: { min: 1 },
  flags: [
    singleFormatFlag,
    {
      name: "platform",
      type: "string",
      placeholder: "OS/ARCH",
      help: "Which platform of the image, such as linux/arm64",
    },
  ],
  completes: "images",
  async run(context, parsed) {
    const printer = inspectPrinter(parsed.string("format"));
    const platform = parsed.string("platform");
    return await inspectAll(context, parsed.positional, {
      kinds: ["image"],
      printer,
      ...(platform === "" ? {} : { platform }),
    });
  },
};

export default command;
