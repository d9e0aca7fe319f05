import { parseReference, repositoryName, withDefaultTag, type Reference } from "../../oci/reference.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { goQuote } from "../flag-values.ts";

const command: Command = {
  path: "tag",
  aliases: ["image tag"],
  usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  short: "Give an image one more name",
  section: "other",
  flags: [],
  args: { min: 2, max: 2 },
  completes: "images",
  async run(context, parsed) {
    const [source = "", target = ""] = parsed.positional;
    const reference = targetReference(target);
    if (source === "") targetReference(source);
    if (reference.digest !== undefined)
      throw new CliError("refusing to create a tag with a digest reference");
    await context.client.imageTag(source, repositoryName(reference), reference.tag ?? "latest");
    return 0;
  },
};

export default command;

function targetReference(text: string): Reference {
  try {
    return withDefaultTag(parseReference(text));
  } catch (error) {
    const why = (error as Error).message;
    throw new CliError(`Error parsing reference: ${goQuote(text)} is not a valid repository/tag: ${why}`);
  }
}
