/** What a container's root has of the engine before it starts, as Docker's init layer has it (moby, daemon/initlayer). */
import { closeSync, constants, lstatSync, mkdirSync, openSync, symlinkSync, unlinkSync } from "node:fs";
import { errorText } from "../base/errors.ts";
import { isErrno } from "../linux/fs-error.ts";
import { resolveInRoot } from "../linux/resolve-in-root.ts";

/** Files of /etc that a runtime mounts. */
const mountedFiles = ["hostname", "hosts", "resolv.conf"];

/**
 * Puts into a mounted root what Docker's containers have there: the empty `/.dockerenv`, which programs take as the sign that
 * they run in a container, and a directory /etc that files can be mounted into, with the link `mtab`, which old programs
 * read as the table of mounts. An `mtab` that is there stays. Synchronous: it is on the way of every start.
 */
export function prepareRoot(rootfs: string): void {
  markRoot(rootfs);
  attempt("/etc", () => {
    const directory = usableEtc(rootfs);
    for (const name of mountedFiles) dropCircle(rootfs, directory, name);
    if (lstatSync(`${directory}/mtab`, { throwIfNoEntry: false }) === undefined)
      symlinkSync("/proc/mounts", `${directory}/mtab`);
  });
}

/** Makes the empty `/.dockerenv`. It lies in the root itself and links are not followed, so nothing leads elsewhere. */
export function markRoot(rootfs: string): void {
  attempt("/.dockerenv", () => {
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;
    closeSync(openSync(`${rootfs}/.dockerenv`, flags, 0o755));
  });
}

/** A root that cannot be written is as it is. */
function attempt(what: string, make: () => void): void {
  try {
    make();
  } catch (error) {
    if (!isErrno(error, "EEXIST", "EROFS"))
      throw new Error(`make ${what}: ${errorText(error)}`, { cause: error });
  }
}

/**
 * Where /etc is. It may be a link, which is followed inside the root; one that leads nowhere or in a circle, or a file, gives
 * way to a directory, as every link does with Docker.
 */
function usableEtc(rootfs: string): string {
  const directory = followed(rootfs, "/etc");
  if (directory !== undefined && lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() === true)
    return directory;
  const place = `${rootfs}/etc`;
  if (lstatSync(place, { throwIfNoEntry: false }) !== undefined) unlinkSync(place);
  mkdirSync(place, 0o755);
  return place;
}

/** No runtime could mount anything at a link that leads in a circle. */
function dropCircle(rootfs: string, directory: string, name: string): void {
  const place = `${directory}/${name}`;
  if (lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return;
  if (followed(rootfs, place.slice(rootfs.length)) === undefined) unlinkSync(place);
}

/** Undefined for a path with too many links. */
function followed(rootfs: string, path: string): string | undefined {
  try {
    return resolveInRoot(rootfs, path);
  } catch {
    return undefined;
  }
}
