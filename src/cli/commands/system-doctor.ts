import type { Command } from "../command.ts";
import { doctorText } from "../output/doctor.ts";
import { maintenanceFlags, outputFormat, outputFormatFlag, placesOf } from "../system/flags.ts";

const command: Command = {
  path: "system doctor",
  usage: "[OPTIONS]",
  short: "Look whether this machine is fit for containers, and say what would make it so",
  long:
    "Look at the kernel, control groups, the programs that the daemon needs, kernel settings, other firewalls and the disk " +
    "of this machine: what is wrong, and the command that mends it. Needs no daemon. Exits with 1 when there is a problem.",
  flags: [outputFormatFlag, ...maintenanceFlags],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const format = outputFormat(parsed);
    const report = await (await context.maintenance()).doctor(placesOf(parsed));
    context.print(format === "json" ? `${JSON.stringify(report, undefined, 2)}\n` : doctorText(report));
    return report.Findings.some(({ Verdict }) => Verdict === "problem") ? 1 : 0;
  },
};

export default command;
