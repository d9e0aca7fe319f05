/** A disk that Debian's own systemd boots: a small Debian by mmdebstrap, with gantry where docs/service.md puts it. */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mustRun } from "../helpers/process.ts";
import { cacheDirectory, copyGantry, copyModules, type Kernel } from "./image.ts";

const packages = [
  ..."systemd systemd-sysv udev dbus crun runc conmon libnftables1 busybox-static tini mmdebstrap".split(" "),
  ..."libatomic1 libstdc++6 procps iproute2 kmod".split(" "),
];

/** Units that only take time in a machine without a network and without users. */
const masked = [
  "serial-getty@ttyS0.service",
  "getty@tty1.service",
  "systemd-timesyncd.service",
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
];

const checks = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /sbin/guest-service
TimeoutStartSec=0
`;

const lastTarget = `[Unit]
Requires=multi-user.target
Wants=guest.service
After=multi-user.target
AllowIsolate=yes
`;

/** The archive of the Debian root, made once for what it is made of. */
async function debianRoot(): Promise<string> {
  const include = `--include=${packages.join(",")}`;
  const lean = "--dpkgopt=path-exclude=/usr/share/{doc,man,locale}/*";
  const words = ["mmdebstrap", "--variant=minbase", include, lean, "bookworm"];
  const digest = createHash("sha256").update(words.join(" ")).digest("hex").slice(0, 12);
  const path = join(cacheDirectory, `service-root-${digest}.tar`);
  if (existsSync(path)) return path;
  const made = `${path}.${process.pid}.tar`;
  mkdirSync(cacheDirectory, { recursive: true });
  try {
    await mustRun([...words, made], { timeoutMs: 900_000 });
    renameSync(made, path);
  } finally {
    rmSync(made, { force: true });
  }
  return path;
}

/** Makes the ext4 disk and returns its path. */
export async function makeServiceDisk(kernel: Kernel, directory: string): Promise<string> {
  const tree = join(directory, "disk");
  mkdirSync(tree);
  await mustRun(["tar", "-xf", await debianRoot(), "-C", tree, "--exclude=./dev/*"], { timeoutMs: 300_000 });
  copyGantry(tree, ["contrib"]);
  // Debian's /lib is a link, which the copies go through.
  copyModules(kernel, tree);
  // Its modprobe reads other tables than busybox's.
  await mustRun(["chroot", tree, "depmod", kernel.version], { timeoutMs: 60_000 });
  symlinkSync("/gantry/gantry", join(tree, "usr/local/bin/gantry"));
  writeFileSync(join(tree, "sbin/guest-init"), "#!/bin/sh\nexec /sbin/init\n", { mode: 0o755 });
  for (const name of ["service", "words"])
    copyFileSync(join(import.meta.dirname, `${name}.sh`), join(tree, "sbin", `guest-${name}`));
  const units = join(tree, "etc/systemd/system");
  writeFileSync(join(units, "guest.service"), checks);
  writeFileSync(join(units, "guest.target"), lastTarget);
  const links = new Map([
    ["default.target", "guest.target"],
    ...masked.map((name) => [name, "/dev/null"] as const),
  ]);
  for (const [name, target] of links) {
    rmSync(join(units, name), { force: true });
    symlinkSync(target, join(units, name));
  }
  const settle = "echo docker:x:2375: >>etc/group; echo guest >etc/hostname; : >etc/machine-id; : >etc/fstab";
  await mustRun(["sh", "-c", `cd "$1" && ${settle}`, "sh", tree]);
  const image = join(directory, "disk.ext4");
  await mustRun(["mke2fs", "-q", "-t", "ext4", "-d", tree, image, "1600M"], { timeoutMs: 120_000 });
  return image;
}
