import { isatty } from "node:tty";
import { parseReference } from "../../oci/reference.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { showProgress } from "../progress.ts";
import { platformText, stdoutProgress } from "../pull-image.ts";
import { openInput } from "./load.ts";

const command: Command = {
  path: "import",
  aliases: ["image import"],
  usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
  short: "Make an image from the tar archive of a file system",
  section: "other",
  flags: [
    { name: "change", short: "c", type: "list", help: "Apply a Dockerfile instruction to the configuration" },
    { name: "message", short: "m", type: "string", help: "Message for the image's history" },
    { name: "platform", type: "string", help: "Platform of the image (linux/arm64)" },
  ],
  args: { min: 1, max: 2 },
  completes: "files",
  async run(context, parsed) {
    const [source = "", name] = parsed.positional;
    if (name !== undefined) parseReference(name);
    if (source === "-" && isatty(0)) throw new CliError("refusing to read an archive from a terminal");
    const isUrl = /^(https?|ftp):\/\//.test(source);
    const message = parsed.string("message");
    const platform = platformText(parsed.string("platform"));
    const messages = context.client.imageImport({
      source: isUrl ? source : source === "-" ? context.stdin : openInput(source),
      changes: parsed.list("change"),
      ...(name === undefined ? {} : { repository: name }),
      ...(message === "" ? {} : { message }),
      ...(platform === undefined ? {} : { platform }),
    });
    await showProgress(messages, stdoutProgress(context));
    return 0;
  },
};

export default command;
