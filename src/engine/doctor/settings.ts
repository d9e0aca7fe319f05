/** Kernel settings and limits. */
import type { Finding } from "../../wire/doctor.ts";
import { note, ok, problem, warning } from "./finding.ts";
import type { DaemonPlaces, Machine } from "./machine.ts";

export function settingRules(machine: Machine, places: DaemonPlaces): Finding[] {
  return [
    forwarding(machine, places),
    bridgeFilter(machine),
    atLeast(machine, {
      name: "fs.inotify.max_user_instances",
      least: 256,
      set: 1024,
      what: "programs that watch files fail with EMFILE",
    }),
    atLeast(machine, {
      name: "fs.inotify.max_user_watches",
      least: 65_536,
      set: 524_288,
      what: "programs that watch many files fail with ENOSPC",
    }),
    atLeast(machine, {
      name: "kernel.pid_max",
      least: 32_768,
      set: 4_194_304,
      what: "there are few process ids for many containers",
    }),
    atLeast(machine, {
      name: "kernel.keys.maxkeys",
      least: 200,
      set: 2_000,
      what: "runtimes make a key ring a container",
    }),
    userNamespaces(machine, places),
    capabilities(machine),
    descriptors(machine),
    clock(),
  ];
}

function setting({ readText }: Machine, name: string): string | undefined {
  return readText(`/proc/sys/${name.replaceAll(".", "/")}`);
}

function forwarding(machine: Machine, { ipForward }: DaemonPlaces): Finding {
  const id = "sysctl.ip_forward";
  if (setting(machine, "net.ipv4.ip_forward") === "1") return ok(id, "1");
  if (ipForward) return note(id, "0; the daemon sets it when it starts");
  return problem(
    id,
    "0, and the daemon was told not to set it (--ip-forward=false): containers reach nothing outside",
    "sysctl -w net.ipv4.ip_forward=1",
  );
}

function bridgeFilter(machine: Machine): Finding {
  const id = "sysctl.bridge-nf-call-iptables";
  const name = "net.bridge.bridge-nf-call-iptables";
  if (setting(machine, name) !== "1") return ok(id, setting(machine, name) ?? "br_netfilter is not loaded");
  return note(
    id,
    "1: what containers of one network send each other goes through other firewalls' rules, too",
    `sysctl -w ${name}=0 (unless Kubernetes runs here)`,
  );
}

function atLeast(
  machine: Machine,
  rule: { readonly name: string; readonly least: number; readonly set: number; readonly what: string },
): Finding {
  const { name, least, set, what } = rule;
  const id = `sysctl.${name.split(".").at(-1)}`;
  const value = setting(machine, name);
  if (value === undefined || Number(value) >= least) return ok(id, value ?? "the kernel has no such setting");
  return warning(id, `${value}: ${what}`, `sysctl -w ${name}=${set}`);
}

function userNamespaces(machine: Machine, { userNamespaceRemap }: DaemonPlaces): Finding {
  const id = "sysctl.max_user_namespaces";
  const value = setting(machine, "user.max_user_namespaces");
  if (value !== undefined && Number(value) > 0) return ok(id, value);
  return (userNamespaceRemap === "" ? note : problem)(
    id,
    value === undefined
      ? "the kernel has no user namespaces"
      : "0: there are no user namespaces for --userns-remap",
    value === undefined ? "boot a kernel with CONFIG_USER_NS" : "sysctl -w user.max_user_namespaces=15000",
  );
}

const CAP_SYS_ADMIN = 21n;
const CAP_SYS_RESOURCE = 24n;

function capabilities(machine: Machine): Finding {
  const id = "process.capabilities";
  if (!machine.isRoot)
    return note(
      id,
      "doctor does not run as root: some of what it looks at it cannot see",
      "sudo gantry system doctor",
    );
  const bounding = /^CapBnd:\s*([0-9a-f]+)/m.exec(machine.readText("/proc/self/status") ?? "")?.[1];
  const set = BigInt(`0x${bounding ?? "0"}`);
  const has = (bit: bigint): boolean => ((set >> bit) & 1n) === 1n;
  if (!has(CAP_SYS_ADMIN))
    return problem(
      id,
      "CAP_SYS_ADMIN is not to be had: nothing can be mounted",
      "in a container, run it with --privileged",
    );
  if (!has(CAP_SYS_RESOURCE))
    return note(
      id,
      "CAP_SYS_RESOURCE is not to be had: --ulimit above this process's limits and --oom-score-adj below 0 have no effect",
    );
  return ok(id, "all that are needed");
}

function descriptors({ readText }: Machine): Finding {
  const id = "limit.nofile";
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(readText("/proc/self/limits") ?? "")?.[1] ?? "unlimited";
  if (hard === "unlimited" || Number(hard) >= 65_536) return ok(id, hard);
  return warning(
    id,
    `${hard} open files at most: a daemon with many containers needs more`,
    "ulimit -Hn 1048576 before the daemon, or LimitNOFILE=infinity in its unit",
  );
}

/** 2024-01-01, when nobody had this program yet. */
const earliestMs = 1_704_067_200_000;

function clock(): Finding {
  const now = new Date();
  return now.getTime() >= earliestMs
    ? ok("clock", now.toISOString())
    : warning(
        "clock",
        `it says ${now.toISOString()}: certificates of registries will not be valid`,
        "timedatectl set-ntp true",
      );
}
