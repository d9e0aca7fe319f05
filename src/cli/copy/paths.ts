/** The rules by which `cp` decides what goes where and under which name, apart from reading and writing. */
import { posix } from "node:path";
import { CliError } from "../errors.ts";

/** One end of a copy. */
export interface CopyEnd {
  readonly path: string;
  readonly exists: boolean;
  readonly isDirectory: boolean;
  /** The name that the archive shall have in place of the path's last part: a link was followed to another name. */
  readonly rebaseName?: string;
}

export const hasTrailingSlash = (path: string): boolean => path.endsWith("/");

/** True for `.`, and for what ends with `/.`: the content of the directory is meant, not the directory. */
const namesContent = (path: string): boolean => posix.basename(path) === "." && path !== "";

export const assertsDirectory = (path: string): boolean => hasTrailingSlash(path) || namesContent(path);

/** Adds to a cleaned path the ending that says "directory" or "its content" on the one it was made of. */
export function keepEnding(cleaned: string, original: string): string {
  if (!namesContent(cleaned) && namesContent(original)) return posix.join(cleaned, "/").replace(/\/*$/, "/.");
  if (!hasTrailingSlash(cleaned) && hasTrailingSlash(original)) return `${cleaned}/`;
  return cleaned;
}

const clean = (path: string): string => posix.normalize(path).replace(/(?<=.)\/+$/, "");

/** Directory and last part; of a path that names the content of a directory, that directory and `.`. */
export function splitPath(path: string): { directory: string; base: string } {
  const cleaned = namesContent(path) ? `${clean(path).replace(/\/$/, "")}/.` : clean(path);
  const base = cleaned === "/" ? "/" : posix.basename(cleaned);
  return { directory: namesContent(cleaned) ? cleaned.slice(0, -2) || "/" : posix.dirname(cleaned), base };
}

/** After a link was followed: the path with the same ending, and the name that the user called it by. */
export function followed(path: string, resolved: string): { path: string; rebaseName?: string } {
  const target = keepEnding(resolved, path);
  const name = posix.basename(path);
  return name === posix.basename(target) ? { path: target } : { path: target, rebaseName: name };
}

/** A change of names at the start of an archive's entries. */
export interface Rebase {
  readonly from: string;
  readonly to: string;
}

/**
 * Into which directory an archive of `source` is unpacked for it to be at `target`, and how its entries are renamed for
 * that. Throws `CliError` with Docker's words for what cannot be.
 */
export function planCopy(
  source: CopyEnd,
  target: CopyEnd,
): { directory: string; rebase: Rebase | undefined } {
  const place = splitPath(target.path);
  const from = source.rebaseName ?? splitPath(source.path).base;
  if (target.exists && target.isDirectory) return { directory: target.path, rebase: undefined };
  if (target.exists && source.isDirectory) throw new CliError("cannot copy directory");
  if (!target.exists && !source.isDirectory && assertsDirectory(target.path))
    throw new CliError("no such directory");
  return { directory: place.directory, rebase: { from, to: place.base } };
}

/** An entry's name under the new start. */
export function rebased(name: string, rebase: Rebase | undefined): string {
  if (rebase === undefined) return name;
  const { from, to } = rebase;
  // The entries of the root directory begin with a slash, which stays.
  if (from === "/") return to + name;
  return name === from || name.startsWith(`${from}/`) ? to + name.slice(from.length) : name;
}

/** `CONTAINER:PATH`, or a path here: absolute, or without a colon, or beginning with a dot. */
export function splitArgument(text: string): { container: string | undefined; path: string } {
  const colon = text.indexOf(":");
  if (text.startsWith("/") || text.startsWith(".") || colon < 0) return { container: undefined, path: text };
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}
