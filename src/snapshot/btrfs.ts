/**
 * The btrfs driver: every snapshot is a subvolume, and a copy of the one below it that costs nothing. Otherwise it is the
 * vfs driver, whose snapshots are whole trees too.
 */
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorText } from "../base/errors.ts";
import { withFileErrors } from "../linux/fs-error.ts";
import { createSubvolume, deleteSubvolume, snapshotSubvolume } from "../linux/subvolume.ts";
import { backingFileSystem } from "./overlay-probe.ts";
import type { TreeKind } from "./vfs.ts";

/** The top of a subvolume has this inode number, and nothing else has (BTRFS_FIRST_FREE_OBJECTID). */
const subvolumeInode = 256n;

/** A crash may have come before it was made. */
function isSubvolume(path: string): boolean {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat?.ino === subvolumeInode && stat.isDirectory();
}

export const btrfsTrees: TreeKind = {
  name: "btrfs",
  make(path) {
    createSubvolume(path);
    chmodSync(path, 0o755);
  },
  copy: (from, to) => snapshotSubvolume(from, to),
  dispose(path) {
    if (isSubvolume(path)) deleteSubvolume(path);
  },
};

/** Makes a subvolume, a snapshot of it, and removes both. Throws `unavailable` with the reason when that fails. */
export function probeBtrfs(root: string): void {
  withFileErrors(`make ${root}`, () => mkdirSync(root, { recursive: true, mode: 0o710 }));
  const kind = backingFileSystem(root);
  const refuse = (reason: string): EngineError =>
    new EngineError("unavailable", `storage driver btrfs does not work in ${root} (${kind}): ${reason}`, {
      hint: "put the data root on a btrfs file system, or choose another --storage-driver",
    });
  if (kind !== "btrfs") throw refuse("it is no btrfs");
  const directory = mkdtempSync(join(root, "probe-"));
  try {
    btrfsTrees.make(join(directory, "a"));
    btrfsTrees.copy(join(directory, "a"), join(directory, "b"));
    for (const name of ["a", "b"]) btrfsTrees.dispose?.(join(directory, name));
  } catch (error) {
    throw refuse(errorText(error));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
