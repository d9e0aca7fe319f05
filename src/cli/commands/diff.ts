import type { Command } from "../command.ts";

const letters = ["C", "A", "D"] as const;

const command: Command = {
  path: "diff",
  aliases: ["container diff"],
  usage: "CONTAINER",
  short: "Show which files a container has changed (C), added (A) or deleted (D)",
  section: "other",
  flags: [],
  args: { min: 1, max: 1 },
  completes: "containers",
  async run(context, parsed) {
    const changes = await context.client.containerChanges(parsed.positional[0]!);
    context.print(changes.map(({ Kind, Path }) => `${letters[Kind]} ${Path}\n`).join(""));
    return 0;
  },
};

export default command;
