/** Small files beside what they tell of: whole or not there, and gone for good when they were removed. */
import {
  closeSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { isErrno, withFileErrors } from "./fs-error.ts";

/** `f_type` of statfs(2). */
const BTRFS_SUPER_MAGIC = 0x9123683e;

/** The name of one that is being written. */
export const newSideFile = (path: string): string => `${path}.new`;

/**
 * Writes one, for root alone; in between the new one is there under {@link newSideFile}. A loss of power may take it. Throws
 * Node's error, with nothing new left.
 */
export function writeSideFile(path: string, text: string): void {
  const newPath = newSideFile(path);
  try {
    writeFileSync(newPath, text, { mode: 0o600 });
    // A rename over another file has ext4 write the new one to the disk at once, which takes milliseconds.
    rmSync(path, { force: true });
    renameSync(newPath, path);
  } catch (error) {
    dropSideFile(newPath);
    throw error;
  }
}

/** Removes one that nobody misses, if that can be done. */
export function dropSideFile(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // It goes with its directory, or the next time.
  }
}

/**
 * Removes one so that it is not there after a loss of power either, once a file that was written later has been synced:
 * ext4 and xfs bring the removal along in their journals; of btrfs a sync has that file alone, and here the directory's
 * follows at once. Throws when it cannot be removed.
 */
export function removeSideFile(path: string): void {
  withFileErrors(`remove ${path}`, () => {
    try {
      unlinkSync(path);
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
      return;
    }
    const directory = dirname(path);
    if (statfsSync(directory).type !== BTRFS_SUPER_MAGIC) return;
    const fd = openSync(directory, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  });
}
