import { invalidArgument } from "../base/errors.ts";
import { goQuote } from "../base/go-text.ts";
import type { Filters } from "../wire/system.ts";

const falseWords = new Set(["", "0", "no", "false", "none"]);

/** The query parameters of a request, read by Docker's rules. Unknown parameters are ignored. */
export class Query {
  readonly #params: URLSearchParams;

  constructor(text: string) {
    this.#params = new URLSearchParams(text);
  }

  /** The first value; undefined when it is missing or empty. */
  text(name: string): string | undefined {
    return this.#params.get(name) || undefined;
  }

  has(name: string): boolean {
    return this.#params.has(name);
  }

  /** All values of a parameter that may be repeated, without empty ones. */
  texts(name: string): string[] {
    return this.#params.getAll(name).filter((value) => value !== "");
  }

  /** All values of a parameter that may be repeated, empty ones too. */
  all(name: string): string[] {
    return this.#params.getAll(name);
  }

  /** Missing, empty, `0`, `no`, `false` and `none` are false, anything else is true. */
  flag(name: string): boolean {
    return !falseWords.has((this.#params.get(name) ?? "").trim().toLowerCase());
  }

  /** A whole number, undefined when missing. Throws `invalidArgument` for anything else, in the words of Go's `strconv`. */
  integer(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (!/^[+-]?\d{1,15}$/.test(value)) {
      throw invalidArgument(`strconv.Atoi: parsing ${goQuote(value)}: invalid syntax`);
    }
    return Number(value);
  }

  /**
   * A unix time in seconds with an optional fraction (`1700000000.000000001`) as ns since the epoch; undefined when it
   * is missing. Throws `invalidArgument`.
   */
  timeNs(name: string): bigint | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const match = /^(-?)(\d{1,12})(?:\.(\d{0,9}))?\d*$/.exec(value);
    if (match === null) {
      throw invalidArgument(`strconv.ParseInt: parsing ${goQuote(value)}: invalid syntax`);
    }
    const ns = BigInt(match[2]!) * 1_000_000_000n + BigInt((match[3] ?? "").padEnd(9, "0"));
    return match[1] === "-" ? -ns : ns;
  }

  /**
   * The `filters` parameter: `{"key":{"value":true}}`, or the older `{"key":["value"]}`. Empty or missing is no filter.
   * Which keys exist is the engine's business. Throws `invalidArgument` when it is not of that form.
   */
  filters(): Filters {
    const text = this.text("filters");
    if (text === undefined) return new Map();
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      throw invalidArgument(`invalid filter: "${text}" is not JSON`);
    }
    if (parsed === null) return new Map();
    if (typeof parsed !== "object" || Array.isArray(parsed)) throw badFilters(text);
    return new Map(Object.entries(parsed).map(([key, values]) => [key, filterValues(values, text)]));
  }
}

function filterValues(values: unknown, text: string): string[] {
  if (Array.isArray(values)) {
    if (!values.every((value) => typeof value === "string")) throw badFilters(text);
    return values;
  }
  if (typeof values !== "object" || values === null) throw badFilters(text);
  if (!Object.values(values).every((value) => typeof value === "boolean")) throw badFilters(text);
  return Object.keys(values);
}

function badFilters(text: string): Error {
  return invalidArgument(`invalid filter: ${text} is not of the form {"key":{"value":true}}`);
}
