/** Finds out, by doing it, whether overlayfs works on a directory; and what `info` says about it. */
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { EngineError, errorText } from "../base/errors.ts";
import { withFileErrors } from "../linux/fs-error.ts";
import { hasDirectoryTypes, pathBytes, setXattr } from "../linux/inode.ts";
import { mount, unmount } from "../linux/mount.ts";

/** Magic numbers of statfs(2) and Docker's names for them. */
const fileSystems: Readonly<Record<number, string>> = {
  0xef53: "extfs",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x01021994: "tmpfs",
  0x2fc12fc1: "zfs",
  0xf2f52010: "f2fs",
  0x794c7630: "overlayfs",
  0x61756673: "aufs",
  0x6969: "nfs",
  0x01021997: "9p",
  0x65735546: "fuse",
};

/** Docker's name of the file system that holds `path`. */
export function backingFileSystem(path: string): string {
  return fileSystems[statfsSync(path).type] ?? "<unknown>";
}

function moduleParameter(name: string): string | undefined {
  try {
    return readFileSync(`/sys/module/overlay/parameters/${name}`, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Docker's lines for `DriverStatus` of overlay2. */
export function overlayStatus(root: string): [string, string][] {
  return [
    ["Backing Filesystem", backingFileSystem(root)],
    ["Supports d_type", String(hasDirectoryTypes(root))],
    ["Using metacopy", "false"],
    // What a container changes lies in its upper directory in full: redirects and metacopy are mounted off.
    [
      "Native Overlay Diff",
      String(moduleParameter("redirect_always_follow") !== "Y" || moduleParameter("redirect_dir") !== "Y"),
    ],
    ["userxattr", "false"],
  ];
}

/**
 * Mounts a small overlay below `root` and deletes a file in it. Throws `unavailable` with the reason when that does not
 * leave what overlayfs should leave.
 */
export function probeOverlay(root: string): void {
  withFileErrors(`make ${root}`, () => mkdirSync(root, { recursive: true, mode: 0o710 }));
  const directory = withFileErrors(`write to ${root}`, () => mkdtempSync(join(root, "probe-")));
  try {
    const reason = tryOverlay(directory);
    if (reason === undefined) return;
    throw new EngineError(
      "unavailable",
      `storage driver overlay2 does not work in ${root} (${backingFileSystem(root)}): ${reason}`,
      { hint: "put the data root on ext4, xfs or btrfs, or choose --storage-driver fuse-overlayfs or vfs" },
    );
  } finally {
    unmount(join(directory, "merged"));
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The reason why it does not work, undefined when it does. */
function tryOverlay(directory: string): string | undefined {
  if (backingFileSystem(directory) === "overlayfs")
    return "it lies on an overlay itself (a container's own file system, perhaps), and overlayfs takes none as its upper directory; give the data root a volume";
  for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(directory, name));
  writeFileSync(join(directory, "lower/file"), "");
  const at = (name: string): string => join(directory, name).replace(/[\\:,]/g, "\\$&");
  try {
    if (!hasDirectoryTypes(directory)) return "reading a directory gives no types (xfs: made with ftype=0)";
    if (!setXattr(pathBytes(join(directory, "upper")), "trusted.gantry.probe", Buffer.from("y")))
      return "there are no trusted extended attributes";
    const options = [`lowerdir=${at("lower")}`, `upperdir=${at("upper")}`, `workdir=${at("work")}`];
    mount({ type: "overlay", source: "overlay", options }, join(directory, "merged"));
    unlinkSync(join(directory, "merged/file"));
    if (readdirSync(join(directory, "merged")).length > 0) return "a deleted file stays visible";
    if (!lstatSync(join(directory, "upper/file")).isCharacterDevice()) return "deleting leaves no whiteout";
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}
