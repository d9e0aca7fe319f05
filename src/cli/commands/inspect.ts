import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { inspectFlags } from "../flags/listing.ts";
import { inspectAll, inspectKinds, isInspectKind } from "../output/inspect-lookup.ts";
import { inspectPrinter } from "../output/inspect.ts";

const knownTypes = '"container", "image", "network", "volume"';

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
      throw new CliError(`unknown type: "${kind}": must be one of ${knownTypes}`);
    }
    if (parsed.changed("type") && kind === "") {
      throw new CliError(`type is empty: must be one of ${knownTypes}`);
    }
    const printer = inspectPrinter(parsed.string("format"));
    const kinds = isInspectKind(kind) ? [kind] : inspectKinds;
    const size = parsed.bool("size");
    if (size && kind !== "" && kind !== "container")
      context.printError(`WARNING: --size ignored for ${kind}`);
    return await inspectAll(context, parsed.positional, { kinds, printer, size });
  },
};

export default command;
