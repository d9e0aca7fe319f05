/** Rules of .dockerignore and --exclude (Docker's `patternmatcher`): the last rule that fits decides, `!` takes back. */
import { cleanParts } from "./file-tree.ts";

interface Rule {
  readonly negated: boolean;
  readonly expression: RegExp;
}

export interface PatternRules {
  readonly isEmpty: boolean;
  /** Whether a path (bytes as latin1) is left out, by itself or with a directory above it. */
  matches(path: string): boolean;
  /** Whether something below a directory that is left out may be taken back. */
  mayHaveExceptions(directory: string): boolean;
}

/** The rules in a .dockerignore's text: one a line, `#` comments. */
export function ignoreLines(text: string): string[] {
  return text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .filter((line) => !line.startsWith("#"))
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Patterns as they are written; a rule for the root itself or for nothing is none. */
export function compilePatterns(patterns: readonly string[]): PatternRules {
  const rules: Rule[] = [];
  for (const written of patterns) {
    const negated = written.startsWith("!");
    const parts = cleanParts(Buffer.from(negated ? written.slice(1).trim() : written).toString("latin1"));
    if (parts.length === 0) continue;
    rules.push({ negated, expression: new RegExp(`^${source(parts.join("/"))}$`, "s") });
  }
  const hasExceptions = rules.some(({ negated }) => negated);
  const decided = new Map<string, boolean>();
  const matches = (path: string): boolean => {
    if (path === "") return false;
    const known = decided.get(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf("/");
    const prefixes = [path];
    for (let at = slash; at > 0; at = path.lastIndexOf("/", at - 1)) prefixes.push(path.slice(0, at));
    let isOut = false;
    for (const { negated, expression } of rules)
      if (negated === isOut && prefixes.some((prefix) => expression.test(prefix))) isOut = !negated;
    decided.set(path, isOut);
    return isOut;
  };
  return { isEmpty: rules.length === 0, matches, mayHaveExceptions: () => hasExceptions };
}

function source(pattern: string): string {
  let text = "";
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at]!;
    if (character === "*") {
      if (pattern[at + 1] !== "*") {
        text += "[^/]*";
        continue;
      }
      at += 1;
      if (pattern[at + 1] === "/") at += 1;
      text += at + 1 >= pattern.length ? ".*" : "(?:.*/)?";
    } else if (character === "?") text += "[^/]";
    else if (character === "\\" && at + 1 < pattern.length) {
      at += 1;
      text += escaped(pattern[at]!);
    } else if (character === "[") {
      const end = pattern.indexOf("]", at + 2);
      if (end < 0) text += "\\[";
      else {
        text += pattern.slice(at, end + 1).replace(/\\(?=[^\]])/g, "\\\\");
        at = end;
      }
    } else text += escaped(character);
  }
  return text;
}

const escaped = (character: string): string => character.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
