/** Spans of time in Go's spelling, such as `1m30s`. */

/** Nanoseconds of each unit that `time.ParseDuration` knows; micro is written with either of Unicode's letters. */
export const durationUnits: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  "\u00b5s": 1e3,
  "\u03bcs": 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Go's `time.ParseDuration`: nanoseconds of `1m30s`, `-1.5h`, `0`; undefined for what is none. */
export function parseDuration(text: string): number | undefined {
  const match = /^([-+]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+|0)$/.exec(text);
  if (match === null) return undefined;
  let total = 0;
  for (const [, count, unit] of match[2]!.matchAll(/([\d.]+)([a-z\u00b5\u03bc]+)/g)) {
    total += Number(count) * durationUnits[unit!]!;
  }
  return Math.round(match[1] === "-" ? -total : total);
}

const second = 1e9;
const units: readonly (readonly [string, number])[] = [
  ["h", 3600 * second],
  ["m", 60 * second],
];

/** `time.Duration.String`: `1m30s`, `1.5s`, `250ms`, of nanoseconds. */
export function formatDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  const sign = nanoseconds < 0 ? "-" : "";
  let rest = Math.abs(nanoseconds);
  if (rest < second) {
    if (rest < 1e3) return `${sign}${rest}ns`;
    return rest < 1e6 ? `${sign}${rest / 1e3}\u00b5s` : `${sign}${rest / 1e6}ms`;
  }
  let text = "";
  for (const [unit, size] of units) {
    if (rest < size && text === "") continue;
    const count = Math.floor(rest / size);
    text += `${count}${unit}`;
    rest -= count * size;
  }
  return `${sign}${text}${Number((rest / second).toFixed(9))}s`;
}
