import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { inspectFlags } from "../flags/listing.ts";
import { inspectAll, inspectKinds, isInspectKind } from "../output/inspect-lookup.ts";
import { inspectPrinter } from "../output/inspect.ts";

const command: Command = {
  path: "inspect",
  usage: "[OPTIONS] NAME|ID [NAME|ID...]",
  short: "Show everything about containers, images, networks or volumes",
  args: { min: 1 },
  flags: inspectFlags,
  completes: "containers-and-images",
  async run(context, parsed) {
    const kind = parsed.string("type");
    if (kind !== "" && !isInspectKind(kind)) {
      throw new CliError(`unknown type: "${kind}": must be one of "container", "image", "network", "volume"`);
    }
    if (parsed.changed("type") && kind === "") {
      throw new CliError("type is empty: use container, image, network or volume");
    }
    const printer = inspectPrinter(parsed.string("format"));
    const kinds = isInspectKind(kind) ? [kind] : inspectKinds;
    return await inspectAll(context, parsed.positional, { kinds, printer, size: parsed.bool("size") });
  },
};

export default command;
