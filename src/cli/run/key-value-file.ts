import { readFileSync } from "node:fs";

/**
 * Reads a file of `KEY=value` lines, as `--env-file` and `--label-file` name: empty lines and those that start with `#`
 * are skipped, nothing is unquoted. A line without `=` is handed to `alone`, whose undefined drops it.
 *
 * Throws `Error` in Docker's words.
 */
export function readKeyValueFile(path: string, alone: (key: string) => string | undefined): string[] {
  const text = readText(path);
  const entries: string[] = [];
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trimStart();
    if (line === "" || line.startsWith("#")) continue;
    const equals = line.indexOf("=");
    const key = equals < 0 ? line : line.slice(0, equals);
    if (/\s/.test(key)) throw new Error(`invalid env file (${path}): variable '${key}' contains whitespaces`);
    if (key === "") throw new Error(`invalid env file (${path}): no variable name on line '${line}'`);
    const entry = equals < 0 ? alone(key) : line;
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

function readText(path: string): string {
  let data: Buffer;
  try {
    data = readFileSync(path);
  } catch (error) {
    throw new Error(goFileError("open", path, error), { cause: error });
  }
  try {
    // Drops a byte order mark, too.
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch (error) {
    throw new Error(`invalid env file (${path}): it contains bytes that are no UTF-8`, { cause: error });
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EISDIR: "is a directory",
  ENOTDIR: "not a directory",
  EEXIST: "file exists",
};

/** A failure of the file system as Go's `PathError` writes it: `open x: no such file or directory`. */
export function goFileError(operation: string, path: string, error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  const isRead = code === "EISDIR" && operation === "open";
  return `${isRead ? "read" : operation} ${path}: ${reasons[code] ?? message}`;
}
