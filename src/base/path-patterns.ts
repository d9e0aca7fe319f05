/**
 * Path patterns of `.dockerignore` and of BuildKit's include and exclude lists: Go's `filepath.Match` with `**` for any
 * number of directories and `!` for exceptions (Dockerfile reference, ".dockerignore file"). Paths have `/` between their
 * parts and none in front.
 */
import { invalidArgument } from "./errors.ts";

interface PathPattern {
  /** `!`: what it matches is taken out again. */
  readonly exception: boolean;
  readonly text: string;
  readonly form: RegExp;
}

/** Go's `path.Clean`. */
export function cleanPath(path: string): string {
  const rooted = path.startsWith("/");
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== ".." || (parts.length === 0 && !rooted) || parts.at(-1) === "..") parts.push(part);
    else parts.pop();
  }
  return (rooted ? "/" : "") + parts.join("/") || ".";
}

/** The patterns of an ignore file: without comments and empty lines, cleaned, with no `/` in front. */
export function parseIgnoreFile(text: string): string[] {
  const patterns: string[] = [];
  for (const line of text.replace(/^\uFEFF/, "").split(/\r?\n/)) {
    if (line.startsWith("#")) continue;
    const trimmed = line.trim();
    if (trimmed === "") continue;
    const exception = trimmed.startsWith("!");
    let pattern = exception ? trimmed.slice(1).trim() : trimmed;
    if (pattern !== "") {
      pattern = cleanPath(pattern);
      if (pattern.length > 1 && pattern.startsWith("/")) pattern = pattern.slice(1);
    }
    patterns.push(exception ? `!${pattern}` : pattern);
  }
  return patterns;
}

/** Throws `invalidArgument` for a pattern with an open bracket or an escape at its end. */
function patternForm(pattern: string): RegExp {
  const broken = invalidArgument(`syntax error in pattern ${JSON.stringify(pattern)}`);
  let source = "^";
  const characters = Array.from(pattern);
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === "*" && characters[at + 1] === "*") {
      at++;
      if (characters[at + 1] === "/") at++;
      source += at + 1 >= characters.length ? ".*" : "(?:.*/)?";
    } else if (character === "*") source += "[^/]*";
    else if (character === "?") source += "[^/]";
    else if (character === "[") {
      const end = bracketEnd(characters, at);
      if (end === undefined) throw broken;
      source += bracketForm(characters.slice(at + 1, end));
      at = end;
    } else if (character === "\\") {
      at++;
      if (characters[at] === undefined) throw broken;
      source += quote(characters[at]!);
    } else source += quote(character);
  }
  try {
    return new RegExp(`${source}$`, "su");
  } catch (error) {
    throw invalidArgument(broken.message, { cause: error });
  }
}

const quote = (character: string): string =>
  character.replace(/[\\^$.*+?()[\]{}|/-]/g, (sign) => {
    return sign === "-" ? sign : `\\${sign}`;
  });

function bracketEnd(characters: readonly string[], from: number): number | undefined {
  let at = from + 1;
  if (characters[at] === "^") at++;
  const first = at;
  for (; at < characters.length; at++) {
    if (characters[at] === "\\") at++;
    else if (characters[at] === "]" && at > first) return at;
  }
  return undefined;
}

function bracketForm(inside: readonly string[]): string {
  const negated = inside[0] === "^";
  let source = negated ? "[^/" : "(?!/)[";
  for (let at = negated ? 1 : 0; at < inside.length; at++) {
    const character = inside[at] === "\\" ? (inside[++at] ?? "") : inside[at]!;
    source += character === "-" && inside[at - 1] !== "\\" ? "-" : character.replace(/[\\^[\]-]/g, "\\$&");
  }
  return `${source}]`;
}

export class PathPatterns {
  readonly #patterns: readonly PathPattern[];

  /** Throws `invalidArgument` for a pattern that is none. */
  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.flatMap((written) => {
      const trimmed = written.trim();
      if (trimmed === "") return [];
      const exception = trimmed.startsWith("!");
      if (trimmed === "!") throw invalidArgument(`illegal exclusion pattern: "!"`);
      const text = cleanPath(exception ? trimmed.slice(1) : trimmed).replace(/^\/(?=.)/, "");
      return [{ exception, text, form: patternForm(text) }];
    });
  }

  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  get hasExceptions(): boolean {
    return this.#patterns.some(({ exception }) => exception);
  }

  /** True when one of the patterns that are no exceptions is of `texts`. */
  includesText(...texts: readonly string[]): boolean {
    return this.#patterns.some(({ exception, text }) => !exception && texts.includes(text));
  }

  /** Whether the last pattern that fits the path, or a directory it is in, is no exception. */
  matches(path: string): boolean {
    const steps = prefixes(path);
    let matched = false;
    for (const { exception, form } of this.#patterns)
      if (exception === matched && steps.some((step) => form.test(step))) matched = !exception;
    return matched;
  }

  /** Whether an exception may take out something in a directory that itself matches. */
  mayExceptBelow(directory: string): boolean {
    return this.#patterns.some(({ exception, text }) => exception && reaches(text, directory));
  }

  /** Whether something in the directory may match, though the directory does not. */
  mayMatchBelow(directory: string): boolean {
    return this.#patterns.some(({ exception, text }) => !exception && reaches(text, directory));
  }
}

/** `a`, `a/b`, `a/b/c`, the longest first. */
function prefixes(path: string): string[] {
  const steps = [path];
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1))
    steps.push(path.slice(0, at));
  return steps;
}

/** Whether the pattern can match a path in `directory`: each of the directory's parts fits the pattern's part. */
function reaches(pattern: string, directory: string): boolean {
  const wanted = pattern.split("/");
  for (const [index, part] of directory.split("/").entries()) {
    const form = wanted[index];
    if (form === undefined) return true;
    if (form.includes("**")) return true;
    if (!patternForm(form).test(part)) return false;
  }
  return true;
}
