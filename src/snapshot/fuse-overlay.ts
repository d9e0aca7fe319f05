/**
 * The fuse-overlayfs driver: overlay2's layers, mounted by the program fuse-overlayfs, for kernels whose overlayfs cannot be
 * used where the data root is. A process a mount does the work, which makes it slower.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorText } from "../base/errors.ts";
import { withFileErrors } from "../linux/fs-error.ts";
import { findProgram, mount, unmount } from "../linux/mount.ts";
import { backingFileSystem } from "./overlay-probe.ts";

/** mount(8)'s name for a file system that a program serves. */
export const fuseOverlayType = "fuse.fuse-overlayfs";

/** Mounts a small one and deletes a file in it. Throws `unavailable` with the reason when that fails. */
export function probeFuseOverlay(root: string): void {
  withFileErrors(`make ${root}`, () => mkdirSync(root, { recursive: true, mode: 0o710 }));
  const reason = tryFuseOverlay(root);
  if (reason === undefined) return;
  const kind = backingFileSystem(root);
  throw new EngineError(
    "unavailable",
    `storage driver fuse-overlayfs does not work in ${root} (${kind}): ${reason}`,
    {
      hint: "install the package fuse-overlayfs and load the module fuse, or choose another --storage-driver",
    },
  );
}

function tryFuseOverlay(root: string): string | undefined {
  if (findProgram("fuse-overlayfs") === undefined) return "the program fuse-overlayfs is not installed";
  if (!existsSync("/dev/fuse")) return "there is no /dev/fuse";
  const directory = mkdtempSync(join(root, "probe-"));
  try {
    for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(directory, name));
    writeFileSync(join(directory, "lower/file"), "");
    const options = ["lower", "upper", "work"].map((name) => `${name}dir=${join(directory, name)}`);
    mount({ type: fuseOverlayType, source: "fuse-overlayfs", options }, join(directory, "merged"));
    unlinkSync(join(directory, "merged/file"));
    return readdirSync(join(directory, "merged")).length > 0 ? "a deleted file stays visible" : undefined;
  } catch (error) {
    return errorText(error);
  } finally {
    unmount(join(directory, "merged"));
    rmSync(directory, { recursive: true, force: true });
  }
}
