/** The client's own settings file, which Docker's command line reads and writes too. */
import { mkdirSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../base/atomic-file.ts";
import type { CommandContext } from "./command.ts";

/** Changes the file and nothing else in it. It is readable for its owner alone from then on. Returns its path. */
export function changeConfigFile<File extends object>(
  context: CommandContext,
  change: (file: File) => File,
): string {
  const path = join(context.configDirectory, "config.json");
  let text = "{}";
  let target = path;
  try {
    text = readFileSync(path, "utf8");
    // A link stays a link.
    target = realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  }
  const file = JSON.parse(text.trim() === "" ? "{}" : text) as File;
  writeFileAtomic(target, `${JSON.stringify(change(file), undefined, "\t")}\n`, 0o600);
  return path;
}

/** Makes a context the current one; undefined stands for `default`. */
export function setCurrentContext(context: CommandContext, name: string | undefined): void {
  changeConfigFile<{ currentContext?: string }>(context, (file) => {
    const changed = { ...file };
    delete changed.currentContext;
    if (name !== undefined) changed.currentContext = name;
    return changed;
  });
}
