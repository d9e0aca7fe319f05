import { goQuote, parseDuration } from "../flag-values.ts";

/**
 * A point in time of the command line as the API takes it, in unix seconds with fractions: an age (`10m`: that long
 * before `nowMs`), a local date (`2026-01-02`, `2026-01-02T15:04:05`, with or without zone), or unix seconds.
 *
 * Throws `Error` for anything else.
 */
export function apiTimestamp(text: string, nowMs: number = Date.now()): string {
  if (/^\d+(\.\d+)?$/.test(text)) return text;
  if (/^-?[\d.]+(ns|us|µs|ms|s|m|h)/.test(text)) return secondsText(nowMs - parseDuration(text) / 1e6);
  const match =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text);
  if (match === null) {
    throw new Error(`failed to parse value as time or duration: ${goQuote(text)}`);
  }
  const [, date, hour = "00", minute = "00", second = "00", fraction = "", zone = ""] = match;
  const ms = Date.parse(`${date}T${hour}:${minute}:${second}${zone}`);
  if (Number.isNaN(ms)) throw new Error(`there is no such time as "${text}"`);
  return `${Math.trunc(ms / 1000)}.${fraction.padEnd(9, "0")}`;
}

function secondsText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const nanoseconds = Math.round((ms - seconds * 1000) * 1e6);
  return `${seconds}.${String(nanoseconds).padStart(9, "0")}`;
}
