/** The patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`: `*`, `?` and `\`, no brackets. */

/** Throws a plain `Error` for an escape that means nothing. */
function toRegExp(pattern: string, longest: boolean, anchored: boolean): RegExp {
  const characters = Array.from(pattern);
  let source = anchored ? "^" : "";
  for (let at = 0; at < characters.length; at++) {
    let character = characters[at]!;
    if (character === "*") source += longest ? ".*" : ".*?";
    else if (character === "?") source += ".";
    else {
      if (character === "\\") {
        const following = characters[at + 1];
        // Escapes of the signs that end a substitution are no part of the pattern.
        if (following === "}" || following === "/") continue;
        if (following === undefined || !"*?\\".includes(following))
          throw new Error(`invalid escape '\\${following ?? ""}'`);
        character = following;
        at++;
      }
      source += character.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    }
  }
  return new RegExp(source, "u");
}

/** Takes the shortest or longest match from the beginning away. */
export function matchPrefix(pattern: string, value: string, longest: boolean): string {
  const match = toRegExp(pattern, longest, true).exec(value);
  return match === null ? value : value.slice(match[0].length);
}

/** Takes the shortest or longest match from the end away. */
export function matchSuffix(pattern: string, value: string, longest: boolean): string {
  // The shortest match at the end is the shortest one at the beginning of the text read backwards.
  const reversed = [...pattern.matchAll(/\\.|./gsu)].map(([part]) => part).toReversed();
  const backwards = Array.from(value).toReversed().join("");
  return Array.from(matchPrefix(reversed.join(""), backwards, longest))
    .toReversed()
    .join("");
}

/** Replaces the first match, or all that do not touch each other. */
export function replaceMatches(pattern: string, value: string, text: string, all: boolean): string {
  const form = new RegExp(toRegExp(pattern, true, false), "gu");
  let result = "";
  let end = 0;
  let before = -1;
  for (const match of value.matchAll(form)) {
    // Nothing at all is no match right behind one.
    if (match[0] === "" && match.index === before) continue;
    result += value.slice(end, match.index) + text;
    end = match.index + match[0].length;
    before = end;
    if (!all) break;
  }
  return result + value.slice(end);
}
