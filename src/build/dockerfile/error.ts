/** Errors that point into a Dockerfile. */
import { EngineError, type EngineErrorOptions } from "../../base/errors.ts";
import type { SourceFile, SourceRange } from "./ast.ts";

/** A fault in a Dockerfile, or in what one of its instructions asks for. */
export class DockerfileError extends EngineError {
  /** Undefined when the fault has no place, such as an empty file. */
  readonly range: SourceRange | undefined;
  readonly source: SourceFile | undefined;

  constructor(
    message: string,
    where: { readonly range?: SourceRange; readonly source?: SourceFile },
    options: EngineErrorOptions = {},
  ) {
    super("invalidArgument", message, options);
    this.range = where.range;
    this.source = where.source;
  }
}

const ruler = "-".repeat(20);

/**
 * The lines around `range` as BuildKit's clients show them:
 *
 *     Dockerfile:2
 *     --------------------
 *        1 |     FROM busybox
 *        2 | >>> RNU true
 *        3 |
 *     --------------------
 *
 * Empty when the range is outside of the file.
 */
export function excerpt(source: SourceFile, range: SourceRange): string {
  const lines = source.text.split("\n");
  const first = range.start.line;
  const last = Math.max(range.end.line, first);
  if (first < 1 || last > lines.length) return "";
  const around = last === first ? 2 : 1;
  const from = Math.max(first - around, 1);
  const to = Math.min(last + around, lines.length);
  const shown = lines.slice(from - 1, to).map((line, index) => {
    const number = from + index;
    const mark = number >= first && number <= last ? ">>> " : "    ";
    return `${String(number).padStart(4)} | ${mark}${line.replace(/\r$/, "")}`;
  });
  return [`${source.name}:${first}`, ruler, ...shown, ruler, ""].join("\n");
}
