import { workersOf } from "../../client/buildkit/solve.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { platformWords } from "../image-build/worker-text.ts";

const command: Command = {
  path: "buildx inspect",
  usage: "[OPTIONS] [NAME]",
  short: "Show the builder, which is the daemon",
  flags: [
    { name: "bootstrap", type: "bool", hidden: true, help: "It runs already" },
    { name: "builder", type: "string", hidden: true, help: "Name of a builder" },
  ],
  args: { min: 0, max: 1 },
  async run(context, parsed) {
    const name = parsed.positional[0] ?? "default";
    if (name !== "default")
      throw new CliError(`no builder ${JSON.stringify(name)} found: there is default, the daemon`);
    const workers = await workersOf(context.client.transport);
    const lines = ["Name:   default", "Driver: docker", "", "Nodes:"];
    for (const worker of workers) {
      lines.push(
        "Name:             default",
        "Endpoint:         default",
        "Status:           running",
        `BuildKit version: ${worker.BuildkitVersion?.version ?? ""}`,
        `Platforms:        ${platformWords(worker)}`,
        "Labels:",
      );
      const width = Math.max(0, ...[...worker.Labels.keys()].map((key) => key.length)) + 1;
      for (const [key, value] of [...worker.Labels].sort(([a], [b]) => (a < b ? -1 : 1)))
        lines.push(` ${`${key}:`.padEnd(width)} ${value}`);
    }
    context.print(`${lines.join("\n")}\n`);
    return 0;
  },
};

export default command;
