import { cacheUsage } from "../../client/buildkit/solve.ts";
import type { Command } from "../command.ts";
import { humanSize } from "../output/humanize.ts";
import { tableText } from "../image-build/cache-table.ts";

const command: Command = {
  path: "buildx du",
  usage: "[OPTIONS]",
  short: "List the build cache and its size",
  flags: [
    { name: "builder", type: "string", hidden: true, help: "Name of a builder; there is one, the daemon" },
    { name: "filter", type: "filter", help: 'Only what the filter fits, such as "type=regular"' },
    { name: "verbose", type: "bool", help: "Tell all of each record" },
  ],
  args: { min: 0, max: 0 },
  async run(context, parsed) {
    const filters = Object.entries(parsed.filters("filter")).flatMap(([key, values]) =>
      values.map((value) => `${key}==${value}`),
    );
    const records = await cacheUsage(context.client.transport, [filters.join(",")]);
    const sum = (some: typeof records): string =>
      humanSize(some.reduce((total, { Size }) => total + Size, 0));
    const shared = records.filter(({ Shared }) => Shared);
    const totals = [
      ...(shared.length === 0
        ? []
        : [
            ["Shared:", sum(shared)],
            ["Private:", sum(records.filter(({ Shared }) => !Shared))],
          ]),
      ["Reclaimable:", sum(records.filter(({ InUse }) => !InUse))],
      ["Total:", sum(records)],
    ];
    context.print(
      (records.length === 0 ? "" : tableText(records, parsed.bool("verbose"))) +
        totals.map(([name, size]) => `${name}\t${name === "Reclaimable:" ? "" : "\t"}${size}\n`).join(""),
    );
    return 0;
  },
};

export default command;
