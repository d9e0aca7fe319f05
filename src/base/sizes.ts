/** Sizes as people write them. */

const byteUnits = "kmgtp";

/** A size in bytes with binary units: `512m`, `1.5GiB`, `64kb`, `100`, and `-1` where it means "no limit". */
export function parseBytes(text: string): number {
  const match = /^(-?[0-9.]+)? ?(.*)$/s.exec(text)!;
  const digits = match[1] ?? "";
  const number = /^-?(\d+\.?\d*|\.\d+)$/.test(digits) ? Number(digits) : Number.NaN;
  if (Number.isNaN(number) || (number < 0 && digits !== "-1")) throw new Error(`invalid size: '${text}'`);
  const suffix = match[2]!.toLowerCase();
  if (suffix === "" || suffix === "b") return Math.trunc(number);
  const power = byteUnits.indexOf(suffix.charAt(0));
  if (power < 0 || !/^.(b|ib)?$/.test(suffix)) throw new Error(`invalid suffix: '${match[2]!}'`);
  return Math.trunc(number * 1024 ** (power + 1));
}
