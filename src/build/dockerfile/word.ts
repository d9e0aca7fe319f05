/**
 * Quotes, escapes and variables in the words of a Dockerfile (Dockerfile reference, "Environment replacement"; POSIX shell
 * 2.6.2, "Parameter Expansion").
 */
import { invalidArgument, errorText } from "../../base/errors.ts";
import { matchPrefix, matchSuffix, replaceMatches } from "./word-pattern.ts";

export interface WordOptions {
  readonly escape: "\\" | "`";
  /** Quotes stay in the result, though they go on holding blanks together. */
  readonly rawQuotes?: boolean;
  /** Escape characters stay in the result. */
  readonly rawEscapes?: boolean;
  /** Quotes are characters as all others, as in a here-document. */
  readonly plainQuotes?: boolean;
  /** A variable without a value stays as it is written. */
  readonly keepUnset?: boolean;
  /** Not all variables are known: `${name:?message}` lets one be missing. */
  readonly isPartial?: boolean;
}

export interface WordResult {
  /** All in one piece, blanks kept. */
  readonly text: string;
  /** Split at blanks outside of quotes, after variables were replaced. */
  readonly words: readonly string[];
  /** Names of variables that had a value. */
  readonly matched: ReadonlySet<string>;
  /** Names of variables that had none. */
  readonly unmatched: ReadonlySet<string>;
}

/** Throws `invalidArgument` for quotes and braces that do not end, for unknown modifiers, and for `${name:?message}`. */
export function processWord(
  source: string,
  variables: ReadonlyMap<string, string>,
  options: WordOptions,
): WordResult {
  const scanner = new WordScanner(source, variables, options);
  try {
    const { text, words } = scanner.until(undefined, options.rawEscapes === true);
    return { text, words, matched: scanner.matched, unmatched: scanner.unmatched };
  } catch (error) {
    if (error instanceof WordFault)
      throw invalidArgument(`failed to process ${JSON.stringify(source)}: ${error.message}`);
    throw error;
  }
}

class WordFault extends Error {}

const blank = /^\s$/u;
const digit = /^\d$/u;
const nameCharacter = /^[\p{L}\p{Nd}_]$/u;
/** POSIX's special parameters; `$$` and the like are no names of variables. */
const specialParameters = "@*#?-$!0";

/** Collects words while the text is read. */
class WordList {
  readonly words: string[] = [];
  #word = "";

  character(character: string): void {
    if (blank.test(character)) this.end();
    else this.#word += character;
  }

  /** Blanks in it are part of the word. */
  raw(text: string): void {
    this.#word += text;
  }

  end(): void {
    if (this.#word !== "") this.words.push(this.#word);
    this.#word = "";
  }
}

class WordScanner {
  readonly matched = new Set<string>();
  readonly unmatched = new Set<string>();
  readonly #characters: readonly string[];
  readonly #variables: ReadonlyMap<string, string>;
  readonly #options: WordOptions;
  #at = 0;
  #rawEscapes = false;

  constructor(source: string, variables: ReadonlyMap<string, string>, options: WordOptions) {
    this.#characters = Array.from(source);
    this.#variables = variables;
    this.#options = options;
  }

  get #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #next(): string | undefined {
    return this.#characters[this.#at++];
  }

