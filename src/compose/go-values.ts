/** How Go writes values: labels, hashes and outputs of Docker Compose have its forms. */
import { ramInBytes } from "../base/sizes.ts";
import type { Tree } from "./tree.ts";

/** `fmt.Sprint` of a scalar. */
export function sprint(value: Tree): string {
  if (value === null) return "<nil>";
  if (typeof value === "string") return value;
  if (typeof value === "number") return formatNumber(value);
  if (Array.isArray(value)) return `[${value.map(sprint).join(" ")}]`;
  if (typeof value === "object") {
    const entries = Object.keys(value).sort();
    return `map[${entries.map((key) => `${key}:${sprint(value[key]!)}`).join(" ")}]`;
  }
  return String(value);
}

/** `utils.StringToBool` of Docker Compose: what is no word for true is false. */
export function isTrue(text: string | undefined): boolean {
  return ["1", "t", "true", "y"].includes((text ?? "").trim().toLowerCase());
}

function formatNumber(value: number): string {
  if (Number.isInteger(value)) return Math.abs(value) < 1e21 ? String(value) : exponentForm(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  return formatFloat(value);
}

/** A float64 as `%v` shows it: from a million on with an exponent. */
export function formatFloat(value: number): string {
  const size = Math.abs(value);
  return value !== 0 && (size < 1e-4 || size >= 1e6) ? exponentForm(value) : String(value);
}

/** `1.5e-07`: at least two digits of exponent. */
function exponentForm(value: number): string {
  return value.toExponential().replace(/e([-+])(\d)$/, "e$10$2");
}

/** The shortest digits that name a float32. */
export function formatFloat32(value: number): string {
  const exact = Math.fround(value);
  for (let precision = 1; precision <= 9; precision++) {
    const text = exact.toPrecision(precision);
    if (Math.fround(Number(text)) === exact) return String(Number(text));
  }
  return String(exact);
}

export { formatDuration, parseDuration } from "../base/duration.ts";

/** `units.RAMInBytes`, and Docker Compose's -1 for "no limit"; undefined for what is no size. */
export function parseBytes(text: string): number | undefined {
  return text === "-1" ? -1 : ramInBytes(text);
}

/** Names with their numbers in order of size, as yaml.v3 sorts keys: `a2` before `a10`. */
export function compareNaturally(a: string, b: string): number {
  const left = Array.from(a);
  const right = Array.from(b);
  let inDigits = false;
  for (let index = 0; index < left.length && index < right.length; index++) {
    const x = left[index]!;
    const y = right[index]!;
    if (x === y) {
      inDigits = /\p{Nd}/u.test(x);
      continue;
    }
    const xLetter = /\p{L}/u.test(x);
    const yLetter = /\p{L}/u.test(y);
    if (xLetter && yLetter) return x < y ? -1 : 1;
    if (xLetter || yLetter) {
      if (inDigits) return xLetter ? 1 : -1;
      return xLetter ? 1 : -1;
    }
    return compareNumbers(left, right, index) || (x < y ? -1 : 1);
  }
  return left.length - right.length;
}

function compareNumbers(left: readonly string[], right: readonly string[], index: number): number {
  const digit = (list: readonly string[], at: number): boolean => /\d/.test(list[at] ?? "");
  // A difference after digits that are the same belongs to the same number, unless those are zeros only.
  if (left[index] === "0" || right[index] === "0") {
    for (let at = index - 1; at >= 0 && digit(left, at); at--) {
      if (left[at] === "0") continue;
      const l = runLength(left, index);
      const r = runLength(right, index);
      return l !== r ? l - r : 0;
    }
  }
  const l = digitsAt(left, index);
  const r = digitsAt(right, index);
  if (l.value !== r.value) return l.value < r.value ? -1 : 1;
  return l.length - r.length;
}

function runLength(list: readonly string[], from: number): number {
  let length = 0;
  while (/\d/.test(list[from + length] ?? "")) length++;
  return length;
}

function digitsAt(list: readonly string[], from: number): { value: bigint; length: number } {
  const length = runLength(list, from);
  return { value: BigInt(list.slice(from, from + length).join("") || "0"), length };
}
