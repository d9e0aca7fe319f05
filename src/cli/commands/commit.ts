import { parseReference, repositoryName } from "../../oci/reference.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { commitFlags } from "../commit-flags.ts";

const command: Command = {
  path: "commit",
  aliases: ["container commit"],
  usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
  short: "Make an image of what a container has changed",
  section: "other",
  flags: [
    commitFlags.author,
    commitFlags.change,
    commitFlags.message,
    { name: "no-pause", type: "bool", help: "Let the container run on meanwhile" },
    commitFlags.pause,
  ],
  args: { min: 1, max: 2 },
  completes: "containers",
  async run(context, parsed) {
    const [container = "", name = ""] = parsed.positional;
    const id = await context.client.containerCommit(container, {
      ...targetOf(name),
      author: parsed.string("author"),
      comment: parsed.string("message"),
      changes: parsed.list("change"),
      pause: parsed.bool("pause") && !parsed.bool("no-pause"),
    });
    context.print(`${id}\n`);
    return 0;
  },
};

export default command;

function targetOf(name: string): { repository?: string; tag?: string } {
  if (name === "") return {};
  try {
    const reference = parseReference(name);
    const repository = repositoryName(reference);
    return reference.tag === undefined ? { repository } : { repository, tag: reference.tag };
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}
