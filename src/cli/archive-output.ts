import { randomBytes } from "node:crypto";
import { createWriteStream, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { isatty } from "node:tty";
import { CliError } from "./errors.ts";
import { FdWriter } from "./fd-writer.ts";
import { goFileError } from "./run/key-value-file.ts";

/**
 * Where an archive goes: a file, or standard output when `path` is empty. Checked by {@link openArchiveOutput} before
 * anything is asked of the daemon.
 */
export interface ArchiveOutput {
  write(archive: Readable): Promise<void>;
}

/** `what` is the command for messages (`save image`). Throws `CliError` with Docker's words. */
export function openArchiveOutput(path: string, what: string): ArchiveOutput {
  if (path === "" && isatty(1))
    throw new CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect");
  const isRegular = path === "" || checkOutputPath(path, what);
  return {
    async write(archive) {
      if (path === "") await writeToStdout(archive);
      else if (isRegular) await writeWhole(archive, path);
      else await pipeline(archive, createWriteStream(path));
    },
  };
}

/** True when the path can take a new file; false when it is a pipe that is written to as it is. */
function checkOutputPath(path: string, what: string): boolean {
  try {
    statSync(dirname(path));
  } catch (error) {
    const why = goFileError("stat", dirname(path), error);
    throw new CliError(`failed to ${what}: invalid output path: ${why}`);
  }
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true) throw new CliError(`failed to ${what}: cannot write to a directory`);
  if (stat?.isCharacterDevice() === true)
    throw new CliError(`failed to ${what}: cannot write to a character device file`);
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
