/** Values in Go's spelling, which the flags of instructions take. */

/** `strconv.ParseBool`; undefined for other words. */
export function parseBoolean(text: string): boolean | undefined {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  return undefined;
}

/** A size with binary units: `512m`, `1.5GiB`, `100`; undefined when it is none. */
export function parseSizeBytes(text: string): number | undefined {
  const [, digits, unit = ""] = /^(\d+\.?\d*|\.\d+) ?(?:([kmgtp]?)(?:ib?|b)?)$/i.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return Math.trunc(Number(digits) * 1024 ** ("kmgtp".indexOf(unit.toLowerCase() || "?") + 1));
}

const unitNs: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Go's `time.ParseDuration`, in ns. Throws a plain `Error` with its words. */
export function parseDurationNs(text: string): number {
  const form = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)$/;
  const [, sign, parts] = form.exec(text) ?? [];
  if (parts === undefined) {
    const why = /^[+-]?[\d.]+$/.test(text) ? "missing unit in duration" : "invalid duration";
    throw new Error(`time: ${why} ${JSON.stringify(text)}`);
  }
  let total = 0;
  for (const [, count = "", unit = ""] of parts.matchAll(/([\d.]+)(ns|us|µs|μs|ms|s|m|h)/g))
    total += Number(count) * unitNs[unit]!;
  return Math.round(sign === "-" ? -total : total);
}
