import { alignTabs } from "../../output/tab-writer.ts";
import { composeCommand } from "../app.ts";
import { containersOf } from "../containers.ts";

export default composeCommand({
  name: "top",
  usage: "[SERVICE...]",
  short: "Show the programs that run in containers of services",
  completes: "services",
  flags: [],
  async run(app, parsed) {
    const { containers } = await containersOf(app, parsed.positional, { all: false });
    const lists = await Promise.all(
      containers.map(async ({ id, name }) => ({ name, top: await app.context.client.containerTop(id) })),
    );
    for (const { name, top } of lists.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const rows = [top.Titles, ...(top.Processes ?? [])].map((row) => `${row.join("\t")}\t\n`).join("");
      app.context.print(`${name}\n${alignTabs(rows, { minWidth: 5, padding: 3 })}\n`);
    }
    return 0;
  },
});
