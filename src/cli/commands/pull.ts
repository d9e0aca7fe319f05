import { parseReference } from "../../oci/reference.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { fullReference, pullImage, stdoutProgress } from "../pull-image.ts";

const command: Command = {
  path: "pull",
  aliases: ["image pull"],
  usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
  short: "Download an image",
  section: "common",
  flags: [
    { name: "all-tags", short: "a", type: "bool", help: "Download all tags of the repository" },
    {
      name: "disable-content-trust",
      type: "bool",
      default: true,
      help: "Skip the verification of signatures (Notary)",
      refused: "signatures of Notary are not verified by gantry",
      hidden: true,
    },
    { name: "platform", type: "string", help: "Platform of the image (linux/arm64)" },
    { name: "quiet", short: "q", type: "bool", help: "Do not show progress" },
  ],
  args: { min: 1, max: 1 },
  async run(context, parsed) {
    const reference = parseReference(parsed.positional[0]!);
    const isNamed = reference.tag !== undefined || reference.digest !== undefined;
    const allTags = parsed.bool("all-tags");
    const quiet = parsed.bool("quiet");
    if (allTags && isNamed) throw new CliError("tag can't be used with --all-tags/-a");
    if (!allTags && !isNamed && !quiet) context.print("Using default tag: latest\n");
    await pullImage(context, reference, {
      platform: parsed.string("platform"),
      allTags,
      progress: quiet ? undefined : stdoutProgress(context),
    });
    context.print(`${fullReference(reference)}\n`);
    return 0;
  },
};

export default command;
