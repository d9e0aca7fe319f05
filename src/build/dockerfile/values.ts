/** Values in Go's spelling, which the flags of instructions take. */
import { parseDuration } from "../../base/duration.ts";

/** `strconv.ParseBool`; undefined for other words. */
export function parseBoolean(text: string): boolean | undefined {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  return undefined;
}

/** Go's `time.ParseDuration`, in ns. Throws a plain `Error` with its words. */
export function parseDurationNs(text: string): number {
  const durationNs = parseDuration(text);
  if (durationNs !== undefined) return durationNs;
  const why = /^[+-]?[\d.]+$/.test(text) ? "missing unit in duration" : "invalid duration";
  throw new Error(`time: ${why} ${JSON.stringify(text)}`);
}
