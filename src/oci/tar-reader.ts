/**
 * Reading tar archives: POSIX ustar and pax, and what GNU tar adds (long names, base-256 numbers, sparse files in all
 * four formats). Streaming, with bounded memory, made for hostile input: whatever is malformed ends in
 * `invalidArgument`.
 *
 * Names need not be UTF-8. They are *byte strings* here: one character a byte (`latin1`); {@link textOf} gives what
 * people read. Formats: POSIX.1-2024 pax, chapter "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
 */
import { invalidArgument } from "../base/errors.ts";
import { emptyPax, parsePax, paxInteger, paxTimeNs, type Pax } from "./tar-pax.ts";
import {
  parseOldSparse,
  parsePaxSparse,
  parseSparseMap,
  type SparseMap,
  sparseMapLines,
} from "./tar-sparse.ts";

export const blockSize = 512;
const lineFeed = 0x0a;
/** Headers that describe the next entry (pax records, GNU long names) are kept in memory: not more than this. */
const maxMetadataBytes = 1024 * 1024;

export type TarEntryType = "file" | "directory" | "symlink" | "link" | "character" | "block" | "fifo";

export interface TarEntry {
  /** Byte string, as written: `./usr/bin/env`, a directory's with or without a slash at the end. */
  readonly name: string;
  readonly type: TarEntryType;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of the file as it shall be; for a sparse file more than what {@link TarReader.read} gives. */
  readonly sizeBytes: number;
  readonly timeNs: bigint;
  /** Byte string: target of a symbolic or hard link. */
  readonly linkName: string;
  readonly device: { readonly major: number; readonly minor: number };
  readonly xattrs: ReadonlyMap<string, Buffer>;
  /** Where the data that is there belongs, when the file has holes. */
  readonly sparse: SparseMap | undefined;
}

/** What people read of a byte string. */
export function textOf(byteString: string): string {
  return Buffer.from(byteString, "latin1").toString();
}

/** The byte string of text. */
export function byteStringOf(text: string): string {
  return Buffer.from(text).toString("latin1");
}

const typeFlags: Readonly<Record<string, TarEntryType>> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  S: "file",
  "1": "link",
  "2": "symlink",
  "3": "character",
  "4": "block",
  "5": "directory",
  // GNU: a directory with the list of its files as content (incremental backups)
  D: "directory",
  "6": "fifo",
};

/**
 * ```
 * const tar = new TarReader(stream);
 * for (let entry = await tar.next(); entry; entry = await tar.next())
 *   for (let chunk = await tar.read(); chunk; chunk = await tar.read()) …
 * ```
 * What is not read of an entry is skipped. After the last entry the rest of the stream is drained.
 */
