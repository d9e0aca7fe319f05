import {
  familiarName,
  formatReference,
  parseReference,
  repositoryName,
  withDefaultTag,
} from "../../oci/reference.ts";
import type { Command } from "../command.ts";
import { registryAuthFor } from "../credentials.ts";
import { CliError } from "../errors.ts";
import { showProgress } from "../progress.ts";
import { stdoutProgress } from "../pull-image.ts";

const command: Command = {
  path: "push",
  aliases: ["image push"],
  usage: "[OPTIONS] NAME[:TAG]",
  short: "Upload an image",
  long: "Upload an image to the registry that its name says. What is there already is not sent again.",
  section: "common",
  flags: [
    { name: "all-tags", short: "a", type: "bool", help: "Upload all tags of the repository" },
    {
      name: "disable-content-trust",
      type: "bool",
      default: true,
      help: "Skip the signing of images (Notary)",
      refused: "images are not signed for Notary by gantry",
      hidden: true,
    },
    { name: "platform", type: "string", help: "Push only when it is for this platform (linux/amd64)" },
    { name: "quiet", short: "q", type: "bool", help: "Do not show progress" },
  ],
  args: { min: 1, max: 1 },
  completes: "images",
  async run(context, parsed) {
    const reference = parseReference(parsed.positional[0]!);
    const allTags = parsed.bool("all-tags");
    const quiet = parsed.bool("quiet");
    if (reference.digest !== undefined) throw new CliError("cannot push a digest reference");
    if (allTags && reference.tag !== undefined) throw new CliError("tag can't be used with --all-tags/-a");
    const { tag } = allTags ? {} : withDefaultTag(reference);
    if (!allTags && reference.tag === undefined && !quiet) context.print("Using default tag: latest\n");
    const registryAuth = await registryAuthFor(context, reference.domain);
    const messages = context.client.imagePush({
      image: reference.domain === "docker.io" ? familiarName(reference) : repositoryName(reference),
      ...(tag === undefined ? {} : { tag }),
      ...(registryAuth === undefined ? {} : { registryAuth }),
      ...(parsed.string("platform") === "" ? {} : { platform: parsed.string("platform") }),
    });
    if (quiet) for await (const _message of messages) void _message;
    else await showProgress(messages, stdoutProgress(context));
    if (quiet)
      context.print(
        `${tag === undefined ? repositoryName(reference) : formatReference({ ...reference, tag })}\n`,
      );
    return 0;
  },
};

export default command;
