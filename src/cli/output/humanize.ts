const decimalUnits = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"] as const;
const binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"] as const;

function humanize(value: number, base: number, digits: number, units: readonly string[]): string {
  let rest = value;
  let unit = 0;
  while (rest >= base && unit < units.length - 1) {
    rest /= base;
    unit++;
  }
  const rounded = Number(rest.toPrecision(digits));
  // Go's %g goes over to an exponent where the integer part has more digits than are asked for.
  const text =
    rounded >= 10 ** digits ? rounded.toExponential().replace(/e\+(\d)$/, "e+0$1") : String(rounded);
  return `${text}${units[unit]}`;
}

/** Bytes with decimal units and three digits, as Docker's tables show sizes: `4.43MB`. */
export function humanSize(bytes: number, digits = 3): string {
  return humanize(bytes, 1000, digits, decimalUnits);
}

/** Bytes with binary units and four digits, as `info` shows memory: `15.49GiB`. */
export function humanBytes(bytes: number): string {
  return humanize(bytes, 1024, 4, binaryUnits);
}

/** A length of time in words, as Docker's tables show ages: `About a minute`, `3 weeks`. */
export function humanDuration(seconds: number): string {
  const whole = Math.floor(seconds);
  if (whole < 1) return "Less than a second";
  if (whole === 1) return "1 second";
  if (whole < 60) return `${whole} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.floor(seconds / 3600 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(seconds / 3600 / 24 / 365)} years`;
}

/** How long ago a moment was, in words; `now` and the moment in unix seconds. */
export function humanAge(unixSeconds: number, now: number = Date.now() / 1000): string {
  return `${humanDuration(now - unixSeconds)} ago`;
}

/** Local time as Go's `time.Time` writes itself: `2024-05-01 12:00:00 +0200 CEST`. */
export function goLocalTime(unixSeconds: number): string {
  const date = new Date(unixSeconds * 1000);
  const offsetMinutes = -date.getTimezoneOffset();
  const shifted = new Date(date.getTime() + offsetMinutes * 60_000).toISOString();
  const size = Math.abs(offsetMinutes);
  const two = (value: number): string => String(value).padStart(2, "0");
  const offset = `${offsetMinutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}${two(size % 60)}`;
  return `${shifted.slice(0, 10)} ${shifted.slice(11, 19)} ${offset} ${zoneName(date, offset)}`;
}

/** A time of an answer (RFC 3339) as Go's `time.Time` writes itself: with its fraction, in the zone that it is told in. */
export function goTime(rfc3339: string): string {
  const [, date = "", clock = "", fraction = "", zone = "Z"] =
    /^([^T]*)T([^.Z+-]*)(\.\d+)?(.*)$/.exec(rfc3339) ?? [];
  const offset = zone.replace(":", "");
  const rest = fraction.replace(/\.?0*$/, "");
  return `${date} ${clock}${rest} ${zone === "Z" ? "+0000 UTC" : `${offset} ${offset}`}`;
}

function zoneName(date: Date, offset: string): string {
  if (offset === "+0000" && /UTC|Coordinated/.test(date.toString())) return "UTC";
  const parts = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" }).formatToParts(date);
  const name = parts.find((part) => part.type === "timeZoneName")?.value ?? "";
  return /^[A-Z]{3,5}$/.test(name) ? name : offset.replace(/00$/, "");
}

/** The first twelve digits of an ID, without its algorithm. */
export function truncateId(id: string): string {
  const digits = id.slice(id.indexOf(":") + 1);
  return digits.slice(0, 12);
}

/** Text of at most `width` characters, whose cut end is shown by an ellipsis. */
export function ellipsis(text: string, width: number): string {
  const characters = Array.from(text);
  if (characters.length <= width) return text;
  return width <= 1 ? characters.slice(0, width).join("") : `${characters.slice(0, width - 1).join("")}…`;
}
