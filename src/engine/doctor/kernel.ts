/** The kernel: its version, what it was built with, control groups, security modules. */
import type { Finding } from "../../wire/doctor.ts";
import { note, ok, problem, warning } from "./finding.ts";
import type { DaemonPlaces, Machine } from "./machine.ts";

export function kernelRules(machine: Machine, places: DaemonPlaces): Finding[] {
  return [
    version(machine, places),
    namespaces(machine),
    overlay(machine),
    ...["bridge", "veth", "nf_tables"].map((name) => networkModule(machine, name)),
    seccomp(machine),
    cgroupMode(machine),
    controllers(machine),
    ...securityModules(machine),
  ];
}

function isAtLeast(kernel: string, wanted: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number);
  return major > wanted[0] || (major === wanted[0] && minor >= wanted[1]);
}

function version({ kernel }: Machine, { userNamespaceRemap }: DaemonPlaces): Finding {
  const id = "kernel.version";
  if (!isAtLeast(kernel, [5, 4]))
    return problem(
      id,
      `Linux ${kernel} is too old: pidfds, which the daemon needs, came with 5.4`,
      "upgrade the kernel",
    );
  if (!isAtLeast(kernel, [5, 19]))
    return (userNamespaceRemap === "" ? note : problem)(
      id,
      `Linux ${kernel}: --userns-remap needs 5.19 (idmapped mounts of overlayfs)`,
      "upgrade the kernel",
    );
  return ok(id, `Linux ${kernel}`);
}

function namespaces({ exists }: Machine): Finding {
  const missing = ["mnt", "net", "pid", "ipc", "uts", "cgroup"].filter(
    (name) => !exists(`/proc/self/ns/${name}`),
  );
  return missing.length === 0
    ? ok("kernel.namespaces", "all there")
    : problem(
        "kernel.namespaces",
        `the kernel has no namespaces of kind ${missing.join(", ")}`,
        "boot a distribution's kernel (apt-get install linux-image-amd64)",
      );
}

type Presence = "there" | "loadable" | "absent" | "unknown";

/** Whether the kernel has a module: loaded or built in, on the disk, or neither. */
function presence({ exists, readText, kernel }: Machine, name: string): Presence {
  if (exists(`/sys/module/${name}`)) return "there";
  const directory = `/lib/modules/${kernel}`;
  const has = (list: string): boolean =>
    new RegExp(`/${name.replaceAll("_", "[_-]")}\\.ko`).test(readText(`${directory}/${list}`) ?? "");
  if (has("modules.builtin")) return "there";
  if (has("modules.dep")) return "loadable";
  return exists(directory) ? "absent" : "unknown";
}

function overlay(machine: Machine): Finding {
  const id = "kernel.overlay";
  if (/\boverlay$/m.test(machine.readText("/proc/filesystems") ?? "")) return ok(id, "overlayfs is there");
  switch (presence(machine, "overlay")) {
    case "there":
    case "loadable":
      return warning(id, "overlayfs is not loaded", "modprobe overlay");
    default:
      return machine.find("fuse-overlayfs") === undefined
        ? warning(
            id,
            "the kernel has no overlayfs: layers are copied (vfs), which is slow and large",
            "apt-get install fuse-overlayfs",
          )
        : note(id, "the kernel has no overlayfs: fuse-overlayfs is used, which is slower");
  }
}

function networkModule(machine: Machine, name: string): Finding {
  const id = `kernel.${name}`;
  switch (presence(machine, name)) {
    case "there":
      return ok(id, "is there");
    case "loadable":
      return ok(id, "is loaded when it is needed");
    case "absent":
      return problem(
        id,
        `the kernel has no ${name}: containers have no network but --network host and none`,
        "boot a distribution's kernel (apt-get install linux-image-amd64)",
      );
    case "unknown":
      return ok(id, "built in, as far as can be told: this kernel has no list of its modules");
  }
}

function seccomp({ exists }: Machine): Finding {
  return exists("/proc/sys/kernel/seccomp/actions_avail")
    ? ok("kernel.seccomp", "system calls are filtered")
    : warning(
        "kernel.seccomp",
        "the kernel cannot filter system calls: containers have all of them",
        "boot a kernel with CONFIG_SECCOMP_FILTER",
      );
}

function cgroupMode({ cgroups }: Machine): Finding {
  const id = "cgroup.mode";
  if (cgroups.version === 2) return ok(id, "version 2");
  return note(
    id,
    `version 1${cgroups.isHybrid ? " (hybrid)" : ""}: limits of memory are less exact, and systemd gives it up`,
    "add systemd.unified_cgroup_hierarchy=1 to the kernel's command line and boot again",
  );
}

function controllers({ cgroups }: Machine): Finding {
  const id = "cgroup.controllers";
  const io = cgroups.version === 2 ? "io" : "blkio";
  const missing = ["cpu", "cpuset", "memory", "pids", io].filter(
    (name) => !cgroups.controllers.includes(name),
  );
  if (missing.length === 0) return ok(id, cgroups.controllers.join(" "));
  const mend = missing.includes("memory")
    ? "add cgroup_enable=memory swapaccount=1 to the kernel's command line and boot again"
    : "boot a kernel that has them";
  return (missing.includes("memory") || missing.includes("pids") ? warning : note)(
    id,
    `limits of ${missing.join(", ")} have no effect: the kernel has no such controllers`,
    mend,
  );
}

function securityModules({ readText, find }: Machine): Finding[] {
  const found: Finding[] = [];
  if (readText("/sys/module/apparmor/parameters/enabled") === "Y")
    found.push(
      find("apparmor_parser") === undefined
        ? warning(
            "security.apparmor",
            "AppArmor is on, its parser is not installed: profiles cannot be loaded",
            "apt-get install apparmor",
          )
        : ok("security.apparmor", "on"),
    );
  if (readText("/sys/fs/selinux/enforce") === "1")
    found.push(
      warning(
        "security.selinux",
        "SELinux enforces its rules; containers are confined by it only with --selinux-enabled",
        "gantry daemon --selinux-enabled; and :z or :Z on binds, where containers are kept from their files",
      ),
    );
  return found;
}
