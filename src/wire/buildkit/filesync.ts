/** Messages of file transfer (BuildKit, session/filesync/filesync.proto; fsutil, types/stat.proto and wire.proto). */
import { type Encodable, map, message, one } from "../protobuf.ts";

export const fileSyncDiffCopy = "/moby.filesync.v1.FileSync/DiffCopy";
export const fileSendDiffCopy = "/moby.filesync.v1.FileSend/DiffCopy";

/** Metadata of a transfer. */
export const fileSyncKeys = {
  directory: "dir-name",
  include: "include-patterns",
  exclude: "exclude-patterns",
  followPaths: "followpaths",
  exporter: "buildkit-attachable-exporter-id",
  /** Prefix of what is told of the result to whoever takes it. */
  exporterMetadata: "exporter-md-",
} as const;

export const stat = message({
  path: one(1, "latin1"),
  /** As Go's `os.FileMode`, see {@link goMode}. */
  mode: one(2, "uint32"),
  uid: one(3, "uint32"),
  gid: one(4, "uint32"),
  size: one(5, "int64"),
  /** ns since the epoch. */
  modTime: one(6, "big"),
  /** Of a symbolic link, or the earlier path of a hard link. */
  linkname: one(7, "latin1"),
  devmajor: one(8, "int64"),
  devminor: one(9, "int64"),
  xattrs: map(10, "bytes"),
});

/** What a packet carries. */
export const packetTypes = { stat: 0, request: 1, data: 2, finished: 3, error: 4 } as const;

/**
 * The sender lists its files (`stat`, one without at the end; they count from 0), the receiver asks for some (`request`)
 * and gets their bytes (`data`, an empty one at each file's end), and both end with `finished`.
 */
export const packet = withQuickStats(
  message({
    type: one(1, "int32"),
    stat: one(2, stat),
    ID: one(3, "uint32"),
    data: one(4, "bytes"),
  }),
);

const typeMask = 0o170000;
/** Bits of `st_mode`'s type in Go's `os.FileMode`. */
const goTypes: readonly (readonly [number, number])[] = [
  [0o040000, 2 ** 31],
  [0o120000, 2 ** 27],
  [0o060000, 2 ** 26],
  [0o020000, 2 ** 26 + 2 ** 21],
  [0o010000, 2 ** 25],
  [0o140000, 2 ** 24],
  [0o100000, 0],
];
const goTypeMask = 2 ** 31 + 2 ** 27 + 2 ** 26 + 2 ** 25 + 2 ** 24 + 2 ** 21;
const goSpecial: readonly (readonly [number, number])[] = [
  [0o4000, 2 ** 23],
  [0o2000, 2 ** 22],
  [0o1000, 2 ** 20],
];

/** `st_mode` as Go's `os.FileMode` has it. */
export function goMode(mode: number): number {
  const type = goTypes.find(([bits]) => bits === (mode & typeMask));
  let result = (mode & 0o777) + (type?.[1] ?? 0);
  for (const [bit, go] of goSpecial) if ((mode & bit) !== 0) result += go;
  return result;
}

/** Go's `os.FileMode` as `st_mode`. */
export function unixMode(mode: number): number {
  const masked = (mode & goTypeMask) >>> 0;
  const type = goTypes.find(([, go]) => go === masked);
  let result = (mode & 0o777) + (type?.[0] ?? 0);
  for (const [bit, go] of goSpecial) if ((mode & go) !== 0) result += bit;
  return result;
}

type StatInit = Encodable<typeof stat>;

/** Room for all of a stat's numbers with their tags, and for the heads of packet and stat. */
const numbersBytes = 128;
const low28 = 0xfff_ffffn;

/**
 * Contexts have thousands of files and a listing is mostly stats: those without extended attributes are written here
 * field by field, in a quarter of the time.
 */
function withQuickStats<
  T extends {
    encode(value: { readonly type?: number | undefined; readonly stat?: StatInit | undefined }): Uint8Array;
  },
>(general: T): T {
  return {
    ...general,
    encode: (value) =>
      value.stat !== undefined &&
      (value.type ?? 0) === packetTypes.stat &&
      (value.stat.xattrs?.size ?? 0) === 0
        ? encodeStatPacket(value.stat)
        : general.encode(value),
  };
}

function encodeStatPacket(file: StatInit): Uint8Array {
  const { path = "", linkname = "" } = file;
  const scratch = Buffer.allocUnsafe(path.length + linkname.length + numbersBytes);
  // The head is written last, right before what it counts.
  const begin = 16;
  let at = begin;
  const text = (field: number, value: string): void => {
    if (value === "") return;
    scratch[at++] = (field << 3) | 2;
    at = writeVarint(scratch, at, value.length);
    at += scratch.write(value, at, "latin1");
  };
  const number = (field: number, value: number | undefined): void => {
    if (value === undefined || value === 0) return;
    scratch[at++] = field << 3;
    at = writeVarint(scratch, at, value);
  };
  text(1, path);
  number(2, file.mode);
  number(3, file.uid);
  number(4, file.gid);
  number(5, file.size);
  const time = file.modTime ?? 0n;
  if (time !== 0n) {
    scratch[at++] = 6 << 3;
    at = writeBigVarint(scratch, at, BigInt.asUintN(64, time));
  }
  text(7, linkname);
  number(8, file.devmajor);
  number(9, file.devminor);
  const length = at - begin;
  const head = begin - 1 - varintBytes(length);
  scratch[head] = (2 << 3) | 2;
  writeVarint(scratch, head + 1, length);
  return scratch.subarray(head, at);
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** Whole numbers up to 2^53. */
function writeVarint(into: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) into[at++] = (rest % 0x80) | 0x80;
  into[at++] = rest;
  return at;
}

/** In pieces of 28 bits, which are plain numbers. */
function writeBigVarint(into: Buffer, from: number, value: bigint): number {
  let at = from;
  let rest = value;
  for (; rest > low28; rest >>= 28n) {
    const piece = Number(rest & low28);
    for (let shift = 0; shift < 28; shift += 7) into[at++] = ((piece >> shift) & 0x7f) | 0x80;
  }
  return writeVarint(into, at, Number(rest));
}
