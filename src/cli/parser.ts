import { exitUsage, UsageError } from "./errors.ts";
import {
  goQuote,
  parseBool,
  parseBytes,
  parseCommaSeparated,
  parseDuration,
  parseFilter,
  parseInteger,
  parseNanoCpus,
  parseUnsigned,
} from "./flag-values.ts";
import { defaultValue, flagLabel, type FlagSpec, type FlagValue } from "./flags.ts";

/** What a command line said, read by the flags of its command. */
export class ParsedArguments {
  /** What is no flag, in order. */
  readonly positional: readonly string[];
  /** `--help` (or `-h`, where that is no flag of the command) was given. */
  readonly helpWanted: boolean;
  readonly #values: ReadonlyMap<string, FlagValue>;
  readonly #flags: ReadonlyMap<string, FlagSpec>;

  constructor(
    parts: { positional: readonly string[]; helpWanted: boolean },
    values: ReadonlyMap<string, FlagValue>,
    flags: ReadonlyMap<string, FlagSpec>,
  ) {
    this.positional = parts.positional;
    this.helpWanted = parts.helpWanted;
    this.#values = values;
    this.#flags = flags;
  }

  /** True when the flag was on the command line, also with its default value. */
  changed(name: string): boolean {
    this.#flag(name);
    return this.#values.has(name);
  }

  /** Value of a `bool` flag. */
  bool(name: string): boolean {
    return this.#value(name) as boolean;
  }

  /** Value of a `string` flag; empty when it was not given. */
  string(name: string): string {
    return this.#value(name) as string;
  }

  /** Value of an `int`, `uint`, `bytes` (bytes), `duration` (ns) or `decimal` (billionths) flag. */
  number(name: string): number {
    return this.#value(name) as number;
  }

  /** Values of a `list` or `strings` flag in the order they were given. */
  list(name: string): readonly string[] {
    return this.#value(name) as readonly string[];
  }

  /** Value of a `map` flag. */
  map(name: string): Readonly<Record<string, string>> {
    return this.#value(name) as Readonly<Record<string, string>>;
  }

  /** Value of a `filter` flag. */
  filters(name: string): Readonly<Record<string, readonly string[]>> {
    return this.#value(name) as Readonly<Record<string, readonly string[]>>;
  }

  #flag(name: string): FlagSpec {
    const flag = this.#flags.get(name);
    if (flag === undefined) throw new Error(`The command has no flag --${name}.`);
    return flag;
  }

  #value(name: string): FlagValue {
    const flag = this.#flag(name);
    return this.#values.get(name) ?? defaultValue(flag);
  }
}

export interface ParseOptions {
  /** Everything from the first argument that is no flag on is an argument: it belongs to the program in a container. */
  readonly stopAtFirstArgument?: boolean;
}

/**
 * Reads a command line by the rules of Go's pflag, which Docker's command line uses: `--flag=value`, `--flag value`,
 * `-fvalue`, `-f=value`, combined short flags, `--` ends the flags, and a bool takes its value only after `=`.
 *
 * Throws {@link UsageError} with pflag's words for what it does not understand.
 */
export function parseArguments(
  words: readonly string[],
  flags: readonly FlagSpec[],
  options: ParseOptions = {},
): ParsedArguments {
  return new Parser(words, flags).parse(options.stopAtFirstArgument === true);
}

class Parser {
  readonly #words: readonly string[];
  readonly #byName = new Map<string, FlagSpec>();
  readonly #byShort = new Map<string, FlagSpec>();
  readonly #values = new Map<string, FlagValue>();
  #index = 0;
  #helpWanted = false;

  constructor(words: readonly string[], flags: readonly FlagSpec[]) {
    this.#words = words;
    for (const flag of flags) {
      this.#byName.set(flag.name, flag);
      if (flag.short !== undefined) this.#byShort.set(flag.short, flag);
    }
  }

