import { readFileSync } from "node:fs";
import { goQuote } from "../flag-values.ts";
import { goFileError } from "./key-value-file.ts";

export interface SecurityOptions {
  readonly options: string[] | null;
  /** Null leaves the daemon's defaults; empty masks nothing. */
  readonly maskedPaths: string[] | null;
  readonly readonlyPaths: string[] | null;
}

/**
 * Reads the values of `--security-opt`: the file of a seccomp profile is read here, as the daemon may be elsewhere.
 * Throws `Error` in Docker's words.
 */
export function securityOptions(values: readonly string[]): SecurityOptions {
  const options: string[] = [];
  let isUnmasked = false;
  for (const value of values.map(securityOption)) {
    if (value === "systempaths=unconfined") isUnmasked = true;
    else options.push(value);
  }
  const paths = isUnmasked ? [] : null;
  return { options: values.length === 0 ? null : options, maskedPaths: paths, readonlyPaths: paths };
}

function securityOption(text: string): string {
  if (text.startsWith("no-new-privileges")) return text;
  const at = text.includes("=") ? text.indexOf("=") : text.indexOf(":");
  const value = text.slice(at + 1);
  if (at < 0 || value === "") throw new Error(`Invalid --security-opt: ${goQuote(text)}`);
  if (text.slice(0, at) !== "seccomp" || value === "unconfined" || value === "builtin") return text;
  return `seccomp=${seccompProfile(value)}`;
}

function seccompProfile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`opening seccomp profile (${path}) failed: ${goFileError("open", path, error)}`, {
      cause: error,
    });
  }
  try {
    return JSON.stringify(JSON.parse(text));
  } catch (error) {
    throw new Error(`compacting json for seccomp profile (${path}) failed: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
