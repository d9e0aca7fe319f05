import type { ParsedArguments } from "../parser.ts";
import { readKeyValueFile } from "./key-value-file.ts";
import { environmentEntry } from "./values.ts";

/**
 * The entries of `--env-file` and then of `--env`; null for none. A name without a value takes the client's: in a file
 * it is dropped when the client has none, on the command line the daemon is told the name. Throws `Error`.
 */
export function environment(
  parsed: ParsedArguments,
  env: Readonly<Record<string, string | undefined>>,
): string[] | null {
  const fromClient = (name: string): string | undefined =>
    env[name] === undefined ? undefined : `${name}=${env[name]}`;
  const entries = parsed.list("env-file").flatMap((path) => readKeyValueFile(path, fromClient));
  entries.push(...parsed.list("env").map((text) => environmentEntry(text, env)));
  return entries.length === 0 ? null : entries;
}
