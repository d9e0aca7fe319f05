/** Go's layout `2006-01-02T15:04:05.000000000Z07:00` in UTC: all nine digits, so that columns of a log line up. */
export function fixedRfc3339(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, "0")}Z`;
}
