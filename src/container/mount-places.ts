/**
 * Where the user's mounts may not go. A runtime trusts two places when it sets a container up: it writes settings of the
 * kernel and of security modules below /proc, and covers what is masked with /dev/null. A mount that puts something else
 * there, directly or through a link, turns that work against the host (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881).
 */
import { lstatSync, readlinkSync, statSync } from "node:fs";
import { invalidArgument } from "../base/errors.ts";
import { followLinks } from "../base/follow-links.ts";
import { isErrno } from "../linux/fs-error.ts";
import type { RuntimeMount } from "../oci/runtime-spec.ts";

/** Files of /proc that programs like lxcfs serve for containers: runc's list (libcontainer, checkProcMount). */
const servedFiles: ReadonlySet<string> = new Set(
  (
    "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo net/dev sys/kernel/ns_last_pid " +
    "sys/crypto/fips_enabled"
  )
    .split(" ")
    .map((name) => `/proc/${name}`),
);

/**
 * Looks where each of `mounts`, in their order, comes to lie in `rootfs`, links in the root and in earlier mounts
 * followed. Throws `invalidArgument`, in runc's words, for one over or inside /proc, and, where paths are masked, for one
 * over /dev that is not the host's own.
 */
export function checkMountPlaces(
  rootfs: string,
  mounts: readonly RuntimeMount[],
  { masksPaths }: { readonly masksPaths: boolean },
): void {
  const placed: Placed[] = [];
  for (const mount of mounts) {
    const place = placeOf(rootfs, mount.destination, placed);
    if (place === "/proc" || place.startsWith("/proc/")) checkInProc(mount, place);
    if (place === "/dev" && masksPaths) checkOverDev(mount);
    placed.push({ place, source: mount.type === "bind" ? mount.source : undefined });
  }
}

interface Placed {
  /** Where it is in the container, without links. */
  readonly place: string;
  /** Undefined for a mount that is made empty. */
  readonly source: string | undefined;
}

function placeOf(rootfs: string, destination: string, placed: readonly Placed[]): string {
  const parts = followLinks(destination.split("/"), (path) => {
    const host = hostPathOf(rootfs, `/${path}`, placed);
    return host === undefined ? undefined : readLink(host);
  });
  if (parts === undefined) throw invalidArgument(`too many symbolic links in mount path ${destination}`);
  return `/${parts.join("/")}`;
}

/** What a path of the container is on the host; undefined where nothing can be yet. */
function hostPathOf(rootfs: string, path: string, placed: readonly Placed[]): string | undefined {
  const over = placed.findLast(({ place }) => path.startsWith(`${place}/`));
  if (over !== undefined)
    return over.source === undefined ? undefined : `${over.source}${path.slice(over.place.length)}`;
  // The kernel's own links, such as /proc/self, lead to nowhere else.
  return path.startsWith("/proc/") ? undefined : `${rootfs}${path}`;
}

function readLink(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG", "EINVAL", "ELOOP")) return undefined;
    throw error;
  }
}

function checkInProc(mount: RuntimeMount, place: string): void {
  const { type, source, destination } = mount;
  if (place === "/proc") {
    // The host's own /proc, or a part of it: what a runtime finds there is the kernel's.
    if (type === "bind" && isOnDeviceOf(source, "/proc")) return;
    throw refusal(mount, `"${destination}" cannot be mounted because it is not of type proc`);
  }
  // Empty and the container's own.
  if (type === "tmpfs") return;
  if (!servedFiles.has(place))
    throw refusal(mount, `"${destination}" cannot be mounted because it is inside /proc`);
}

function checkOverDev(mount: RuntimeMount): void {
  const { type, source, destination } = mount;
  if (type !== "bind" || isOnDeviceOf(source, "/dev")) return;
  throw refusal(
    mount,
    `"${destination}" cannot be mounted because paths of /proc are masked with the /dev/null in it`,
    "Give devices with --device, or mount below /dev.",
  );
}

function refusal({ source, destination }: RuntimeMount, reason: string, hint?: string): Error {
  const options = hint === undefined ? {} : { hint };
  return invalidArgument(`error mounting "${source}" to rootfs at "${destination}": ${reason}`, options);
}

function isOnDeviceOf(path: string, other: string): boolean {
  const device = (name: string): number | undefined => statSync(name, { throwIfNoEntry: false })?.dev;
  return device(path) !== undefined && device(path) === device(other);
}
