/** Words, quotes and variables of Dockerfile instructions (Dockerfile reference, "Environment replacement"). */
import { invalidArgument } from "../base/errors.ts";

/** Splits at blanks; quotes and backslashes keep blanks together and go away. Throws for a quote that does not end. */
export function splitWords(text: string): string[] {
  return rawWords(text).map(unquote);
}

/** Splits at blanks outside of quotes; quotes and backslashes stay. */
function rawWords(text: string): string[] {
  const words: string[] = [];
  const form = /\s*((?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\])+)/gsy;
  let end = 0;
  for (let match = form.exec(text); match !== null; match = form.exec(text)) {
    words.push(match[1]!);
    end = form.lastIndex;
  }
  if (text.slice(end).trim() !== "")
    throw invalidArgument(`unexpected end of statement in ${JSON.stringify(text)}`);
  return words;
}

function unquote(word: string): string {
  return word.replace(
    /\\(.)|'([^']*)'|"((?:\\.|[^"\\])*)"/gs,
    (_whole, escaped?: string, single?: string, double?: string) => {
      if (escaped !== undefined) return escaped;
      return single ?? (double ?? "").replace(/\\(["\\$\s'])/g, "$1");
    },
  );
}

/**
 * Replaces `$name`, `${name}`, `${name:-default}` and `${name:+other}`. Nothing is replaced in single quotes and after a
 * backslash.
 */
export function expandVariables(text: string, env: ReadonlyMap<string, string>): string {
  const form = /\\.|'[^']*'|\$\w+|\$\{\w+(?::[-+][^}]*)?\}/gs;
  return text.replace(form, (whole) => (whole.startsWith("$") ? valueOf(whole, env) : whole));
}

function valueOf(variable: string, env: ReadonlyMap<string, string>): string {
  const [, name = "", operator, word = ""] =
    /^\$\{?(\w+)(?::([-+])(.*))?\}?$/s.exec(variable.replace(/\}$/, "")) ?? [];
  const value = env.get(name) ?? "";
  if (operator === "-" && value === "") return word;
  if (operator === "+") return value === "" ? "" : word;
  // What a variable holds is one piece of text: its blanks and quotes mean nothing any more.
  return value.replace(/[\s\\'"]/g, "\\$&");
}

/** `key=value …`, or the old form `key the whole rest`. Throws `invalidArgument`. */
export function keyValuePairs(
  instruction: string,
  text: string,
  env: ReadonlyMap<string, string>,
): [string, string][] {
  const first = /^[^\s=]+/.exec(text)?.[0] ?? "";
  if (first !== "" && /^\s/.test(text.slice(first.length))) {
    const value = text.slice(first.length).trim();
    return [[first, unquote(expandVariables(value, env))]];
  }
  return rawWords(text).map((word) => {
    const equals = word.indexOf("=");
    const key = unquote(expandVariables(word.slice(0, Math.max(equals, 0)), env));
    if (equals === -1)
      throw invalidArgument(
        `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`,
      );
    if (key === "") throw invalidArgument(`${instruction} names can not be blank`);
    return [key, unquote(expandVariables(word.slice(equals + 1), env))];
  });
}
