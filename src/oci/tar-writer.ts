/** Writing tar archives: ustar headers, with pax records for what does not fit (POSIX.1-2024, pax). */
import { blockSize, type TarEntryType } from "./tar-reader.ts";

export interface TarHeader {
  /** Byte string (see tar-reader.ts). */
  readonly name: string;
  readonly type: TarEntryType;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly sizeBytes?: number;
  readonly timeNs?: bigint;
  readonly linkName?: string;
  readonly device?: { readonly major: number; readonly minor: number };
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

const typeFlags: Readonly<Record<TarEntryType, string>> = {
  file: "0",
  link: "1",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** The largest number in an octal field of `length` bytes. */
const fits = (value: number, length: number): boolean => value >= 0 && value < 8 ** (length - 1);

/** One entry's header blocks. Its data follows, then {@link tarPadding}. */
export function tarHeader(entry: TarHeader): Buffer {
  const records = paxRecords(entry);
  const header = ustarBlock(entry, typeFlags[entry.type]);
  if (records.length === 0) return header;
  const pax = { name: "PaxHeader", type: "file", mode: 0o644, sizeBytes: records.length } as const;
  return Buffer.concat([ustarBlock(pax, "x"), records, tarPadding(records.length), header]);
}

/** Zeros that fill the last block of an entry's data. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((blockSize - (sizeBytes % blockSize)) % blockSize);
}

/** The end mark. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * blockSize);
}

function paxRecords(entry: TarHeader): Buffer {
  const records: Buffer[] = [];
  const add = (key: string, value: Uint8Array): void => {
    records.push(paxRecord(key, value));
  };
  const text = (value: string): Buffer => Buffer.from(value, "latin1");
  const time = entry.timeNs ?? 0n;
  if (splitName(entry.name) === undefined) add("path", text(entry.name));
  if ((entry.linkName ?? "").length > 100) add("linkpath", text(entry.linkName!));
  if (!fits(entry.sizeBytes ?? 0, 12)) add("size", text(String(entry.sizeBytes)));
  if (!fits(entry.uid ?? 0, 8)) add("uid", text(String(entry.uid)));
  if (!fits(entry.gid ?? 0, 8)) add("gid", text(String(entry.gid)));
  if (time % 1_000_000_000n !== 0n || !fits(Number(time / 1_000_000_000n), 12))
    add("mtime", text(paxTime(time)));
  for (const [name, value] of entry.xattrs ?? []) add(`SCHILY.xattr.${name}`, value);
  return Buffer.concat(records);
}

function paxTime(timeNs: bigint): string {
  const absolute = timeNs < 0n ? -timeNs : timeNs;
  const fraction = String(absolute % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `${timeNs < 0n ? "-" : ""}${absolute / 1_000_000_000n}${fraction === "" ? "" : `.${fraction}`}`;
}

/** `<length> <key>=<value>\n`, where the length counts itself. */
function paxRecord(key: string, value: Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Splits at a slash so that both parts fit their fields; undefined when that cannot be. */
function splitName(name: string): { prefix: string; rest: string } | undefined {
  if (name.length <= 100) return { prefix: "", rest: name };
  const slash = name.lastIndexOf("/", 155);
  const rest = name.slice(slash + 1);
  return slash > 0 && rest !== "" && rest.length <= 100 ? { prefix: name.slice(0, slash), rest } : undefined;
}

function ustarBlock(entry: TarHeader, flag: string): Buffer {
  const block = Buffer.alloc(blockSize);
  const { prefix, rest } = splitName(entry.name) ?? { prefix: "", rest: entry.name.slice(0, 100) };
  const octal = (value: number, offset: number, length: number): void => {
    const number = fits(value, length) ? value : 0;
    block.write(number.toString(8).padStart(length - 1, "0"), offset, length - 1, "latin1");
  };
  block.write(rest, 0, 100, "latin1");
  octal(entry.mode & 0o7777, 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(entry.sizeBytes ?? 0, 124, 12);
  octal(Number((entry.timeNs ?? 0n) / 1_000_000_000n), 136, 12);
  block.write(flag, 156, 1, "latin1");
  block.write((entry.linkName ?? "").slice(0, 100), 157, 100, "latin1");
  block.write("ustar\x0000", 257, 8, "latin1");
  octal(entry.device?.major ?? 0, 329, 8);
  octal(entry.device?.minor ?? 0, 337, 8);
  block.write(prefix, 345, 155, "latin1");
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
  return block;
}
