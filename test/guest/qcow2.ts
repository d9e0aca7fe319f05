/**
 * Disk images whose writes a cut can take. A QCOW2 overlay over the image of the boot before allocates a cluster at each
 * first write to it, and qemu keeps these allocations in memory until the guest flushes its disk: killed, qemu loses what
 * was written there and not flushed, and keeps what was written over, as a disk with a write cache does.
 * Format: qemu's docs/interop/qcow2.txt, version 3.
 */
import { statSync, writeFileSync } from "node:fs";

const clusterBits = 16;
const clusterBytes = 2 ** clusterBits;

/** Makes an empty overlay of `sizeBytes` at `path` over the image `backing`. */
export function makeOverlay(
  path: string,
  backing: { readonly path: string; readonly format: "raw" | "qcow2" },
  sizeBytes: number,
): void {
  const bytesPerL2 = clusterBytes * (clusterBytes / 8);
  const name = Buffer.from(backing.path);
  const image = Buffer.alloc(4 * clusterBytes);
  image.write("QFI\xfb", 0, "latin1");
  image.writeUInt32BE(3, 4);
  image.writeUInt32BE(clusterBits, 20);
  image.writeBigUInt64BE(BigInt(sizeBytes), 24);
  // Clusters: header, refcount table, its only block, table of level 1.
  image.writeUInt32BE(Math.ceil(sizeBytes / bytesPerL2), 36);
  image.writeBigUInt64BE(BigInt(3 * clusterBytes), 40);
  image.writeBigUInt64BE(BigInt(clusterBytes), 48);
  image.writeUInt32BE(1, 56);
  // 16 bits a refcount; the header's length.
  image.writeUInt32BE(4, 96);
  image.writeUInt32BE(104, 100);
  image.writeUInt32BE(0xe2792aca, 104);
  image.writeUInt32BE(backing.format.length, 108);
  image.write(backing.format, 112, "latin1");
  // Extensions are padded to eight bytes; one of type 0 ends them.
  const nameOffset = 128;
  image.writeBigUInt64BE(BigInt(nameOffset), 8);
  image.writeUInt32BE(name.length, 16);
  name.copy(image, nameOffset);
  image.writeBigUInt64BE(BigInt(2 * clusterBytes), clusterBytes);
  for (let cluster = 0; cluster < 4; cluster += 1) image.writeUInt16BE(1, 2 * clusterBytes + 2 * cluster);
  writeFileSync(path, image);
}

/** Size of a raw image, for its first overlay. */
export const rawSize = (path: string): number => statSync(path).size;
