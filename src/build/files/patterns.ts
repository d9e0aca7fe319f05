/** Rules of .dockerignore and --exclude over the names of a tree, which are bytes. */
import { PathPatterns } from "../../base/path-patterns.ts";
import { textOf } from "../../oci/tar-reader.ts";

export interface PatternRules {
  readonly isEmpty: boolean;
  /** Whether a path (bytes as latin1) is left out, by itself or with a directory above it. */
  matches(path: string): boolean;
  /** Whether something below a directory that is left out may be taken back. */
  mayHaveExceptions(directory: string): boolean;
  /** The rules for those who read names as text. */
  readonly patterns: PathPatterns;
}

/** Throws `invalidArgument` for a pattern that is none. */
export function compilePatterns(written: readonly string[]): PatternRules {
  const patterns = new PathPatterns(written);
  const decided = new Map<string, boolean>();
  return {
    isEmpty: patterns.isEmpty,
    matches: (path) => {
      let isOut = decided.get(path);
      if (isOut === undefined) {
        isOut = path !== "" && patterns.matches(textOf(path));
        decided.set(path, isOut);
      }
      return isOut;
    },
    mayHaveExceptions: (directory) => patterns.mayExceptBelow(textOf(directory)),
    patterns,
  };
}
