/**
 * What a stack of overlay layers shows at a path, without mounting it. Paths are byte strings relative to the root,
 * without `.` and `..`.
 */
import { lstatSync, type BigIntStats } from "node:fs";
import { isErrno } from "../linux/fs-error.ts";
import { getXattr, pathBytes } from "../linux/inode.ts";

export const opaqueXattr = "trusted.overlay.opaque";

/** The bytes of a byte string. */
export const bytes = (path: string): Buffer => Buffer.from(path, "latin1");

/** lstat, or undefined when nothing is there. */
export function lookup(path: string): BigIntStats | undefined {
  try {
    return lstatSync(bytes(path), { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    if (isErrno(error, "ENOTDIR")) return undefined;
    throw error;
  }
}

/** overlayfs's mark for "deleted": a character device 0:0. */
export function isWhiteout(stat: BigIntStats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0n;
}

export function isOpaque(path: string): boolean {
  return getXattr(pathBytes(bytes(path)), opaqueXattr)?.toString("latin1") === "y";
}

/** Finds `relative` in layers given from top to bottom; undefined when it is nowhere or was deleted. */
export function findInLayers(
  layers: readonly string[],
  relative: string,
): { path: string; stat: BigIntStats } | undefined {
  for (const layer of layers) {
    const path = `${layer}/${relative}`;
    const stat = lookup(path);
    if (stat !== undefined) return isWhiteout(stat) ? undefined : { path, stat };
    if (hidesBelow(layer, relative)) return undefined;
  }
  return undefined;
}

/** True when an ancestor of `relative` in this layer keeps lower layers from showing through. */
function hidesBelow(layer: string, relative: string): boolean {
  const parts = relative.split("/").slice(0, -1);
  let path = layer;
  for (const part of parts) {
    path += `/${part}`;
    const stat = lookup(path);
    if (stat === undefined) return false;
    if (!stat.isDirectory() || isOpaque(path)) return true;
  }
  return false;
}
