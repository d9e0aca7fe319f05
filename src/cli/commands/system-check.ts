import { connect } from "../../client/client.ts";
import { ConnectionError } from "../../client/errors.ts";
import type { CheckReport } from "../../wire/check.ts";
import type { Command, CommandContext } from "../command.ts";
import { checkText } from "../output/check.ts";
import { maintenanceFlags, outputFormat, outputFormatFlag, placesOf } from "../system/flags.ts";
import type { ParsedArguments } from "../parser.ts";

const command: Command = {
  path: "system check",
  usage: "[OPTIONS]",
  short: "Compare the records with what is on the disk and in the kernel",
  long:
    "Read every blob and every layer and compare them with their digests; compare the records of images, containers, " +
    "volumes, networks, addresses and ports with what is on the disk and in the kernel. A running daemon is asked; " +
    "without one, or with --data-root, the data root is looked at where it lies. With --repair leftovers are removed and " +
    "what is damaged is set aside (in DATA-ROOT/damaged), so that the next pull fetches it again; data of volumes and " +
    "containers is never removed. Exits with 1 when something is wrong that stays so.",
  examples: [
    ["gantry system check", "is everything there, and as it was?"],
    ["gantry system check --repair", "put right what can be"],
    ["gantry system check --data-root /mnt/disk/gantry", "a data root that no daemon uses"],
  ],
  flags: [
    { name: "repair", type: "bool", help: "Remove leftovers, set damaged blobs and layers aside" },
    { name: "quick", short: "q", type: "bool", help: "Read no contents: names, sizes and records only" },
    outputFormatFlag,
    ...maintenanceFlags,
  ],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const format = outputFormat(parsed);
    const report = await makeReport(context, parsed);
    context.print(format === "json" ? `${JSON.stringify(report, undefined, 2)}\n` : checkText(report));
    return report.Faults.every(({ State }) => State === "repaired") ? 0 : 1;
  },
};

export default command;

async function makeReport(context: CommandContext, parsed: ParsedArguments): Promise<CheckReport> {
  const quick = parsed.bool("quick");
  const repair = parsed.bool("repair");
  const isAtRest = maintenanceFlags.some(({ name }) => parsed.changed(name));
  if (!isAtRest) {
    const { host, isNamed, tls } = context.endpoint();
    // Not the context's client: it would start a daemon, which would repair before anybody has looked.
    using client = connect(host, { tls });
    try {
      return await client.check({ quick, repair });
    } catch (error) {
      const isAway = error instanceof ConnectionError && ["ENOENT", "ECONNREFUSED"].includes(error.code);
      if (isNamed || !isAway) throw error;
    }
  }
  const { signal } = new AbortController();
  return (await context.maintenance()).check(placesOf(parsed), { verify: !quick, repair, signal });
}
