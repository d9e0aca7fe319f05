/** Splitting an instruction into its name, flags and words. */

const blanks = /[\t\v\f\r ]+/;

/** At the first blank: the instruction's name, and what is behind it, flags included. */
export function splitName(text: string): { readonly name: string; readonly rest: string } {
  const trimmed = text.trim();
  const at = trimmed.search(blanks);
  if (at === -1) return { name: trimmed, rest: "" };
  return { name: trimmed.slice(0, at), rest: trimmed.slice(at).replace(/^[\t\v\f\r ]+/, "") };
}

/** Words at blanks. */
export function splitAtBlanks(text: string): string[] {
  return text === "" ? [] : text.split(blanks);
}

/** At the first run of blanks. */
export function splitOnce(text: string): [string] | [string, string] {
  const at = text.search(blanks);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at).replace(/^[\t\v\f\r ]+/, "")];
}

/**
 * Takes the `--flag` words from the beginning; quotes and escapes in them have done their work. `--` alone ends them.
 */
export function takeFlags(
  text: string,
  escape: string,
): { readonly flags: readonly string[]; readonly rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && /\s/.test(text[at]!)) at++;
    if (!text.startsWith("--", at)) return { flags, rest: text.slice(at).trim() };
    const { word, end } = takeFlag(text, at, escape);
    at = end;
    if (word === "--") return { flags, rest: text.slice(at).trim() };
    flags.push(word);
  }
}

function takeFlag(text: string, from: number, escape: string): { word: string; end: number } {
  let word = "";
  let quote = "";
  let at = from;
  for (; at < text.length; at++) {
    const character = text[at]!;
    if (quote === "" && /\s/.test(character)) break;
    if (quote === "" && (character === "'" || character === '"')) quote = character;
    else if (character === quote) quote = "";
    else if (character === escape) word += text[++at] ?? "";
    else word += character;
  }
  return { word, end: at };
}

/** Words at blanks outside of quotes; quotes and escapes stay (ENV, LABEL, ARG). */
export function splitWords(text: string, escape: string): string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  let quoted = false;
  const end = (): void => {
    if (word !== "" || quoted) words.push(word);
    word = "";
    quoted = false;
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (quote === "" && /\s/.test(character)) {
      end();
    } else if (character === escape && quote !== "'") {
      // One that ends the text escapes nothing.
      if (at + 1 < text.length) word += character + text[++at]!;
    } else {
      word += character;
      if (quote === character) quote = "";
      else if (quote === "" && (character === "'" || character === '"')) {
        quote = character;
        quoted = true;
      }
    }
  }
  end();
  return words;
}

/** The strings of a JSON list; undefined when the text is no JSON list; throws a plain `Error` when others are in it. */
export function jsonWords(text: string): string[] | undefined {
  if (!text.trimStart().startsWith("[")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  if (value.every((item) => typeof item === "string")) return value;
  throw new Error("when using JSON array syntax, arrays must be comprised of strings only");
}
