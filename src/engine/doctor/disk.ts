/** The file systems of the daemon's two roots. */
import type { Finding } from "../../wire/doctor.ts";
import { ok, problem, warning } from "./finding.ts";
import type { DaemonPlaces, Machine, Room } from "./machine.ts";

const mebibyte = 1024 * 1024;

export function diskRules(machine: Machine, places: DaemonPlaces): Finding[] {
  return [
    space(machine.room(places.dataRoot), places.dataRoot),
    inodes(machine.room(places.dataRoot), places.dataRoot),
    dataFileSystem(machine, places),
    execFileSystem(machine, places),
  ];
}

function space({ freeBytes, totalBytes }: Room, path: string): Finding {
  const id = "disk.space";
  const free = `${Math.floor(freeBytes / mebibyte)} MiB of ${Math.floor(totalBytes / mebibyte)} MiB are free for ${path}`;
  if (freeBytes < 100 * mebibyte) return problem(id, free, "gantry system prune");
  if (freeBytes < 1024 * mebibyte || freeBytes < totalBytes / 20)
    return warning(id, free, "gantry system prune");
  return ok(id, free);
}

function inodes({ freeInodes, totalInodes }: Room, path: string): Finding {
  const id = "disk.inodes";
  if (totalInodes === 0) return ok(id, "as many as there is room for");
  const free = `${freeInodes} of ${totalInodes} inodes are free for ${path}`;
  if (freeInodes < 1_000) return problem(id, free, "gantry system prune");
  return freeInodes < totalInodes / 20 ? warning(id, free, "gantry system prune") : ok(id, free);
}

/** File systems that overlayfs does not take as its upper one, or that keep no owners. */
const unfit: Readonly<Record<string, string>> = {
  overlay: "overlayfs does not go on top of itself",
  nfs: "overlayfs does not write to it, and locks are not kept",
  nfs4: "overlayfs does not write to it, and locks are not kept",
  cifs: "it keeps no owners",
  vfat: "it keeps no owners",
  exfat: "it keeps no owners",
  "9p": "overlayfs does not write to it",
};

function dataFileSystem(machine: Machine, { dataRoot }: DaemonPlaces): Finding {
  const id = "disk.file-system";
  const mount = machine.mountOf(dataRoot);
  if (mount === undefined) return ok(id, "unknown");
  const { type, target, options } = mount;
  for (const [option, what] of [
    ["ro", "nothing can be written"],
    ["noexec", "no program of a container can be run"],
    ["nosuid", "programs of containers cannot change their user"],
    ["nodev", "devices in images do not work"],
  ] as const) {
    if (!options.includes(option)) continue;
    const mend = `mount -o remount,${option === "ro" ? "rw" : option.slice(2)} ${target}`;
    return (option === "ro" || option === "noexec" ? problem : warning)(
      id,
      `${dataRoot} is on ${target}, mounted ${option}: ${what}`,
      mend,
    );
  }
  const reason = unfit[type];
  if (reason !== undefined)
    return warning(
      id,
      `${dataRoot} is on ${type}: ${reason}; layers are copied (vfs)`,
      "put --data-root on ext4, xfs or btrfs",
    );
  if (type === "tmpfs")
    return warning(
      id,
      `${dataRoot} is on a tmpfs: a reboot takes images and volumes`,
      "put --data-root on a disk",
    );
  return ok(id, `${type} on ${target}`);
}

function execFileSystem(machine: Machine, { execRoot }: DaemonPlaces): Finding {
  const id = "disk.exec-root";
  const { type = "", target = "" } = machine.mountOf(execRoot) ?? {};
  return type === "tmpfs" || type === "ramfs"
    ? ok(id, `${type} on ${target}`)
    : warning(
        id,
        `${execRoot} is on ${type || "an unknown file system"}, which a reboot does not empty: containers would seem to run after it`,
        execRoot.startsWith("/run/")
          ? "mount a tmpfs on /run before anything is started: mount -t tmpfs tmpfs /run"
          : "give --exec-root a directory on a tmpfs, such as /run/gantry",
      );
}
