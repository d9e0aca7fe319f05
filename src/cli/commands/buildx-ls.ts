import { workersOf } from "../../client/buildkit/solve.ts";
import type { Command } from "../command.ts";
import { platformWords } from "../image-build/worker-text.ts";

const command: Command = {
  path: "buildx ls",
  usage: "[OPTIONS]",
  short: "List builders; there is one, the daemon",
  flags: [{ name: "no-trunc", type: "bool", hidden: true, help: "Nothing is cut" }],
  args: { min: 0, max: 0 },
  async run(context) {
    const workers = await workersOf(context.client.transport);
    const rows = [
      ["NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "PLATFORMS"],
      ["default*", "docker", "", "", ""],
      ...workers.map((worker) => [
        " \\_ default",
        " \\_ default",
        "running",
        worker.BuildkitVersion?.version ?? "",
        platformWords(worker),
      ]),
    ];
    const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)) + 3);
    context.print(
      rows
        .map(
          (row) =>
            `${row
              .map((cell, at) => cell.padEnd(widths[at]!))
              .join("")
              .trimEnd()}\n`,
        )
        .join(""),
    );
    return 0;
  },
};

export default command;
