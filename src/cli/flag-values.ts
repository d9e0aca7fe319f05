/**
 * Readers of flag values. Each takes the text of the command line and throws `Error` with the words of Go's standard
 * library and of Docker's option types, because scripts look at them.
 */

import { durationUnits } from "../base/duration.ts";
import { goQuote, readInteger } from "../base/go-text.ts";

export { goQuote, parseInteger } from "../base/go-text.ts";

const trueWords = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const falseWords = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** Go's `strconv.ParseBool`. */
export function parseBool(text: string): boolean {
  if (trueWords.has(text)) return true;
  if (falseWords.has(text)) return false;
  throw new Error(`strconv.ParseBool: parsing ${goQuote(text)}: invalid syntax`);
}

/** Go's `strconv.ParseUint(text, 0, bits)`. */
export function parseUnsigned(text: string, bits: 16 | 32 | 64): number {
  const value = readInteger(text);
  if (value === undefined) throw new Error(`strconv.ParseUint: parsing ${goQuote(text)}: invalid syntax`);
  if (BigInt.asUintN(bits, value) !== value) {
    throw new Error(`strconv.ParseUint: parsing ${goQuote(text)}: value out of range`);
  }
  return Number(value);
}

export { parseBytes } from "../base/sizes.ts";

/** Go's `time.ParseDuration`: nanoseconds of `1m30s`, `250ms`, `-1.5h`. */
export function parseDuration(text: string): number {
  const sign = text.startsWith("-") ? -1 : 1;
  let rest = text.replace(/^[+-]/, "");
  if (rest === "0") return 0;
  if (rest === "") throw new Error(`time: invalid duration ${goQuote(text)}`);
  let total = 0;
  while (rest !== "") {
    const match = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest);
    if (match === null) throw new Error(`time: invalid duration ${goQuote(text)}`);
    const unit = match[2]!;
    if (unit === "") throw new Error(`time: missing unit in duration ${goQuote(text)}`);
    const factor = durationUnits[unit];
    if (factor === undefined) {
      throw new Error(`time: unknown unit ${goQuote(unit)} in duration ${goQuote(text)}`);
    }
    total += Number(match[1]) * factor;
    rest = rest.slice(match[0].length);
  }
  if (total > 2 ** 63) throw new Error(`time: invalid duration ${goQuote(text)}`);
  return sign * Math.trunc(total);
}

/** A number of processors such as `1.5` or `1/2`, in billionths (the API's `NanoCpus`). */
export function parseNanoCpus(text: string): number {
  const match = /^([+-]?)(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,3}))?(?:\/(\d+))?$/.exec(text);
  if (match === null || (match[4] !== undefined && (match[2]!.includes(".") || /^0+$/.test(match[4])))) {
    throw new Error(`failed to parse ${text} as a rational number`);
  }
  const [whole = "", fraction = ""] = match[2]!.split(".");
  const exponent = Number(match[3] ?? 0) + 9 - fraction.length;
  const digits = BigInt(whole + fraction);
  const numerator = exponent >= 0 ? digits * 10n ** BigInt(exponent) : digits;
  const denominator = BigInt(match[4] ?? 1) * (exponent < 0 ? 10n ** BigInt(-exponent) : 1n);
  if (numerator % denominator !== 0n) throw new Error("value is too precise");
  const nano = Number(numerator / denominator);
  return match[1] === "-" ? -nano : nano;
}

/** `key=value` of a filter; the key is lower-cased and both sides lose their outer spaces, as Docker does. */
export function parseFilter(text: string): [key: string, value: string] {
  const split = text.indexOf("=");
  if (split < 0) throw new Error("bad format of filter (expected name=value)");
  return [text.slice(0, split).trim().toLowerCase(), text.slice(split + 1).trim()];
}

/** One line of comma-separated values, quoted as in RFC 4180. */
export function parseCommaSeparated(text: string): string[] {
  if (text === "") return [];
  const fields: string[] = [];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  while (pattern.lastIndex < text.length || text.endsWith(",")) {
    const match = pattern.exec(text);
    if (match === null) throw new Error(`parse error in comma-separated value ${goQuote(text)}`);
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    if (match[3] === "") break;
  }
  return fields;
}