  parse(stopAtFirstArgument: boolean): ParsedArguments {
    const positional: string[] = [];
    while (this.#index < this.#words.length) {
      const word = this.#words[this.#index++]!;
      if (word === "--") {
        positional.push(...this.#words.slice(this.#index));
        break;
      }
      if (word.startsWith("--")) this.#long(word);
      else if (word.startsWith("-") && word !== "-") this.#shorts(word.slice(1));
      else {
        positional.push(word);
        if (!stopAtFirstArgument) continue;
        positional.push(...this.#words.slice(this.#index));
        break;
      }
      // Help wins over everything after it, also over what is wrong there.
      if (this.#helpWanted) break;
    }
    return new ParsedArguments({ positional, helpWanted: this.#helpWanted }, this.#values, this.#byName);
  }

  #long(word: string): void {
    const body = word.slice(2);
    if (body.startsWith("-") || body.startsWith("=")) throw usage(`bad flag syntax: ${word}`);
    const equals = body.indexOf("=");
    const name = equals < 0 ? body : body.slice(0, equals);
    const flag = this.#byName.get(name);
    if (flag === undefined) {
      if (name !== "help") throw usage(`unknown flag: --${name}`);
      this.#helpWanted = equals < 0 || parseBool(body.slice(equals + 1));
      return;
    }
    if (equals >= 0) return this.#set(flag, body.slice(equals + 1));
    const alone = aloneValue(flag);
    if (alone !== undefined) return this.#set(flag, alone);
    const next = this.#words[this.#index++];
    if (next === undefined) throw usage(`flag needs an argument: --${name}`);
    this.#set(flag, next);
  }

  #shorts(letters: string): void {
    let rest = letters;
    while (rest !== "") {
      const letter = String.fromCodePoint(rest.codePointAt(0)!);
      const flag = this.#byShort.get(letter);
      if (flag === undefined) {
        if (letter !== "h") throw usage(`unknown shorthand flag: '${letter}' in -${rest}`);
        this.#helpWanted = true;
        return;
      }
      const after = rest.slice(letter.length);
      const alone = aloneValue(flag);
      if (after.startsWith("=") && after.length > 1) return this.#set(flag, after.slice(1));
      if (alone !== undefined) {
        this.#set(flag, alone);
        rest = after;
        continue;
      }
      if (after !== "") return this.#set(flag, after);
      const next = this.#words[this.#index++];
      if (next === undefined) throw usage(`flag needs an argument: '${letter}' in -${rest}`);
      return this.#set(flag, next);
    }
  }

  #set(flag: FlagSpec, text: string): void {
    const target = flag.aliasOf === undefined ? flag : this.#byName.get(flag.aliasOf)!;
    let value: FlagValue;
    try {
      value = readValue(target, text, this.#values.get(target.name));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw usage(`invalid argument ${goQuote(text)} for ${goQuote(flagLabel(flag))} flag: ${why}`);
    }
    if (target.refused !== undefined && value !== defaultValue(target)) {
      throw usage(`--${target.name} is not served by gantry: ${target.refused}`);
    }
    this.#values.set(target.name, value);
  }
}

function usage(message: string): UsageError {
  return new UsageError(message, exitUsage);
}

function aloneValue(flag: FlagSpec): string | undefined {
  return flag.optionalValue ?? (flag.type === "bool" ? "true" : undefined);
}

function readValue(flag: FlagSpec, text: string, earlier: FlagValue | undefined): FlagValue {
  switch (flag.type) {
    case "bool":
      return parseBool(text);
    case "int":
      return parseInteger(text);
    case "uint":
      return parseUnsigned(text, 64);
    case "uint16":
      return parseUnsigned(text, 16);
    case "bytes":
      return parseBytes(text);
    case "duration":
      return parseDuration(text);
    case "decimal":
      return parseNanoCpus(text);
    case "string":
      flag.validate?.(text);
      return text;
    case "list":
    case "strings": {
      const values = flag.type === "list" ? [text] : parseCommaSeparated(text);
      for (const value of values) flag.validate?.(value);
      return [...((earlier as readonly string[] | undefined) ?? []), ...values];
    }
    case "map": {
      flag.validate?.(text);
      const equals = text.indexOf("=");
      const [key, value] = equals < 0 ? [text, ""] : [text.slice(0, equals), text.slice(equals + 1)];
      return { ...(earlier as Record<string, string> | undefined), [key]: value };
    }
    default: {
      if (text === "") return earlier ?? {};
      const [key, value] = parseFilter(text);
      const all = { ...(earlier as Record<string, readonly string[]> | undefined) };
      all[key] = [...(all[key] ?? []), value];
      return all;
    }
  }
}
