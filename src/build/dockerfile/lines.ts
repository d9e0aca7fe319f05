/** A Dockerfile's lines: directives, comments, continued lines and here-documents (Dockerfile reference, "Format"). */
import type { Directives, Position, SourceFile, SourceRange } from "./ast.ts";
import { DockerfileError } from "./error.ts";

/** An instruction with its continued lines joined. */
export interface LogicalLine {
  readonly text: string;
  readonly range: SourceRange;
  /** The comment lines right above, without `#` and blanks. */
  readonly comments: readonly string[];
  /** Place of the last line, when empty lines stand among the continued ones. */
  readonly emptyContinuation: SourceRange | undefined;
}

const directiveForm = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;
const comment = /^\s*#/;

/** A whole line, from its first character that is no blank. */
function lineRange(line: number, text: string): SourceRange {
  const from = text.length - text.trimStart().length;
  const end = text.trimEnd().length;
  return { start: { line, character: Math.min(from, end) }, end: { line, character: end } };
}

/** Reads instructions one by one; here-documents are asked for by the reader of the instruction before them. */
export class LineReader {
  readonly source: SourceFile;
  readonly #lines: readonly string[];
  readonly #directives = new Map<string, { value: string; range: SourceRange }>();
  #directivesOpen = true;
  #escape: "\\" | "`" = "\\";
  /** Index of the next line. */
  #at = 0;

  constructor(source: SourceFile) {
    this.source = source;
    const text = source.text.replace(/^\uFEFF/, "");
    // Each with its line end: here-documents keep it.
    this.#lines = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  }

  get escape(): "\\" | "`" {
    return this.#escape;
  }

  /** True once everything has been read; the directives are known then. */
  get directives(): Directives {
    const syntax = this.#directives.get("syntax") ?? shebangDirective(this.#lines, "syntax");
    const check = this.#directives.get("check") ?? shebangDirective(this.#lines, "check");
    return {
      escape: this.#escape,
      ...(syntax === undefined ? {} : { syntax: { ...syntax, value: syntax.value.split(" ")[0]! } }),
      ...(check === undefined ? {} : { check: { ...check, value: check.value.split(" ")[0]! } }),
    };
  }

  /** The next instruction; undefined at the end. Throws {@link DockerfileError}. */
  next(): LogicalLine | undefined {
    let comments: string[] = [];
    for (; this.#at < this.#lines.length; this.#at++) {
      const line = this.#lines[this.#at]!.replace(/[\r\n]+$/, "");
      if (this.#directive(line.trimStart())) continue;
      if (comment.test(line)) {
        const text = line.trimStart().slice(1).trim();
        comments = text === "" ? [] : [...comments, text];
      } else if (line.trim() !== "") {
        return this.#instruction(comments);
      }
    }
    return undefined;
  }

  /** Lines of a here-document, with their line ends; its end word is taken too. Throws when it does not come. */
  heredoc(
    word: string,
    chomp: boolean,
    instruction: SourceRange,
  ): { readonly data: string; readonly range: SourceRange } {
    const first = this.#at;
    for (; this.#at < this.#lines.length; this.#at++) {
      const line = this.#lines[this.#at]!.replace(/[\r\n]+$/, "");
      if ((chomp ? line.replace(/^\t+/, "") : line) !== word) continue;
      const range: SourceRange = {
        start: { line: first + 1, character: 0 },
        end: { line: this.#at + 1, character: line.length },
      };
      const data = this.#lines.slice(first, this.#at).join("");
      this.#at++;
      return { data, range };
    }
    throw this.fault("unterminated heredoc", {
      start: instruction.start,
      end: { line: Math.max(this.#lines.length, instruction.end.line), character: 0 },
    });
  }

  fault(message: string, range: SourceRange): DockerfileError {
    return new DockerfileError(message, { range, source: this.source });
  }

  /** A fault in one instruction's own words: BuildKit says the line with these alone. */
  instructionFault(message: string, range: SourceRange): DockerfileError {
    return this.fault(`dockerfile parse error on line ${range.start.line}: ${message}`, range);
  }

  /** Directives come first in the file; the first line that is none ends them. */
  #directive(line: string): boolean {
    if (!this.#directivesOpen) return false;
    const [, name = "", value = ""] = directiveForm.exec(line) ?? [];
    const key = name.toLowerCase();
    if (key !== "syntax" && key !== "escape" && key !== "check") {
      this.#directivesOpen = false;
      return false;
    }
    const range = lineRange(this.#at + 1, line);
    if (this.#directives.has(key)) throw this.fault(`only one ${key} parser directive can be used`, range);
    this.#directives.set(key, { value, range });
    if (key === "escape") {
      if (value !== "\\" && value !== "`")
        throw this.fault(`invalid escape token '${value}' does not match \` or \\`, range);
      this.#escape = value;
    }
    return true;
  }

  #instruction(comments: readonly string[]): LogicalLine {
    const escape = this.#escape === "\\" ? "\\\\" : "`";
    // An escape character at the end continues the line, unless it is escaped itself.
    const continued = new RegExp(`([^${escape}])${escape}[ \\t]*$|^${escape}[ \\t]*$`);
    const firstLine = this.#at;
    let text = "";
    let emptyContinuation = false;
    let open = true;
    let end: Position = { line: 0, character: 0 };
    while (open && this.#at < this.#lines.length) {
      const line = this.#lines[this.#at]!.replace(/[\r\n]+$/, "");
      this.#at++;
      if (this.#at - 1 > firstLine) {
        if (comment.test(line)) continue;
        if (line.trim() === "") {
          emptyContinuation = true;
          continue;
        }
      }
      const shown = this.#at - 1 === firstLine ? line.trimStart() : line;
      open = continued.test(shown);
      text += open ? shown.replace(continued, "$1") : shown;
      end = { line: this.#at, character: line.trimEnd().length };
    }
    const first = this.#lines[firstLine]!;
    return {
      text,
      comments,
      range: {
        start: { line: firstLine + 1, character: first.length - first.trimStart().length },
        end,
      },
      emptyContinuation: emptyContinuation
        ? { start: { line: this.#at, character: 0 }, end: { line: this.#at, character: 0 } }
        : undefined,
    };
  }
}

/** A `#!` line may stand before the directives that say which frontend and checks are meant. */
function shebangDirective(
  lines: readonly string[],
  key: string,
): { value: string; range: SourceRange } | undefined {
  if (lines[0]?.startsWith("#!") !== true) return undefined;
  for (let at = 1; at < lines.length; at++) {
    const [, name = "", value = ""] = directiveForm.exec(lines[at]!.trimEnd()) ?? [];
    if (!["syntax", "escape", "check"].includes(name.toLowerCase())) return undefined;
    if (name.toLowerCase() === key) return { value, range: lineRange(at + 1, lines[at]!) };
  }
  return undefined;
}
