import { composeCommand, indexFlag } from "../app.ts";
import { anyContainer } from "../containers.ts";
import { delegate, flagWords } from "../delegate.ts";
import { commitFlags } from "../../commit-flags.ts";

export default composeCommand({
  name: "commit",
  usage: "[OPTIONS] SERVICE [REPOSITORY[:TAG]]",
  short: "Make an image of what a service's container has changed",
  args: { min: 1, max: 2 },
  completes: "services",
  flags: [commitFlags.author, commitFlags.change, indexFlag, commitFlags.message, commitFlags.pause],
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
