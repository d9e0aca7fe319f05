import { randomBytes } from "node:crypto";
import { createWriteStream, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { isatty } from "node:tty";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { FdWriter } from "../fd-writer.ts";
import { goFileError } from "../run/key-value-file.ts";

const command: Command = {
  path: "save",
  aliases: ["image save"],
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  short: "Save one or more images to a tar archive (to STDOUT without --output)",
  section: "other",
  flags: [
    {
      name: "output",
      short: "o",
      type: "string",
      placeholder: "FILE",
      help: "Write to a file instead of STDOUT",
    },
    { name: "platform", type: "string", help: "Save only this platform (linux/amd64)" },
  ],
  args: { min: 1 },
  completes: "images",
  async run(context, parsed) {
    const path = parsed.string("output");
    if (path === "" && isatty(1)) {
      throw new CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    const isRegular = path === "" || checkOutputPath(path);
    const platform = parsed.string("platform");
    const archive = await context.client.imageSave(parsed.positional, platform === "" ? {} : { platform });
    if (path === "") await writeToStdout(archive);
    else if (isRegular) await writeWhole(archive, path);
    else await pipeline(archive, createWriteStream(path));
    return 0;
  },
};

export default command;

/** True when the path can take a new file; false when it is a pipe or a device that is written to as it is. */
function checkOutputPath(path: string): boolean {
  try {
    statSync(dirname(path));
  } catch (error) {
    const why = goFileError("stat", dirname(path), error);
    throw new CliError(`failed to save image: invalid output path: ${why}`);
  }
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true) throw new CliError("failed to save image: cannot write to a directory");
  return stat === undefined || stat.isFile();
}

async function writeToStdout(archive: Readable): Promise<void> {
  const writer = new FdWriter(1);
  for await (const chunk of archive as AsyncIterable<Buffer>) await writer.write(chunk);
}

/** The file is there as a whole or not at all. */
async function writeWhole(archive: Readable, path: string): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    await pipeline(archive, createWriteStream(temporary, { flags: "wx" }));
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
