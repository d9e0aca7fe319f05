/** A file system of some kind in a file, mounted by a loop device. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errorText } from "../base/errors.ts";
import { unmount } from "../linux/mount.ts";

export interface LoopFileSystem extends Disposable {
  /** Where it is mounted; undefined where it cannot be had. */
  readonly path: string | undefined;
  readonly why: string;
}

/** Makes one and mounts it. Where the kernel or the machine has not got what it takes, says why instead. */
export function loopFileSystem(kind: "btrfs" | "ext4" | "xfs"): LoopFileSystem {
  const directory = mkdtempSync(join(tmpdir(), `gantry-${kind}-`));
  const [image, path] = [join(directory, "image"), join(directory, "mnt")];
  let isMounted = false;
  const undo = (): void => {
    if (isMounted) unmount(path);
    isMounted = false;
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    writeFileSync(image, "");
    truncateSync(image, 1024 * 1024 * 1024);
    mkdirSync(path);
    execFileSync(`mkfs.${kind}`, ["-q", image], { stdio: ["ignore", "ignore", "pipe"] });
    execFileSync("mount", ["-o", "loop", image, path], { stdio: ["ignore", "ignore", "pipe"] });
    isMounted = true;
    return { path, why: "", [Symbol.dispose]: undo };
  } catch (error) {
    undo();
    return {
      path: undefined,
      why: `no ${kind} here: ${errorText(error).split("\n")[0]}`,
      [Symbol.dispose]: undo,
    };
  }
}
