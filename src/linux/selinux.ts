/** SELinux as the kernel shows it (selinux(8)): whether it is there, and the labels of files. */
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileSystemError, isErrno } from "./fs-error.ts";
import { getXattr, pathBytes, setXattr } from "./inode.ts";
import { openWithoutLinks } from "./resolve-in-root.ts";
import { descriptorPath, entryPath, namesIn, O_PATH, openSubdirectory } from "./tree-fd.ts";

const selinuxfs = "/sys/fs/selinux";
// linux/magic.h: SELINUX_MAGIC
const selinuxfsType = 0xf97cff8c;
const labelAttribute = "security.selinux";

/** Where {@link isSelinuxOn} looks. */
const kernelPlaces = { fileSystem: selinuxfs, type: selinuxfsType, current: "/proc/self/attr/current" };

/**
 * True when this kernel has SELinux and a policy is loaded; without one there is no other label than `kernel`. As for
 * libselinux a file system that is read-only here means that SELinux is not for us: so it is shown to containers.
 */
export function isSelinuxOn({ fileSystem, type, current } = kernelPlaces): boolean {
  try {
    // f_type is 32 bits wide, and may come with its sign.
    if (statfsSync(fileSystem).type >>> 0 !== type >>> 0) return false;
    accessSync(`${fileSystem}/context`, constants.W_OK);
    return readFileSync(current, "utf8").replace(/[\0\n]+$/, "") !== "kernel";
  } catch {
    return false;
  }
}

/**
 * True when the loaded policy knows all that a label names (`security_check_context` of selinux(8)). Throws an EngineError
 * when the kernel does not tell.
 */
export function isKnownLabel(label: string): boolean {
  try {
    writeFileSync(`${selinuxfs}/context`, `${label}\0`);
    return true;
  } catch (error) {
    if (isErrno(error, "EINVAL")) return false;
    throw fileSystemError(`ask the SELinux policy for the label ${label}`, error);
  }
}

/** A file's label; undefined when it has none. Of a symbolic link its own. Throws an EngineError of the errno's kind. */
export function labelOf(path: string): string | undefined {
  return getXattr(pathBytes(path), labelAttribute)?.toString().replace(/\0$/, "");
}

/**
 * Gives a file, or a directory with all that is in it, a label. What `path` leads to is opened once, as the place that
 * `checkPlace` is told and may refuse by throwing; nothing that happens to the path afterwards leads elsewhere, nor does
 * a link in the tree, or a directory in it that somebody replaces by one. What has the label already is left alone, and
 * what vanishes is no error. The top comes last: when it has the label, everything has. Nothing happens on a file system
 * that holds no labels. Throws an EngineError of the errno's kind when a label cannot be set.
 */
export async function relabel(
  path: string,
  label: string,
  checkPlace: (place: string) => void = () => {},
): Promise<void> {
  const value = Buffer.from(`${label}\0`);
  const top = openWithoutLinks(realpathSync(path), O_PATH);
  try {
    checkPlace(readlinkSync(descriptorPath(top)));
    if (fstatSync(top).isDirectory()) await relabelTree(top, value);
    else setOpenLabel(top, value);
  } finally {
    closeSync(top);
  }
}

/** A large tree must not hold up the daemon: after so many entries others have their turn. */
const entriesATurn = 256;

/** A directory on the way from the top to where the walk is. */
interface Level {
  /** In the directory above; empty for the top. */
  readonly name: string;
  /** What is still to be done in it. */
  readonly names: string[];
  identity: string;
}

/** Only the directory that is worked in is open: how deep a tree may be is not a matter of descriptors. */
async function relabelTree(top: number, value: Buffer): Promise<void> {
  let fd = openSync(descriptorPath(top), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const levels: Level[] = [levelAt(fd, "")];
    for (let done = 1; ; done += 1) {
      const name = levels.at(-1)!.names.pop();
      if (name === undefined) {
        setOpenLabel(fd, value);
        levels.pop();
        if (levels.length === 0) return;
        const above = openAbove(fd, top, levels);
        closeSync(fd);
        fd = above;
      } else {
        const below = relabelEntry(fd, name, value);
        if (below !== undefined) {
          closeSync(fd);
          fd = below;
          levels.push(levelAt(fd, name));
        }
      }
      if (done % entriesATurn === 0) await nextTurn();
    }
  } finally {
    closeSync(fd);
  }
}

/** Labels what is no directory; opens and returns what is one. */
function relabelEntry(directoryFd: number, name: string, value: Buffer): number | undefined {
  const path = entryPath(directoryFd, name);
  try {
    if (lstatSync(path).isDirectory()) return openSubdirectory(directoryFd, name);
    setLabel(path, value);
  } catch (error) {
    // Gone, or another kind of file by now.
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error;
  }
  return undefined;
}

/**
 * Opens the directory above, which is the last of `levels`. Where the one that is left has been moved elsewhere, its `..`
 * is not that: then the way is gone once more from the top, as far as it still leads.
 */
function openAbove(fd: number, top: number, levels: Level[]): number {
  const above = openSync(`${descriptorPath(fd)}/..`, constants.O_RDONLY | constants.O_DIRECTORY);
  if (identityOf(above) === levels.at(-1)!.identity) return above;
  closeSync(above);
  let found = openSync(descriptorPath(top), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const [depth, level] of levels.entries()) {
      if (depth === 0) continue;
      const next = openSubdirectory(found, level.name);
      closeSync(found);
      found = next;
      level.identity = identityOf(found);
    }
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) {
      closeSync(found);
      throw error;
    }
    const depth = levels.findIndex(({ identity }) => identity === identityOf(found));
    levels.length = depth + 1;
  }
  return found;
}

function levelAt(fd: number, name: string): Level {
  return { name, names: namesIn(fd), identity: identityOf(fd) };
}

function identityOf(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}

function setLabel(path: Buffer, value: Buffer, { follow = false } = {}): void {
  const place = pathBytes(path);
  if (getXattr(place, labelAttribute, { follow })?.equals(value) !== true)
    setXattr(place, labelAttribute, value, { follow });
}

/** Of an open file, and of one that was opened only as a place (O_PATH). */
function setOpenLabel(fd: number, value: Buffer): void {
  setLabel(Buffer.from(descriptorPath(fd)), value, { follow: true });
}
