import { closeSync, createReadStream, fstatSync, openSync } from "node:fs";
import { isatty } from "node:tty";
import type { Command, CommandContext } from "../command.ts";
import { CliError } from "../errors.ts";
import { showProgress } from "../progress.ts";
import { checkedPlatform, stdoutProgress } from "../pull-image.ts";
import { goFileError } from "../run/key-value-file.ts";

const command: Command = {
  path: "load",
  aliases: ["image load"],
  usage: "[OPTIONS]",
  short: "Load images from a tar archive or STDIN",
  section: "other",
  flags: [
    {
      name: "input",
      short: "i",
      type: "string",
      placeholder: "FILE",
      help: "Read this archive instead of STDIN",
    },
    { name: "platform", type: "string", help: "Load only this platform (linux/amd64)" },
    { name: "quiet", short: "q", type: "bool", help: "Do not show progress" },
  ],
  args: { min: 0, max: 0 },
  completes: "files",
  async run(context, parsed) {
    const archive = openArchive(context, parsed.string("input"));
    const platform = checkedPlatform(parsed.string("platform"));
    const messages = context.client.imageLoad(archive, {
      quiet: parsed.bool("quiet") || !isatty(1),
      ...(platform === "" ? {} : { platform }),
    });
    await showProgress(messages, stdoutProgress(context));
    return 0;
  },
};

export default command;

function openArchive(context: CommandContext, path: string): AsyncIterable<Uint8Array> {
  if (path === "") {
    if (isatty(0)) throw new CliError("requested load from stdin, but stdin is empty");
    return context.stdin;
  }
  return openInput(path);
}

/** A file as a stream; a failure to open it is thrown at once. */
export function openInput(path: string): AsyncIterable<Uint8Array> {
  try {
    const fd = openSync(path, "r");
    if (fstatSync(fd).isDirectory()) {
      closeSync(fd);
      throw Object.assign(new Error(`${path} is a directory`), { code: "EISDIR" });
    }
    return createReadStream(path, { fd, highWaterMark: 256 * 1024 });
  } catch (error) {
    throw new CliError(goFileError("open", path, error));
  }
}
