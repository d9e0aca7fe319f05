/** The `--name=value` options of an instruction. */
import { didYouMean } from "./suggest.ts";

export type FlagKind = "boolean" | "string" | "strings";

/** What an instruction's flags say. A flag that is not given is missing. */
export class FlagValues {
  readonly #values = new Map<string, readonly string[]>();

  /** Reads flags of the names and kinds in `known`. Throws a plain `Error`, to which the reader adds the place. */
  constructor(flags: readonly string[], known: Readonly<Record<string, FlagKind>>) {
    for (const flag of flags) {
      const [, shown = flag, name = "", value] = /^(--([^=]*))(?:=(.*))?$/s.exec(flag) ?? [];
      const kind = Object.hasOwn(known, name) ? known[name] : undefined;
      if (kind === undefined)
        throw new Error(`unknown flag: ${shown}${didYouMean(name, Object.keys(known))}`);
      if (this.#values.has(name) && kind !== "strings") throw new Error(`duplicate flag specified: ${shown}`);
      const given = kind === "boolean" ? booleanValue(shown, value) : value;
      if (given === undefined) throw new Error(`missing a value on flag: ${shown}`);
      this.#values.set(name, [...(this.#values.get(name) ?? []), given]);
    }
  }

  /** Undefined when the flag is not given or empty. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.[0] || undefined;
  }

  texts(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** Undefined when the flag is not given. */
  flag(name: string): boolean | undefined {
    const value = this.#values.get(name)?.[0];
    return value === undefined ? undefined : value === "true";
  }
}

function booleanValue(shown: string, value: string | undefined): string | undefined {
  if (value === undefined) return "true";
  if (value === "") return undefined;
  const word = value.toLowerCase();
  if (word === "true" || word === "false") return word;
  throw new Error(`expecting boolean value for flag ${shown}, not: ${value}`);
}
