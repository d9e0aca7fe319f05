/** How Go writes and reads texts; error messages of Docker's show both. */

/** A string as Go's `%q` writes it: what error messages of Docker's command line use. */
export function goQuote(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\u009f]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Reads the digits of a Go integer literal, whose base its prefix names (`strconv.ParseInt` with base 0). */
export function readInteger(text: string): bigint | undefined {
  if (/^(0|[1-9](_?\d)*)$/.test(text)) return BigInt(text.replaceAll("_", ""));
  const octal = /^0[oO]?(_?[0-7])+$/.test(text);
  if (octal) return BigInt(`0o${text.replace(/^0[oO]?/, "").replaceAll("_", "")}`);
  if (/^0[xX](_?[0-9a-fA-F])+$/.test(text) || /^0[bB](_?[01])+$/.test(text)) {
    return BigInt(text.replaceAll("_", "").toLowerCase());
  }
  return undefined;
}

/** Go's `strconv.ParseInt(text, 0, 64)`. Values beyond 2^53 lose their last digits. */
export function parseInteger(text: string): number {
  const match = /^([+-]?)(.*)$/s.exec(text)!;
  const value = readInteger(match[2]!);
  if (value === undefined) throw new Error(`strconv.ParseInt: parsing ${goQuote(text)}: invalid syntax`);
  const signed = match[1] === "-" ? -value : value;
  if (BigInt.asIntN(64, signed) !== signed) {
    throw new Error(`strconv.ParseInt: parsing ${goQuote(text)}: value out of range`);
  }
  return Number(signed);
}
