import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import type { BigIntStats } from "node:fs";
import { isErrno } from "../linux/fs-error.ts";

/**
 * Bytes of the regular files and number of inodes below `directory`; a file with several names counts once. With
 * `below`, only what is not there in the same state (size, mode, modification time).
 */
export async function diskUsage(
  directory: string,
  below?: string,
): Promise<{ sizeBytes: number; inodes: number }> {
  const seen = new Set<bigint>();
  let sizeBytes = 0;
  let inodes = 0;
  const pending = [directory];
  for (let current = pending.pop(); current !== undefined; current = pending.pop()) {
    try {
      for await (const entry of await opendir(current)) {
        const path = join(current, entry.name);
        const stat = await lstat(path, { bigint: true });
        if (stat.isDirectory()) pending.push(path);
        if (below !== undefined && (await isSame(stat, below + path.slice(directory.length)))) continue;
        if (stat.nlink > 1n && !stat.isDirectory()) {
          if (seen.has(stat.ino)) continue;
          seen.add(stat.ino);
        }
        inodes += 1;
        if (stat.isFile()) sizeBytes += Number(stat.size);
      }
    } catch (error) {
      // A container that runs may remove what was just listed.
      if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
    }
  }
  return { sizeBytes, inodes };
}

async function isSame(stat: BigIntStats, path: string): Promise<boolean> {
  try {
    const other = await lstat(path, { bigint: true });
    const sameContent = stat.isDirectory() || (stat.size === other.size && stat.mtimeNs === other.mtimeNs);
    return sameContent && stat.mode === other.mode;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
