import type { Command } from "../command.ts";

const minColumnWidth = 20;
const columnGap = 3;

const command: Command = {
  path: "top",
  aliases: ["container top"],
  usage: "CONTAINER [ps OPTIONS]",
  short: "Show the processes of a container",
  section: "other",
  flags: [],
  args: { min: 1 },
  stopAtFirstArgument: true,
  completes: "running-containers",
  async run(context, parsed) {
    const [name = "", ...psArguments] = parsed.positional;
    const { Titles: titles, Processes: processes } = await context.client.containerTop(name, psArguments);
    context.print(processTable([titles, ...(processes ?? [])]));
    return 0;
  },
};

export default command;

/** Columns of at least 20 characters with a gap of three, the last one as it is. */
function processTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? minColumnWidth, cell.length + columnGap);
    }
  }
  const line = (row: readonly string[]): string =>
    row.map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index]!))).join("");
  return rows.map((row) => `${line(row)}\n`).join("");
}