export class TarReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #buffer: Buffer = Buffer.alloc(0);
  #ended = false;
  #position = 0;
  /** Of the current entry: bytes of data and of padding not yet read. */
  #data = 0;
  #padding = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next entry, undefined at the end. Throws `invalidArgument` for what is no tar. */
  async next(): Promise<TarEntry | undefined> {
    let pax: Pax | undefined;
    let longName: string | undefined;
    let longLink: string | undefined;
    for (;;) {
      await this.#skip();
      const header = await this.#header();
      if (header === undefined) {
        if (pax !== undefined || longName !== undefined)
          throw this.#broken("it ends after an extended header");
        await this.#drain();
        return undefined;
      }
      const flag = String.fromCharCode(header[156]!);
      this.#setData(this.#number(header, 124, 12, "size"));
      if (flag === "x" || flag === "X") pax = parsePax(await this.#metadata());
      else if (flag === "L") longName = cString(await this.#metadata());
      else if (flag === "K") longLink = cString(await this.#metadata());
      else if (flag === "g" || flag === "V" || flag === "M" || flag === "N") continue;
      else return await this.#entry(header, { pax: pax ?? emptyPax, longName, longLink });
    }
  }

  /** The next bytes of the current entry's data; undefined at its end. */
  async read(): Promise<Buffer | undefined> {
    if (this.#data === 0) return undefined;
    if (this.#buffer.length === 0 && !(await this.#fill())) throw this.#broken("it ends inside a file");
    const chunk = this.#take(Math.min(this.#data, this.#buffer.length));
    this.#data -= chunk.length;
    return chunk;
  }

  async #entry(
    header: Buffer,
    extended: { pax: Pax; longName: string | undefined; longLink: string | undefined },
  ): Promise<TarEntry> {
    const { pax } = extended;
    const flag = String.fromCharCode(header[156]!);
    const ustar = header.toString("latin1", 257, 263) === "ustar\0";
    const prefix = ustar ? field(header, 345, 155) : "";
    const plainName = prefix === "" ? field(header, 0, 100) : `${prefix}/${field(header, 0, 100)}`;
    const name = pax.records.get("path") ?? extended.longName ?? plainName;
    const type = typeFlags[flag];
    if (type === undefined)
      throw this.#broken(`entry ${textOf(name)} has the unknown type ${JSON.stringify(flag)}`);
    const isFile = type === "file" && !(name.endsWith("/") && flag !== "S");
    const size = paxInteger(pax, "size") ?? this.#data;
    // Links and devices have no data, whatever their size field says (some writers put the target's size there).
    this.#setData(type === "file" || flag === "D" ? size : 0);
    const sparse = flag === "S" ? await this.#oldSparse(header) : await this.#paxSparse(pax);
    return {
      name: pax.records.get("GNU.sparse.name") ?? name,
      type: type === "file" && !isFile ? "directory" : type,
      mode: this.#number(header, 100, 8, "mode") & 0o7777,
      uid: paxInteger(pax, "uid") ?? this.#number(header, 108, 8, "uid"),
      gid: paxInteger(pax, "gid") ?? this.#number(header, 116, 8, "gid"),
      sizeBytes: isFile ? (sparse?.realSizeBytes ?? size) : 0,
      timeNs: paxTimeNs(pax, "mtime") ?? BigInt(this.#number(header, 136, 12, "mtime")) * 1_000_000_000n,
      linkName: pax.records.get("linkpath") ?? extended.longLink ?? field(header, 157, 100),
      device: {
        major: type === "character" || type === "block" ? this.#number(header, 329, 8, "device") : 0,
        minor: type === "character" || type === "block" ? this.#number(header, 337, 8, "device") : 0,
      },
      xattrs: pax.xattrs,
      sparse,
    };
  }

  async #oldSparse(header: Buffer): Promise<SparseMap> {
    const blocks = [header];
    let extended = header[482] !== 0;
    while (extended) {
      if (blocks.length * blockSize > maxMetadataBytes)
        throw this.#broken("a sparse file has too many pieces");
      const block = await this.#block();
      if (block === undefined) throw this.#broken("it ends inside a sparse file's header");
      blocks.push(block);
      extended = block[504] !== 0;
    }
    return parseOldSparse(blocks, this.#data);
  }

  async #paxSparse(pax: Pax): Promise<SparseMap | undefined> {
    if (pax.records.get("GNU.sparse.major") !== "1") return parsePaxSparse(pax, this.#data);
    // Format 1.0 writes the map in front of the data, in whole blocks.
    let text = "";
    let lines = 0;
    let wantedLines = 1;
    for (;;) {
      if (this.#data < blockSize || text.length > maxMetadataBytes)
        throw this.#broken("a sparse file's map is malformed");
      const block = await this.#block();
      if (block === undefined) throw this.#broken("it ends inside a sparse file's map");
      this.#data -= blockSize;
      text += block.toString("latin1");
      for (const byte of block) if (byte === lineFeed) lines++;
      if (lines > 0 && wantedLines === 1) wantedLines = sparseMapLines(text);
      if (lines >= wantedLines) return parseSparseMap(text, pax, this.#data);
    }
  }

  /** The next header, checked; undefined at the end mark or the end of the stream. */
  async #header(): Promise<Buffer | undefined> {
    const block = await this.#block();
    if (block === undefined) return undefined;
    if (block.every((byte) => byte === 0)) return undefined;
    let sum = 0;
    let signedSum = 0;
    for (let index = 0; index < blockSize; index += 1) {
      const byte = index >= 148 && index < 156 ? 0x20 : block[index]!;
      sum += byte;
      signedSum += byte > 127 ? byte - 256 : byte;
    }
    const stored = this.#number(block, 148, 8, "checksum");
    if (stored !== sum && stored !== signedSum) throw this.#broken("a header's checksum is wrong");
    return block;
  }

  #number(header: Buffer, offset: number, length: number, name: string): number {
    const first = header[offset]!;
    if ((first & 0x80) !== 0) {
      // base-256, GNU: two's complement of the remaining bits, big-endian
      let value = first & 0x40 ? -1n : 0n;
      value = (value << 6n) | BigInt(first & 0x3f);
      for (const byte of header.subarray(offset + 1, offset + length)) value = (value << 8n) | BigInt(byte);
      if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER))
        throw this.#broken(`a header's ${name} is out of range`);
      return Number(value);
    }
    const text = field(header, offset, length).trim();
    if (text === "") return 0;
    if (!/^[0-7]+$/.test(text)) throw this.#broken(`a header's ${name} is no number`);
    return Number.parseInt(text, 8);
  }

  #setData(size: number): void {
    if (size < 0) throw this.#broken("an entry has a negative size");
    this.#data = size;
    this.#padding = (blockSize - (size % blockSize)) % blockSize;
  }

  async #metadata(): Promise<Buffer> {
    if (this.#data > maxMetadataBytes) throw this.#broken("an extended header is too long");
    const chunks: Buffer[] = [];
    for (let chunk = await this.read(); chunk !== undefined; chunk = await this.read()) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async #skip(): Promise<void> {
    while ((await this.read()) !== undefined);
    while (this.#padding > 0) {
      // The padding of the very last entry may be missing; GNU tar takes that too.
      if (this.#buffer.length === 0 && !(await this.#fill())) return;
      this.#padding -= this.#take(Math.min(this.#padding, this.#buffer.length)).length;
    }
  }

  async #block(): Promise<Buffer | undefined> {
    while (this.#buffer.length < blockSize) {
      if (await this.#fill()) continue;
      if (this.#buffer.length === 0) return undefined;
      throw this.#broken("it ends inside a header");
    }
    return this.#take(blockSize);
  }

  #take(length: number): Buffer {
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    this.#position += length;
    return taken;
  }

  async #fill(): Promise<boolean> {
    if (this.#ended) return false;
    const { value, done } = await this.#source.next();
    if (done === true) {
      this.#ended = true;
      return false;
    }
    const chunk = Buffer.isBuffer(value)
      ? value
      : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    return true;
  }

  async #drain(): Promise<void> {
    do this.#take(this.#buffer.length);
    while (await this.#fill());
  }

  #broken(reason: string): Error {
    return invalidArgument(`malformed tar archive: ${reason} (near byte ${this.#position})`);
  }
}

/** A header field's text up to its NUL. */
function field(header: Buffer, offset: number, length: number): string {
  return cString(header.subarray(offset, offset + length));
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("latin1", 0, end === -1 ? bytes.length : end);
}
