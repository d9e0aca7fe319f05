import { composeCommand, indexFlag } from "../app.ts";
import { anyContainer } from "../containers.ts";
import { delegate, flagWords } from "../delegate.ts";

export default composeCommand({
  name: "export",
  usage: "[OPTIONS] SERVICE",
  short: "Write the file system of a service's container as a tar archive",
  args: { min: 1, max: 1 },
  completes: "services",
  flags: [
    indexFlag,
    {
      name: "output",
      short: "o",
      type: "string",
      placeholder: "FILE",
      help: "Write to a file instead of STDOUT",
    },
  ],
  async run(app, parsed) {
    const container = await anyContainer(app, parsed.positional[0]!, parsed.number("index"));
    const output = parsed.changed("output") ? [parsed.string("output")] : [];
    return await delegate(app, () => import("../../commands/export.ts"), [
      ...flagWords("output", output),
      container.id,
    ]);
  },
});
