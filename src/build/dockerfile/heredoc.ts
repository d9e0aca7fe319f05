/** Here-documents (`<<EOF`) of RUN, COPY and ADD (Dockerfile reference, "Here-Documents"). */
import type { CommandLine, Heredoc } from "./ast.ts";
import { processWord } from "./word.ts";

/** `3<<-'EOF'`, before its lines are known. */
export type HeredocStart = Omit<Heredoc, "data" | "range">;

const form = /^(\d*)<<(-?)\s*([^<]*)$/;
const nothing: ReadonlyMap<string, string> = new Map();

/** Reads one word; undefined when it starts no here-document. */
export function heredocStart(word: string): HeredocStart | undefined {
  const [, descriptor = "", dash = "", rest = ""] = form.exec(word) ?? [];
  if (rest === "") return undefined;
  const options = { escape: "\\", keepUnset: true } as const;
  const plain = processWord(rest, nothing, options).words;
  if (plain.length !== 1) return undefined;
  // Quotes that go away when the word is read say that nothing in the document is replaced.
  const raw = processWord(rest, nothing, { ...options, rawQuotes: true }).words;
  const quotes = (text: string | undefined): number => text?.match(/['"]/g)?.length ?? 0;
  return {
    name: plain[0]!,
    chomp: dash === "-",
    descriptor: descriptor === "" ? 0 : Number(descriptor),
    expand: quotes(plain[0]) === quotes(raw[0]),
  };
}

/** All that an instruction's text starts, in order. */
export function heredocStarts(text: string): HeredocStart[] {
  if (!text.includes("<<")) return [];
  let words: readonly string[];
  try {
    words = processWord(text, nothing, {
      escape: "\\",
      rawQuotes: true,
      rawEscapes: true,
      keepUnset: true,
    }).words;
  } catch {
    // A text for the shell, with quotes that are its own matter.
    return [];
  }
  return words.map(heredocStart).filter((start) => start !== undefined);
}

/** Takes the tabs from the beginnings of the lines. */
export function chompTabs(text: string): string {
  return text.replace(/^\t+/gm, "");
}

export type RunScript =
  /** For the shell. */
  | { readonly kind: "text"; readonly text: string }
  /** A program of its own: it begins with `#!`. BuildKit puts it at `/dev/pipes/<name>`. */
  | { readonly kind: "file"; readonly name: string; readonly data: string };

/** What the shell form of RUN runs, here-documents included. */
export function runScript(command: CommandLine): RunScript {
  const text = command.words.join(" ");
  const [first] = command.heredocs;
  if (first === undefined) return { kind: "text", text };
  if (heredocStart(text) === undefined)
    return {
      kind: "text",
      text: text + command.heredocs.map(({ data, name }) => `\n${data}${name}`).join(""),
    };
  const data = first.chomp ? chompTabs(first.data) : first.data;
  return data.startsWith("#!") ? { kind: "file", name: first.name, data } : { kind: "text", text: data };
}

/** The first line, for a step's name: `RUN <<EOF (apt-get update...)`. */
export function heredocSummary(data: string): string {
  const [first = "", ...others] = data.trim().split(/\r?\n/);
  return others.length > 0 ? `${first}...` : first;
}
