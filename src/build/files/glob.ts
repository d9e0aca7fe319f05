/** Patterns of file names as Go's path/filepath.Match has them: `*`, `?`, `[a-z]`, `[^a]`, and the backslash. */
import { invalidArgument } from "../../base/errors.ts";
import { textOf } from "../../oci/tar-reader.ts";

const special = /[*?[\\]/;

export const hasWildcard = (pattern: string): boolean => special.test(pattern);

/**
 * One part of a path as a test. `*` and `?` never match a slash. Throws `invalidArgument` (`syntax error in pattern`, as
 * Go says) for a class that does not end.
 */
export function compileGlob(pattern: string): (name: string) => boolean {
  const expression = new RegExp(`^${globSource(pattern)}$`, "s");
  return (name) => expression.test(name);
}

function globSource(pattern: string): string {
  let source = "";
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at]!;
    if (character === "*") source += "[^/]*";
    else if (character === "?") source += "[^/]";
    else if (character === "[") {
      const [text, end] = classSource(pattern, at);
      source += text;
      at = end;
    } else if (character === "\\") {
      at += 1;
      if (at >= pattern.length) throw badPattern(pattern);
      source += escapeRegExp(pattern[at]!);
    } else source += escapeRegExp(character);
  }
  return source;
}

/** The class that begins at `start`, and where it ends. */
function classSource(pattern: string, start: number): [string, number] {
  let at = start + 1;
  const negated = pattern[at] === "^";
  if (negated) at += 1;
  let inner = "";
  const first = at;
  for (; at < pattern.length && (pattern[at] !== "]" || at === first); at += 1) {
    if (pattern[at] === "-" && inner !== "" && pattern[at + 1] !== "]") inner += "-";
    else {
      if (pattern[at] === "\\") at += 1;
      inner += escapeClass(pattern[at] ?? "");
    }
  }
  if (at >= pattern.length || inner === "") throw badPattern(pattern);
  return [`[${negated ? "^" : ""}${inner}]`, at];
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
const escapeClass = (text: string): string => text.replace(/[\]\\^-]/g, "\\$&");
const badPattern = (pattern: string): Error => invalidArgument(`syntax error in pattern: ${textOf(pattern)}`);
