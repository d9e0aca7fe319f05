/** One instruction as text, on its way into the syntax tree. */
import type { Heredoc, SourceRange } from "./ast.ts";
import { type FlagKind, FlagValues } from "./flags.ts";
import { jsonWords } from "./split.ts";

export interface InstructionText {
  /** As it was written. */
  readonly name: string;
  readonly flags: readonly string[];
  /** What is behind name and flags. */
  readonly rest: string;
  readonly code: string;
  readonly range: SourceRange;
  readonly comments: readonly string[];
  readonly heredocs: readonly Heredoc[];
  readonly escape: "\\" | "`";
}

/** What every instruction of the tree has. */
export function common(text: InstructionText): {
  range: SourceRange;
  name: string;
  code: string;
  comments: readonly string[];
} {
  const { range, name, code, comments } = text;
  return { range, name, code, comments };
}

export function readFlags(text: InstructionText, known: Readonly<Record<string, FlagKind>> = {}): FlagValues {
  return new FlagValues(text.flags, known);
}

/** JSON form or shell form of what is to be run. */
export function commandWords(text: string): { readonly form: "shell" | "exec"; readonly words: string[] } {
  const list = jsonWords(text);
  if (list !== undefined) return { form: "exec", words: list };
  return { form: "shell", words: text === "" ? [] : [text] };
}

export function needsOne(instruction: string, text: string): string {
  if (text === "") throw new Error(`${instruction} requires exactly one argument`);
  return text;
}

export function needsSome<T>(instruction: string, list: readonly T[]): readonly T[] {
  if (list.length === 0) throw new Error(`${instruction} requires at least one argument`);
  return list;
}

/** The comment line that begins with `name`: what it says behind it. */
export function descriptionOf(name: string, comments: readonly string[]): string | undefined {
  return comments.find((line) => name !== "" && line.startsWith(`${name} `))?.slice(name.length + 1);
}
