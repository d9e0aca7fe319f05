/** SELinux as the kernel shows it (selinux(8)): whether it is there, and the labels of files. */
import { closeSync, lstatSync, openSync, readFileSync, statfsSync, constants, writeFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { isErrno } from "./fs-error.ts";
import { getXattr, pathBytes, setXattr } from "./inode.ts";
import { entryPath, namesIn, openSubdirectory } from "./tree-fd.ts";

const selinuxfs = "/sys/fs/selinux";
// linux/magic.h: SELINUX_MAGIC
const selinuxfsType = 0xf97cff8c;
const labelAttribute = "security.selinux";

/** True when this kernel has SELinux and a policy is loaded; without one there is no other label than `kernel`. */
export function isSelinuxOn(): boolean {
  try {
    // f_type is 32 bits wide, and may come with its sign.
    if (statfsSync(selinuxfs).type >>> 0 !== selinuxfsType) return false;
    return readFileSync("/proc/self/attr/current", "utf8").replace(/[\0\n]+$/, "") !== "kernel";
  } catch {
    return false;
  }
}

/** True when the loaded policy knows all that a label names (`security_check_context` of selinux(8)). */
export function isKnownLabel(label: string): boolean {
  try {
    writeFileSync(`${selinuxfs}/context`, `${label}\0`);
    return true;
  } catch (error) {
    if (isErrno(error, "EINVAL")) return false;
    throw error;
  }
}

/** A file's label; undefined when it has none. Of a symbolic link its own. Throws an EngineError of the errno's kind. */
export function labelOf(path: string): string | undefined {
  return getXattr(pathBytes(path), labelAttribute)?.toString().replace(/\0$/, "");
}

/**
 * Gives a file, or a directory with all that is in it, a label. Links are not followed, and a directory that somebody
 * replaces by a link meanwhile leads nowhere. What has the label already is left alone, and what vanishes is no error. The
 * top comes last: when it has the label, everything has. Nothing happens on a file system that holds no labels. Throws an
 * EngineError of the errno's kind when a label cannot be set.
 */
export async function relabel(path: string, label: string): Promise<void> {
  const value = Buffer.from(`${label}\0`);
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (!isErrno(error, "ENOTDIR", "ELOOP")) throw error;
  }
  if (fd !== undefined)
    try {
      await relabelEntries(fd, value);
    } finally {
      closeSync(fd);
    }
  setLabel(Buffer.from(path), value);
}

/** A large tree must not hold up the daemon: after so many entries others have their turn. */
const entriesATurn = 256;

async function relabelEntries(directoryFd: number, value: Buffer): Promise<void> {
  let done = 0;
  for (const name of namesIn(directoryFd)) {
    const path = entryPath(directoryFd, name);
    try {
      if (lstatSync(path).isDirectory()) {
        const fd = openSubdirectory(directoryFd, name);
        try {
          await relabelEntries(fd, value);
        } finally {
          closeSync(fd);
        }
      }
      setLabel(path, value);
    } catch (error) {
      // Gone, or another kind of file by now.
      if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error;
    }
    done += 1;
    if (done % entriesATurn === 0) await nextTurn();
  }
}

function setLabel(path: Buffer, value: Buffer): void {
  const place = pathBytes(path);
  if (getXattr(place, labelAttribute)?.equals(value) !== true) setXattr(place, labelAttribute, value);
}
