import { composeCommand } from "../app.ts";
import { containersOf } from "../containers.ts";
import { boolWords, delegate, flagWords } from "../delegate.ts";

export default composeCommand({
  name: "stats",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Show what containers of services use, as it changes",
  completes: "services",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Also containers that do not run" },
    { name: "format", type: "string", help: "Format: 'table', 'table TEMPLATE', 'json' or a Go template" },
    { name: "no-stream", type: "bool", help: "Show one result and end" },
    { name: "no-trunc", type: "bool", help: "Show whole IDs" },
  ],
  async run(app, parsed) {
    const { containers } = await containersOf(app, parsed.positional, { all: parsed.bool("all") });
    if (containers.length === 0) {
      app.say("no containers to show");
      return 0;
    }
    return await delegate(app, () => import("../../commands/stats.ts"), [
      ...boolWords("no-stream", parsed.bool("no-stream")),
      ...boolWords("no-trunc", parsed.bool("no-trunc")),
      ...flagWords("format", parsed.changed("format") ? [parsed.string("format")] : []),
      ...containers.map(({ name }) => name),
    ]);
  },
});
