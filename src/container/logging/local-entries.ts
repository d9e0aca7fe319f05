/**
 * Entries of Docker's `local` driver (moby, daemon/logger/local; api/types/plugins/logdriver/entry.proto): a length, a
 * protocol buffer `LogEntry`, the length once more, both lengths big-endian. They can be read from either end.
 */
import type { LogEntry, LogMessage } from "./message.ts";
import { parseRfc3339Ns, rfc3339Nano } from "../../base/time.ts";

const lengthBytes = 4;
const lineFeed = 0x0a;
/** No entry is longer: a line has at most 16 KiB. */
const mostEntryBytes = 1024 * 1024;

// Fields by number and wire type (protobuf.dev/programming-guides/encoding).
const sourceTag = 0x0a;
const timeTag = 0x10;
const lineTag = 0x1a;
const partialTag = 0x20;

function writeVarint(bytes: number[], value: bigint): void {
  let rest = value;
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
}

/** The entry for a message. */
export function encodeLocalEntry(message: LogMessage): Buffer {
  const { data, start, end, stream, time, isWhole } = message;
  const header: number[] = [sourceTag, stream.length];
  for (const letter of stream) header.push(letter.codePointAt(0)!);
  header.push(timeTag);
  writeVarint(header, parseRfc3339Ns(time) ?? 0n);
  const textBytes = end - start + (isWhole ? 1 : 0);
  header.push(lineTag);
  writeVarint(header, BigInt(textBytes));
  const tail = isWhole ? [] : [partialTag, 1];
  const size = header.length + textBytes + tail.length;
  const entry = Buffer.allocUnsafe(size + 2 * lengthBytes);
  entry.writeUInt32BE(size, 0);
  entry.set(header, lengthBytes);
  let at = lengthBytes + header.length;
  at += data.copy(entry, at, start, end);
  if (isWhole) entry[at++] = lineFeed;
  entry.set(tail, at);
  entry.writeUInt32BE(size, at + tail.length);
  return entry;
}

/** Appends the whole entries of a block that begins where one does, and returns the bytes that they took. */
export function decodeLocalEntries(block: Buffer, entries: LogEntry[]): number {
  let at = 0;
  while (block.length - at >= lengthBytes) {
    const size = block.readUInt32BE(at);
    if (size > mostEntryBytes) return block.length;
    const end = at + size + 2 * lengthBytes;
    if (end > block.length) break;
    const entry = decodeEntry(block.subarray(at + lengthBytes, end - lengthBytes));
    if (entry !== undefined) entries.push(entry);
    at = end;
  }
  return at;
}

/** Where the entry begins that ends at `end` of a file's block; -1 when its begin is before the block. */
export function localEntryStart(block: Buffer, end: number): number {
  if (end < lengthBytes) return -1;
  const start = end - block.readUInt32BE(end - lengthBytes) - 2 * lengthBytes;
  return start < 0 ? -1 : start;
}

class Reader {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n && !this.isAtEnd; shift += 7n) {
      const byte = this.#bytes[this.at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value;
  }

  bytes(): Buffer {
    const size = Number(this.varint());
    const found = this.#bytes.subarray(this.at, this.at + size);
    this.at += size;
    return found;
  }
}

function decodeEntry(bytes: Buffer): LogEntry | undefined {
  const reader = new Reader(bytes);
  let source = "stdout";
  let timeNs = 0n;
  let line: Buffer = Buffer.alloc(0);
  while (!reader.isAtEnd) {
    const tag = reader.varint();
    if (tag === BigInt(sourceTag)) source = reader.bytes().toString("latin1");
    else if (tag === BigInt(timeTag)) timeNs = reader.varint();
    else if (tag === BigInt(lineTag)) line = reader.bytes();
    // Fields that we do not know, such as what Docker says of a line's parts.
    else if ((tag & 7n) === 0n) reader.varint();
    else if ((tag & 7n) === 2n) reader.bytes();
    else return undefined;
  }
  return {
    stream: source === "stderr" ? "stderr" : "stdout",
    time: rfc3339Nano(timeNs),
    line,
    attributes: undefined,
  };
}
