/** Messages of file transfer (BuildKit, session/filesync/filesync.proto; fsutil, types/stat.proto and wire.proto). */
import { map, message, one } from "../protobuf.ts";

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
export const packet = message({
  type: one(1, "int32"),
  stat: one(2, stat),
  ID: one(3, "uint32"),
  data: one(4, "bytes"),
});

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
