/** Mounting. Flags and option words as in mount(2) and mount(8). */
import { spawnSync } from "node:child_process";
import { accessSync, constants, readFileSync, realpathSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { conflict, EngineError } from "../base/errors.ts";
import { isErrno } from "./fs-error.ts";
import { EINVAL, ENOENT, errno, libc, systemError } from "./libc.ts";

/** A mount to be made: the words of fstab(5), as OCI bundles use them too. */
export interface Mount {
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

const mountCall = libc.func("int mount(str source, str target, str type, unsigned long flags, str data)");
const statvfsCall = libc.func("int statvfs(str path, void *buffer)");
const umount2Call = libc.func("int umount2(str target, int flags)");

const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/** Option words that are flags of mount(2); a leading `-` clears. Everything else is data for the file system. */
const flagWords: Readonly<Record<string, number>> = {
  defaults: 0,
  ro: 0x1,
  rw: -0x1,
  nosuid: 0x2,
  suid: -0x2,
  nodev: 0x4,
  dev: -0x4,
  noexec: 0x8,
  exec: -0x8,
  sync: 0x10,
  async: -0x10,
  mand: 0x40,
  nomand: -0x40,
  dirsync: 0x80,
  remount: MS_REMOUNT,
  noatime: 0x400,
  atime: -0x400,
  nodiratime: 0x800,
  diratime: -0x800,
  bind: MS_BIND,
  rbind: MS_BIND | 0x4000,
  private: 0x40000,
  rprivate: 0x40000 | 0x4000,
  slave: 0x80000,
  rslave: 0x80000 | 0x4000,
  shared: 0x100000,
  rshared: 0x100000 | 0x4000,
  relatime: 0x200000,
  norelatime: -0x200000,
  strictatime: 0x1000000,
  nostrictatime: -0x1000000,
};

/** Splits option words into the flags and the data of mount(2). */
function parseMountOptions(options: readonly string[]): { flags: number; data: string } {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    const flag = flagWords[option];
    if (flag === undefined) data.push(option);
    else if (flag < 0) flags &= ~-flag;
    else flags |= flag;
  }
  return { flags, data: data.join(",") };
}

/** The path of a program in PATH, or where the system's own programs are. */
export function findProgram(name: string): string | undefined {
  const directories = `${process.env["PATH"] ?? ""}:/usr/sbin:/usr/bin:/sbin:/bin`.split(":");
  return directories
    .filter((directory) => directory !== "")
    .map((directory) => join(directory, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** `fuse.NAME` is served by the program NAME, as with mount(8): it goes into the background when it is mounted. */
function mountByProgram(what: Mount, target: string): void {
  const name = what.type.replace(/^fuse3?\./, "");
  const program = findProgram(name);
  if (program === undefined)
    throw new EngineError("unavailable", `mount ${target}: ${name} is not installed`);
  const options = what.options.filter((option) => option !== "rw").join(",");
  // Descriptors of ours would keep what they name busy for as long as it is mounted.
  const { status, stderr, error } = spawnSync(program, ["-o", options, target], {
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
  });
  if (status !== 0)
    throw new EngineError("internal", `mount ${target} by ${name}: ${error?.message ?? stderr.trim()}`);
}

/** mount(2). A read-only bind mount takes the second call that the kernel asks for. Throws an EngineError of the errno's kind. */
export function mount(what: Mount, target: string): void {
  if (/^fuse3?\./.test(what.type)) {
    mountByProgram(what, target);
    return;
  }
  const { flags, data } = parseMountOptions(what.options);
  if (mountCall(what.source, target, what.type, flags, data === "" ? null : data) !== 0)
    throw systemError(`mount ${what.type || what.source} on ${target}`);
  if ((flags & MS_BIND) !== 0 && (flags & 0xf) !== 0) {
    const again = (flags & ~0x4000) | MS_REMOUNT;
    if (mountCall("none", target, null, again, null) !== 0) {
      const failure = systemError(`remount ${target} with ${what.options.join(",")}`);
      umount2Call(target, MNT_DETACH);
      throw failure;
    }
  }
}

/** Of statvfs(3): where its flags are in the structure of 64-bit machines, and those that a bind mount can have. */
const statvfsBytes = 128;
const statvfsFlagOffset = 72;
const restrictions: readonly (readonly [flag: number, word: string])[] = [
  [0x1, "ro"],
  [0x2, "nosuid"],
  [0x4, "nodev"],
  [0x8, "noexec"],
];

/** What is not allowed on the mount that `path` lies on, as option words; nothing for a path that is not there. */
export function mountRestrictions(path: string): string[] {
  const buffer = Buffer.alloc(statvfsBytes);
  if (statvfsCall(path, buffer) !== 0) return [];
  const flags = buffer.readUInt32LE(statvfsFlagOffset);
  return restrictions.flatMap(([flag, word]) => ((flags & flag) !== 0 ? [word] : []));
}

/**
 * Unmounts `target`, lazily when somebody still uses it. Returns false when nothing was mounted there. Never follows a
 * symbolic link at the end of the path.
 */
export function unmount(target: string): boolean {
  if (umount2Call(target, MNT_DETACH | UMOUNT_NOFOLLOW) === 0) return true;
  const code = errno();
  if (code === EINVAL || code === ENOENT) return false;
  throw systemError(`unmount ${target}`, code);
}

/**
 * True when something is mounted on exactly this path (proc_pid_mountinfo(5)); a bind of a directory on its own file system
 * too. Asks nothing of what is mounted there: its server may be away, and whoever asks then waits for good.
 */
export function isMountPoint(path: string): boolean {
  return mountsOn(path) > 0;
}

/** How many file systems are mounted on exactly this path, one over the other; asks as little as {@link isMountPoint}. */
export function mountsOn(path: string): number {
  const wanted = join(realPath(dirname(path)), basename(path));
  return mountPoints().filter((target) => target === wanted).length;
}

/** The path as the kernel names it, through links; a path that is not there as it is. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return path;
    throw error;
  }
}

/** Everything that is mounted, by real paths (proc_pid_mountinfo(5)). */
export function mountPoints(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ", 5)[4] ?? "")
    .map((target) =>
      target.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8))),
    );
}

/** What is mounted on `directory`, a real path, and below it, the deepest first (proc_pid_mountinfo(5)). */
function mountPointsIn(directory: string): string[] {
  return mountPoints()
    .filter((target) => target === directory || target.startsWith(`${directory}/`))
    .sort((a, b) => b.split("/").length - a.split("/").length);
}

/** Unmounts everything on `directory` and below it. Throws `conflict` when something stays mounted. */
export function unmountAll(directory: string): void {
  let real: string;
  try {
    real = realpathSync(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    throw error;
  }
  // One that is hidden by another of the same path comes to light with the next round.
  for (let left = Infinity; ;) {
    const targets = mountPointsIn(real);
    if (targets.length === 0) return;
    if (targets.length >= left) throw conflict(`${targets.join(", ")} cannot be unmounted`);
    left = targets.length;
    for (const target of targets) unmount(target);
  }
}

/**
 * Removes a directory that mounts were made in. What they show is somebody's, volumes too, and is never removed with it:
 * throws, with nothing removed, when one of them cannot be unmounted.
 */
export function removeMountDirectory(directory: string): void {
  unmountAll(directory);
  rmSync(directory, { recursive: true, force: true });
}
