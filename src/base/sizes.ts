/** Sizes as people write them. */

const byteUnits = "kmgtp";

/** go-units' `RAMInBytes`: bytes of `512m`, `1.5GiB`, `64kb`, `100`, in binary units; undefined for what is no size. */
export function ramInBytes(text: string): number | undefined {
  const [, number, suffix = ""] = /^(\d+\.?\d*|\.\d+) ?([a-z]*)$/i.exec(text) ?? [];
  if (number === undefined) return undefined;
  if (/^b?$/i.test(suffix)) return Math.trunc(Number(number));
  const power = byteUnits.indexOf(suffix.charAt(0).toLowerCase());
  if (power < 0 || !/^.(b|ib)?$/i.test(suffix)) return undefined;
  return Math.trunc(Number(number) * 1024 ** (power + 1));
}

/** The same, and `-1` where it means "no limit". Throws a plain `Error` with Docker's words. */
export function parseBytes(text: string): number {
  if (text === "-1") return -1;
  const bytes = ramInBytes(text);
  if (bytes !== undefined) return bytes;
  const [, suffix] = /^(?:\d+\.?\d*|\.\d+) ?(.*)$/s.exec(text) ?? [];
  throw new Error(suffix === undefined ? `invalid size: '${text}'` : `invalid suffix: '${suffix}'`);
}
