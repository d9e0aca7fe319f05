/** Records of a pax extended header: `<length> <key>=<value>\n` (POSIX.1-2024, pax Extended Header). */
import { invalidArgument } from "../base/errors.ts";

export interface Pax {
  /** Byte strings. The pieces of GNU's sparse format 0.0 repeat their keys and are joined in `sparsePieces`. */
  readonly records: ReadonlyMap<string, string>;
  readonly xattrs: ReadonlyMap<string, Buffer>;
  /** Offset, length, offset, length … of sparse format 0.0. */
  readonly sparsePieces: readonly string[];
}

export const emptyPax: Pax = { records: new Map(), xattrs: new Map(), sparsePieces: [] };

const xattrPrefix = "SCHILY.xattr.";

/** Reads all records. Values of `SCHILY.xattr.*` stay bytes: capabilities are binary. Throws `invalidArgument`. */
export function parsePax(data: Buffer): Pax {
  const records = new Map<string, string>();
  const xattrs = new Map<string, Buffer>();
  const sparsePieces: string[] = [];
  let offset = 0;
  while (offset < data.length) {
    const space = data.indexOf(0x20, offset);
    const digits = space === -1 ? "" : data.toString("latin1", offset, space);
    const length = Number(digits);
    const end = offset + length;
    const equals = data.indexOf(0x3d, space);
    if (
      !/^\d{1,9}$/.test(digits) ||
      end > data.length ||
      data[end - 1] !== 0x0a ||
      equals === -1 ||
      equals >= end
    )
      throw invalidArgument("malformed tar archive: an extended header is broken");
    const key = data.toString("latin1", space + 1, equals);
    const value = data.subarray(equals + 1, end - 1);
    if (key.startsWith(xattrPrefix))
      xattrs.set(Buffer.from(key.slice(xattrPrefix.length), "latin1").toString(), Buffer.from(value));
    else if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes")
      sparsePieces.push(value.toString("latin1"));
    else if (value.length === 0) records.delete(key);
    else records.set(key, nameValue(key, value));
    offset = end;
  }
  return { records, xattrs, sparsePieces };
}

function nameValue(key: string, value: Buffer): string {
  if ((key === "path" || key === "linkpath" || key === "GNU.sparse.name") && value.includes(0))
    throw invalidArgument("malformed tar archive: a name contains a NUL byte");
  return value.toString("latin1");
}

/** A record that must be a whole number, when it is there. */
export function paxInteger(pax: Pax, key: string): number | undefined {
  const text = pax.records.get(key);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw invalidArgument(`malformed tar archive: ${key} of an extended header is no number`);
  return value;
}

/** A time record (`1700000000.123456789`, may be negative) in ns since the epoch. */
export function paxTimeNs(pax: Pax, key: string): bigint | undefined {
  const text = pax.records.get(key);
  if (text === undefined) return undefined;
  const match = /^(-?)(\d{1,18})(?:\.(\d*))?$/.exec(text);
  if (match === null) throw invalidArgument(`malformed tar archive: ${key} of an extended header is no time`);
  const ns = BigInt(match[2]!) * 1_000_000_000n + BigInt((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  return match[1] === "-" ? -ns : ns;
}
