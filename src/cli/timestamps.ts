import { parseDuration } from "./flag-values.ts";

const timeForm =
  /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?(Z|[+-]\d\d:\d\d)?$/;

/**
 * A point in time as `--since` and `--until` take it, in the API's form (unix seconds with an optional fraction):
 * a duration before `nowMs` (`10m`), unix seconds, or an RFC 3339 time of which the end may be missing and which is
 * local without a zone. Throws `Error` for anything else.
 */
export function timestampParameter(text: string, nowMs: number): string {
  const ago = tryDuration(text);
  if (ago !== undefined) return String(Math.floor((nowMs - ago / 1e6) / 1000));
  if (/^\d+(\.\d{1,9})?$/.test(text)) return text;
  const match = timeForm.exec(text);
  if (match === null) throw new Error(`failed to parse value as time or duration: "${text}"`);
  const [, year, month, day, hour = "00", minute = "00", second = "00", fraction = "", zone = ""] = match;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`);
  if (Number.isNaN(ms)) throw new Error(`failed to parse value as time or duration: "${text}"`);
  return `${ms / 1000}.${fraction.padEnd(9, "0")}`;
}

function tryDuration(text: string): number | undefined {
  // A number alone is unix seconds, not a duration without its unit.
  if (!/[a-z]/.test(text)) return undefined;
  try {
    return parseDuration(text);
  } catch {
    return undefined;
  }
}
