/** Reading zip archives (PKWARE's APPNOTE.TXT 6.3, sections 4.3.12 and 4.3.16), as far as contexts are packed in them. */
import { CliError } from "./errors.ts";

export interface ZipFile {
  readonly name: string;
  readonly content: Buffer;
}

const endSignature = 0x06054b50;
const entrySignature = 0x02014b50;
const endBytes = 22;
const entryBytes = 46;
const localHeaderBytes = 30;
const longestComment = 0xffff;

/** True when `bytes` begin as a zip archive does. */
export function isZip(bytes: Buffer): boolean {
  return bytes.length >= 4 && bytes.readUInt32LE(0) === 0x04034b50;
}

/** The files of an archive, directories left out. Throws `CliError` for what is broken, or larger than `maxBytes` in all. */
export function readZip(archive: Buffer, maxBytes: number): ZipFile[] {
  try {
    return listEntries(archive, maxBytes);
  } catch (error) {
    if (error instanceof CliError) throw error;
    // A position beyond the end, or what zlib says.
    throw new CliError("zip: not a valid zip file", 1, { cause: error });
  }
}

function listEntries(archive: Buffer, maxBytes: number): ZipFile[] {
  const end = findEnd(archive);
  const count = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  const files: ZipFile[] = [];
  let left = maxBytes;
  for (let n = 0; n < count; n++) {
    if (archive.readUInt32LE(at) !== entrySignature) throw new CliError("zip: not a valid zip file");
    const nameLength = archive.readUInt16LE(at + 28);
    const name = archive.toString("utf8", at + entryBytes, at + entryBytes + nameLength);
    if (!name.endsWith("/")) {
      const content = readContent(archive, at, left);
      left -= content.length;
      files.push({ name, content });
    }
    at += entryBytes + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return files;
}

/** The record at the archive's end, before a comment. */
function findEnd(archive: Buffer): number {
  const first = Math.max(0, archive.length - endBytes - longestComment);
  for (let at = archive.length - endBytes; at >= first; at--)
    if (archive.readUInt32LE(at) === endSignature) return at;
  throw new CliError("zip: not a valid zip file");
}

/** The bytes of the entry whose record in the directory is at `at`. */
function readContent(archive: Buffer, at: number, maxBytes: number): Buffer {
  const method = archive.readUInt16LE(at + 10);
  const checksum = archive.readUInt32LE(at + 16);
  const packedBytes = archive.readUInt32LE(at + 20);
  const local = archive.readUInt32LE(at + 42);
  const begin =
    local + localHeaderBytes + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
  if (begin + packedBytes > archive.length) throw new CliError("zip: not a valid zip file");
  if (archive.readUInt32LE(at + 24) > maxBytes)
    throw new CliError("the archive is larger than a context can be (10 MB)");
  const packed = archive.subarray(begin, begin + packedBytes);
  const { crc32, inflateRawSync } = process.getBuiltinModule("node:zlib");
  if (method !== 0 && method !== 8) throw new CliError("zip: unsupported compression algorithm");
  const content = method === 0 ? Buffer.from(packed) : inflateRawSync(packed, { maxOutputLength: maxBytes });
  if (crc32(content) !== checksum) throw new CliError("zip: checksum error");
  return content;
}