  get #atEnd(): boolean {
    return this.#at >= this.#characters.length;
  }

  /** Reads up to `stop`, which is taken too, or to the end. */
  until(stop: string | undefined, rawEscapes: boolean): { text: string; words: string[] } {
    const before = this.#rawEscapes;
    this.#rawEscapes = rawEscapes;
    let text = "";
    const list = new WordList();
    const done = (): { text: string; words: string[] } => {
      this.#rawEscapes = before;
      list.end();
      return { text, words: list.words };
    };
    while (!this.#atEnd) {
      const character = this.#peek!;
      if (character === stop) {
        this.#at++;
        return done();
      }
      if (character === "$") {
        const value = this.#dollar();
        text += value;
        for (const one of value) list.character(one);
      } else if ((character === "'" || character === '"') && this.#options.plainQuotes !== true) {
        const value = character === "'" ? this.#singleQuoted() : this.#doubleQuoted();
        text += value;
        list.raw(value);
      } else if (character === "<") {
        const value = this.#angles();
        text += value;
        list.raw(value);
      } else {
        this.#at++;
        if (character !== this.#options.escape) {
          text += character;
          list.character(character);
          continue;
        }
        if (this.#rawEscapes) {
          text += character;
          list.raw(character);
        }
        const escaped = this.#next();
        if (escaped === undefined) break;
        text += escaped;
        list.raw(escaped);
      }
    }
    if (stop !== undefined)
      throw new WordFault(`unexpected end of statement while looking for matching ${stop}`);
    return done();
  }

  /** Nothing in single quotes has a meaning. */
  #singleQuoted(): string {
    const from = this.#at;
    const end = this.#characters.indexOf("'", from + 1);
    if (end === -1)
      throw new WordFault("unexpected end of statement while looking for matching single-quote");
    this.#at = end + 1;
    return this.#options.rawQuotes === true
      ? this.#characters.slice(from, end + 1).join("")
      : this.#characters.slice(from + 1, end).join("");
  }

  /** Variables are replaced; the escape character counts before `"`, `$` and itself only. */
  #doubleQuoted(): string {
    const { escape, rawQuotes } = this.#options;
    const quote = rawQuotes === true ? '"' : "";
    let text = quote;
    this.#at++;
    for (;;) {
      const character = this.#peek;
      if (character === undefined)
        throw new WordFault("unexpected end of statement while looking for matching double-quote");
      if (character === "$") {
        text += this.#dollar();
        continue;
      }
      this.#at++;
      if (character === '"') return text + quote;
      if (character !== escape) {
        text += character;
        continue;
      }
      if (this.#rawEscapes) text += character;
      const following = this.#peek;
      if (following === undefined) continue;
      if (following === '"' || following === "$" || following === escape) {
        this.#at++;
        text += following;
      } else {
        text += character;
      }
    }
  }

  /** `<<` with the blanks behind it, so that the word of a here-document stays with it. */
  #angles(): string {
    this.#at++;
    if (this.#peek !== "<") return "<";
    let text = "<<";
    this.#at++;
    while (this.#peek !== undefined && /^[\t\r ]$/.test(this.#peek)) text += this.#next()!;
    return text;
  }

  #name(): string {
    const first = this.#peek;
    if (first === undefined) return "";
    if (specialParameters.includes(first) && !digit.test(first)) {
      this.#at++;
      return first;
    }
    const form = digit.test(first) ? digit : nameCharacter;
    let name = "";
    while (this.#peek !== undefined && form.test(this.#peek)) name += this.#next()!;
    return name;
  }

  #value(name: string): string | undefined {
    const value = this.#variables.get(name);
    (value === undefined ? this.unmatched : this.matched).add(name);
    return value;
  }

  #dollar(): string {
    this.#at++;
    if (this.#peek !== "{") {
      const name = this.#name();
      if (name === "") return "$";
      return this.#value(name) ?? (this.#options.keepUnset === true ? `$${name}` : "");
    }
    this.#at++;
    const first = this.#peek;
    if (first === undefined) throw new WordFault("syntax error: missing '}'");
    if (first === "{" || first === "}" || first === ":")
      throw new WordFault("syntax error: bad substitution");
    const name = this.#name();
    const modifier = this.#next();
    if (modifier === "}") return this.#value(name) ?? (this.#options.keepUnset === true ? `\${${name}}` : "");
    if (modifier === "/") return this.#replacement(name);
    return this.#modified(name, modifier);
  }

  /** `${name-word}` and its kin; the text before and including the modifier's first character has been read. */
  #modified(name: string, first: string | undefined): string {
    const orEmpty = first === ":";
    const sign = orEmpty ? this.#next() : first;
    const written = orEmpty ? `:${sign ?? ""}` : (first ?? "");
    const trims = sign === "#" || sign === "%";
    if (sign === undefined || !"+-?#%".includes(sign) || (orEmpty && trims))
      throw new WordFault(`unsupported modifier (${written}) in substitution`);
    const word = this.#braced("}", "}", trims);
    const value = this.#value(name);
    if (value === undefined && this.#options.keepUnset === true) return `\${${name}${written}${word}}`;
    const missing = value === undefined || (orEmpty && value === "");
    switch (sign) {
      case "-":
        return missing ? word : value;
      case "+":
        return missing ? "" : word;
      case "?":
        if (!missing || this.#options.isPartial === true) return value ?? "";
        throw new WordFault(
          `${name}: ${word || `is not allowed to be ${value === undefined ? "unset" : "empty"}`}`,
        );
      default: {
        const longest = word.startsWith(sign);
        const pattern = longest ? word.slice(1) : word;
        return this.#matching(pattern, () =>
          (sign === "#" ? matchPrefix : matchSuffix)(pattern, value ?? "", longest),
        );
      }
    }
  }

  /** `${name/pattern/text}` and `${name//pattern/text}`, behind the first slash. */
  #replacement(name: string): string {
    const all = this.#peek === "/";
    if (all) this.#at++;
    const pattern = this.#braced("/", "/' in ${}", true);
    const text = this.#braced("}", "}", true);
    const value = this.#value(name);
    if (value === undefined && this.#options.keepUnset === true)
      return `\${${name}/${all ? "/" : ""}${pattern}/${text}}`;
    return this.#matching(pattern, () => replaceMatches(pattern, value ?? "", text, all));
  }

  #matching(pattern: string, match: () => string): string {
    try {
      return match();
    } catch (error) {
      throw new WordFault(`invalid pattern (${pattern}) in substitution: ${errorText(error)}`, {
        cause: error,
      });
    }
  }

  #braced(stop: string, shown: string, rawEscapes: boolean): string {
    try {
      return this.until(stop, rawEscapes).text;
    } catch (error) {
      if (error instanceof WordFault && this.#atEnd)
        throw new WordFault(`syntax error: missing '${shown}${shown.length === 1 ? "'" : ""}`, {
          cause: error,
        });
      throw error;
    }
  }
}
