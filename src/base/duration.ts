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

/** Go's text of a duration in ns: `1h30m0s`, `500ms`. */
export function goDuration(ns: number): string {
  if (ns === 0) return "0s";
  if (ns < 1e3) return `${ns}ns`;
  if (ns < 1e6) return `${ns / 1e3}µs`;
  if (ns < 1e9) return `${ns / 1e6}ms`;
  const hours = Math.floor(ns / 3.6e12);
  const minutes = Math.floor((ns % 3.6e12) / 6e10);
  const seconds = (ns % 6e10) / 1e9;
  return `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${seconds}s`;
}
