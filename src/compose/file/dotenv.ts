/** Files of variables: `.env`, and those that `env_file` names. Compose specification, "Env_file format". */
import { controlEscapes } from "../../base/go-escapes.ts";
import { interpolate, type Lookup } from "./interpolate.ts";

/** A line that is no variable; the message says which. */
export class DotenvError extends Error {
  override readonly name = "DotenvError";
}

/**
 * The variables of a file. In values without quotes and in double quotes variables are replaced: by what `lookup` knows,
 * else by earlier lines. A name alone takes what `lookup` knows. Throws {@link DotenvError}.
 */
export function parseDotenv(text: string, lookup: Lookup): Map<string, string> {
  return new Parser(text.replace(/^\uFEFF/, ""), lookup).parse();
}

/** The variables of a file that is taken as it is (`format: raw`): `NAME=value` a line, nothing has a meaning. */
export function parseRawEnv(text: string, lookup: Lookup): Map<string, string> {
  const variables = new Map<string, string>();
  for (const [index, raw] of text
    .replace(/^\uFEFF/, "")
    .split("\n")
    .entries()) {
    const line = raw.replace(/\r$/, "").trimStart();
    if (line === "" || line.startsWith("#")) continue;
    const equals = line.indexOf("=");
    const name = equals < 0 ? line : line.slice(0, equals);
    if (name === "") throw new DotenvError(`line ${index + 1}: no variable name on line '${line}'`);
    if (/\s/.test(name)) throw new DotenvError(`line ${index + 1}: variable '${name}' contains whitespaces`);
    const value = equals < 0 ? lookup(name) : line.slice(equals + 1);
    if (value !== undefined) variables.set(name, value);
  }
  return variables;
}

const blank = " \t\v\f\r\u0085\u00a0";

class Parser {
  readonly #text: string;
  readonly #lookup: Lookup;
  readonly #variables = new Map<string, string>();
  #index = 0;

  constructor(text: string, lookup: Lookup) {
    this.#text = text;
    this.#lookup = lookup;
  }

  parse(): Map<string, string> {
    for (;;) {
      this.#skipToStatement();
      if (this.#index >= this.#text.length) return this.#variables;
      this.#statement();
    }
  }

  #skipToStatement(): void {
    for (;;) {
      while (this.#index < this.#text.length && /\s/.test(this.#text[this.#index]!)) this.#index++;
      if (this.#text[this.#index] !== "#") return;
      const end = this.#text.indexOf("\n", this.#index);
      this.#index = end < 0 ? this.#text.length : end;
    }
  }

  get #line(): number {
    return this.#text.slice(0, this.#index).split("\n").length;
  }

  #statement(): void {
    const exported = /^export\s+/.exec(this.#text.slice(this.#index, this.#index + 64));
    if (exported !== null) this.#index += exported[0].length;
    const start = this.#index;
    const match = /[^=:\n]*/y;
    match.lastIndex = start;
    const name = match.exec(this.#text)![0].trimEnd();
    const bad = /[^\p{L}\p{N}_.[\]\s-]/u.exec(name);
    if (bad !== null) {
      const line = this.#text.slice(start).split("\n")[0]!;
      throw new DotenvError(
        `line ${this.#line}: unexpected character ${JSON.stringify(bad[0])} in variable name ${JSON.stringify(line)}`,
      );
    }
    if (/\s/.test(name)) throw new DotenvError(`line ${this.#line}: key cannot contain a space`);
    const separator = this.#text[match.lastIndex];
    this.#index = match.lastIndex + 1;
    if (separator === "=" || separator === ":") {
      this.#skipBlank();
      this.#variables.set(name, this.#value());
      return;
    }
    const inherited = this.#lookup(name);
    if (inherited !== undefined) this.#variables.set(name, inherited);
  }

  #skipBlank(): void {
    while (this.#index < this.#text.length && blank.includes(this.#text[this.#index]!)) this.#index++;
  }

  #value(): string {
    const quote = this.#text[this.#index];
    if (quote === '"' || quote === "'") return this.#quoted(quote);
    const lineEnd = this.#text.indexOf("\n", this.#index);
    const end = lineEnd < 0 ? this.#text.length : lineEnd;
    const line = this.#text.slice(this.#index, end);
    this.#index = end;
    const comment = line.indexOf(" #");
    return this.#expand((comment < 0 ? line : line.slice(0, comment)).trimEnd());
  }

  #quoted(quote: string): string {
    const line = this.#line;
    const start = this.#index;
    let value = "";
    for (let index = start + 1; index < this.#text.length; index++) {
      const char = this.#text[index]!;
      if (char === quote) {
        this.#index = index + 1;
        return quote === '"' ? this.#expand(expandEscapes(value)) : value;
      }
      const next = this.#text[index + 1];
      if (char === "\\" && next === quote) {
        value += quote;
        index++;
      } else if (char === "\\" && next !== undefined) {
        value += char + next;
        index++;
      } else value += char;
    }
    throw new DotenvError(
      `line ${line}: unterminated quoted value ${this.#text.slice(start).split("\n")[0]!}`,
    );
  }

  #expand(value: string): string {
    return interpolate(value, { lookup: (name) => this.#lookup(name) ?? this.#variables.get(name) });
  }
}

const escapes: Readonly<Record<string, string>> = {
  ...controlEscapes,
  '"': '"',
  "\\": "\\",
  // Left to the replacement of variables, for which two dollar signs are one.
  $: "$$",
};

function expandEscapes(value: string): string {
  return value.replace(/\\(?:([abcfnrtv$"\\])|0(\d{0,3}))/g, (all, letter?: string, octal?: string) => {
    if (letter !== undefined) return escapes[letter] ?? all;
    return /^[0-7]{3}$/.test(octal ?? "") ? String.fromCharCode(Number.parseInt(octal!, 8)) : all;
  });
}
