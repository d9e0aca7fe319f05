/** The zero time of Go's `time.Time`, which Docker's API writes for "never". */
export const zeroTime = "0001-01-01T00:00:00Z";

// Wall clock at start, in ns, less the monotonic clock then: adding the monotonic clock gives ns since the epoch.
let offsetNs = wallOffset();

function wallOffset(): bigint {
  return BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
}

/** Nanoseconds since the epoch; follows the wall clock when it is set, and never stands still within a millisecond. */
export function nowNs(): bigint {
  const ns = process.hrtime.bigint() + offsetNs;
  const drift = ns - BigInt(Date.now()) * 1_000_000n;
  if (drift > 2_000_000n || drift < -2_000_000n) {
    offsetNs = wallOffset();
    return process.hrtime.bigint() + offsetNs;
  }
  return ns;
}

/** Go's RFC3339Nano in UTC: trailing zeros of the fraction are dropped (Go package time, constant RFC3339Nano). */
export function rfc3339Nano(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const fraction = String(ns % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  const base = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return fraction === "" ? `${base}Z` : `${base}.${fraction}Z`;
}

/** Now as {@link rfc3339Nano}. */
export function nowRfc3339(): string {
  return rfc3339Nano(nowNs());
}

/** Nanoseconds since the epoch of an RFC 3339 time with up to nine fraction digits; `undefined` when it is none. */
export function parseRfc3339Ns(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return undefined;
  const ms = Date.parse(`${match[1]}T${match[2]}${match[4]!.toUpperCase()}`);
  if (Number.isNaN(ms)) return undefined;
  return BigInt(ms) * 1_000_000n + BigInt((match[3] ?? "").padEnd(9, "0"));
}

/**
 * A time of {@link rfc3339Nano} with all nine digits of its fraction (Go's layout `2006-01-02T15:04:05.000000000Z07:00`):
 * such texts line up, and compare like the times they say.
 */
export function fixedRfc3339(time: string): string {
  if (time.length === 30) return time;
  const fraction = time.length > 20 ? time.slice(20, -1) : "";
  return `${time.slice(0, 19)}.${fraction.padEnd(9, "0")}Z`;
}
