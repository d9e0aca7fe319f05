import { composeCommand } from "../app.ts";
import { anyContainer } from "../containers.ts";
import { delegate, flagWords } from "../delegate.ts";

export default composeCommand({
  name: "commit",
  usage: "[OPTIONS] SERVICE [REPOSITORY[:TAG]]",
  short: "Make an image of what a service's container has changed",
  args: { min: 1, max: 2 },
  completes: "services",
  flags: [
    { name: "author", short: "a", type: "string", help: 'Author (such as "John Doe <john@example.com>")' },
    {
      name: "change",
      short: "c",
      type: "list",
      placeholder: "INSTRUCTION",
      help: "Apply a Dockerfile instruction to the image's configuration",
    },
    { name: "index", type: "int", placeholder: "NUM", help: "Which container, where a service has several" },
    { name: "message", short: "m", type: "string", help: "What this image is about" },
    { name: "pause", short: "p", type: "bool", default: true, help: "Freeze the container meanwhile" },
  ],
  async run(app, parsed) {
    const [service = "", ...target] = parsed.positional;
    const container = await anyContainer(app, service, parsed.number("index"));
    const given = (name: "author" | "message"): string[] =>
      parsed.changed(name) ? [parsed.string(name)] : [];
    return await delegate(app, () => import("../../commands/commit.ts"), [
      ...flagWords("author", given("author")),
      ...flagWords("message", given("message")),
      ...flagWords("change", parsed.list("change")),
      `--pause=${String(parsed.bool("pause"))}`,
      container.id,
      ...target,
    ]);
  },
});
