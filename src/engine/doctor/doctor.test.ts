/** The rules of the examination, on machines that nobody has. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Verdict } from "../../wire/doctor.ts";
import { examine } from "./doctor.ts";
import type { DaemonPlaces } from "./machine.ts";
import { type Machine, mountOf, thisMachine } from "./machine.ts";

const gibibyte = 1024 ** 3;

const places: DaemonPlaces = {
  dataRoot: "/var/lib/gantry",
  execRoot: "/run/gantry",
  bridge: "gantry0",
  pidfile: "",
  iptables: true,
  ipForward: true,
  userNamespaceRemap: "",
  defaultRuntime: "",
};

/** The files of a machine that is fit. */
const files: Readonly<Record<string, string>> = {
  "/proc/filesystems": "nodev\tproc\n\text4\nnodev\toverlay",
  "/proc/sys/kernel/seccomp/actions_avail": "kill errno allow",
  "/sys/module/bridge": "",
  "/sys/module/veth": "",
  "/sys/module/nf_tables": "",
  ...Object.fromEntries(
    ["mnt", "net", "pid", "ipc", "uts", "cgroup"].map((name) => [`/proc/self/ns/${name}`, ""]),
  ),
  "/proc/sys/net/ipv4/ip_forward": "1",
  "/proc/sys/fs/inotify/max_user_instances": "1024",
  "/proc/sys/fs/inotify/max_user_watches": "524288",
  "/proc/sys/kernel/pid_max": "4194304",
  "/proc/sys/user/max_user_namespaces": "15000",
  "/proc/self/status": "Name:\tnode\nCapBnd:\t000001ffffffffff",
  "/proc/self/limits": "Max open files            1024                 1048576              files",
  "/usr/lib/x86_64-linux-gnu/libnftables.so.1": "",
};
const programs = ["conmon", "crun", "runc", "git", "xz", "bzip2", "tini"];

interface Change {
  /** Undefined: the file is not there. */
  readonly files?: Readonly<Record<string, string | undefined>>;
  readonly without?: readonly string[];
  readonly machine?: Partial<Machine>;
  readonly places?: Partial<DaemonPlaces>;
}

function machineWith({ files: changed = {}, without = [], machine = {} }: Change): Machine {
  const all: Record<string, string | undefined> = { ...files, ...changed };
  return {
    kernel: "6.12.0-1-amd64",
    architecture: "x86_64",
    isRoot: true,
    cgroups: { version: 2, isHybrid: false, controllers: ["cpu", "cpuset", "io", "memory", "pids"] },
    readText: (path) => all[path],
    exists: (path) => all[path] !== undefined,
    find: (program) =>
      programs.includes(program) && !without.includes(program) ? `/usr/bin/${program}` : undefined,
    version: async (path) => `${path.split("/").at(-1)} version 1.2.3`,
    room: () => ({
      freeBytes: 50 * gibibyte,
      totalBytes: 100 * gibibyte,
      freeInodes: 5_000_000,
      totalInodes: 6_000_000,
    }),
    mountOf: (path) =>
      path.startsWith("/run")
        ? { target: "/run", type: "tmpfs", options: ["rw"] }
        : { target: "/", type: "ext4", options: ["rw", "relatime"] },
    baseChains: () => ({ chains: [] }),
    ...machine,
  };
}

async function findings(
  change: Change,
): Promise<Map<string, { verdict: Verdict; mend: string | undefined }>> {
  const report = await examine({ ...places, ...change.places }, machineWith(change));
  return new Map(
    report.Findings.filter(({ Verdict }) => Verdict !== "ok").map(({ Id, Verdict, Mend }) => [
      Id,
      { verdict: Verdict, mend: Mend },
    ]),
  );
}

const sysctl = (name: string, value: string): Change => ({
  files: { [`/proc/sys/${name.replaceAll(".", "/")}`]: value },
});
const mounted = (type: string, ...options: string[]): Change => ({
  machine: {
    mountOf: (path) =>
      path.startsWith("/run")
        ? { target: "/run", type: "tmpfs", options: [] }
        : { target: "/srv", type, options },
  },
});
const room = (freeBytes: number, freeInodes = 5_000_000): Change => ({
  machine: { room: () => ({ freeBytes, totalBytes: 100 * gibibyte, freeInodes, totalInodes: 6_000_000 }) },
});

/** What is changed about a fit machine, what is said of it, and a piece of the command that mends it. */
const table: readonly (readonly [
  name: string,
  change: Change,
  id: string,
  verdict: Verdict,
  mend: RegExp | undefined,
])[] = [
  ["an old kernel", { machine: { kernel: "4.19.0" } }, "kernel.version", "problem", /upgrade/],
  [
    "a kernel without idmapped overlayfs",
    { machine: { kernel: "5.10.0-30-amd64" } },
    "kernel.version",
    "note",
    /upgrade/,
  ],
  [
    "the same with --userns-remap",
    { machine: { kernel: "5.10.0" }, places: { userNamespaceRemap: "default" } },
    "kernel.version",
    "problem",
    /upgrade/,
  ],
  [
    "no network namespaces",
    { files: { "/proc/self/ns/net": undefined } },
    "kernel.namespaces",
    "problem",
    /linux-image/,
  ],
  [
    "overlayfs not loaded",
    {
      files: {
        "/proc/filesystems": "ext4",
        "/lib/modules/6.12.0-1-amd64/modules.dep": "kernel/fs/overlayfs/overlay.ko.xz:",
      },
    },
    "kernel.overlay",
    "warning",
    /^modprobe overlay$/,
  ],
  [
    "no overlayfs",
    { files: { "/proc/filesystems": "ext4", "/lib/modules/6.12.0-1-amd64": "" } },
    "kernel.overlay",
    "warning",
    /fuse-overlayfs/,
  ],
  [
    "no bridges",
    { files: { "/sys/module/bridge": undefined, "/lib/modules/6.12.0-1-amd64": "" } },
    "kernel.bridge",
    "problem",
    /linux-image/,
  ],
  [
    "no seccomp",
    { files: { "/proc/sys/kernel/seccomp/actions_avail": undefined } },
    "kernel.seccomp",
    "warning",
    /SECCOMP/,
  ],
  [
    "cgroup version 1",
    {
      machine: {
        cgroups: { version: 1, isHybrid: false, controllers: ["cpu", "cpuset", "blkio", "memory", "pids"] },
      },
    },
    "cgroup.mode",
    "note",
    /unified_cgroup_hierarchy=1/,
  ],
  [
    "no memory controller",
    { machine: { cgroups: { version: 2, isHybrid: false, controllers: ["cpu", "cpuset", "io", "pids"] } } },
    "cgroup.controllers",
    "warning",
    /cgroup_enable=memory/,
  ],
  [
    "AppArmor without its parser",
    { files: { "/sys/module/apparmor/parameters/enabled": "Y" } },
    "security.apparmor",
    "warning",
    /apt-get install apparmor/,
  ],
  [
    "SELinux",
    { files: { "/sys/fs/selinux/enforce": "1" } },
    "security.selinux",
    "warning",
    /--selinux-enabled/,
  ],
  ["no conmon", { without: ["conmon"] }, "program.conmon", "problem", /^apt-get install conmon$/],
  ["no runtime", { without: ["crun", "runc"] }, "program.runtime", "problem", /^apt-get install crun$/],
  [
    "a runtime that fails here",
    { files: { "/run/gantry/runtimes.json": '{"/usr/bin/crun":{"failure":"unknown cgroup"}}' } },
    "program.crun",
    "warning",
    /reinstall crun/,
  ],
  [
    "no libnftables",
    { files: { "/usr/lib/x86_64-linux-gnu/libnftables.so.1": undefined } },
    "program.libnftables",
    "problem",
    /libnftables1/,
  ],
  ["no git", { without: ["git"] }, "program.git", "note", /apt-get install git/],
  ["no xz", { without: ["xz"] }, "program.xz", "note", /xz-utils/],
  ["no init", { without: ["tini"] }, "program.init", "note", /apt-get install tini/],
  ["forwarding off", sysctl("net.ipv4.ip_forward", "0"), "sysctl.ip_forward", "note", undefined],
  [
    "forwarding off for good",
    { ...sysctl("net.ipv4.ip_forward", "0"), places: { ipForward: false } },
    "sysctl.ip_forward",
    "problem",
    /^sysctl -w net\.ipv4\.ip_forward=1$/,
  ],
  [
    "bridged packets filtered",
    sysctl("net.bridge.bridge-nf-call-iptables", "1"),
    "sysctl.bridge-nf-call-iptables",
    "note",
    /=0/,
  ],
  [
    "few watchers",
    sysctl("fs.inotify.max_user_instances", "128"),
    "sysctl.max_user_instances",
    "warning",
    /max_user_instances=1024/,
  ],
  [
    "few watches",
    sysctl("fs.inotify.max_user_watches", "8192"),
    "sysctl.max_user_watches",
    "warning",
    /max_user_watches=524288/,
  ],
  [
    "no user namespaces",
    sysctl("user.max_user_namespaces", "0"),
    "sysctl.max_user_namespaces",
    "note",
    /max_user_namespaces=/,
  ],
  [
    "no user namespaces, though wanted",
    { ...sysctl("user.max_user_namespaces", "0"), places: { userNamespaceRemap: "default" } },
    "sysctl.max_user_namespaces",
    "problem",
    /max_user_namespaces=/,
  ],
  ["not root", { machine: { isRoot: false } }, "process.capabilities", "note", /^sudo/],
  [
    "no CAP_SYS_ADMIN",
    { files: { "/proc/self/status": "CapBnd:\t00000000a80425fb" } },
    "process.capabilities",
    "problem",
    /--privileged/,
  ],
  [
    "no CAP_SYS_RESOURCE",
    { files: { "/proc/self/status": "CapBnd:\t000001fffeffffff" } },
    "process.capabilities",
    "note",
    undefined,
  ],
  [
    "few descriptors",
    {
      files: {
        "/proc/self/limits": "Max open files            1024                 4096                 files",
      },
    },
    "limit.nofile",
    "warning",
    /ulimit -Hn/,
  ],
  [
    "a firewall that drops",
    {
      machine: {
        baseChains: () => ({
          chains: [{ family: "ip", table: "filter", name: "FORWARD", hook: "forward", policy: "drop" }],
        }),
      },
    },
    "firewall.forward",
    "note",
    undefined,
  ],
  [
    "a bridge firewall that drops",
    {
      machine: {
        baseChains: () => ({
          chains: [{ family: "bridge", table: "f", name: "fwd", hook: "forward", policy: "drop" }],
        }),
      },
    },
    "firewall.forward",
    "warning",
    /nft add rule bridge f fwd accept/,
  ],
  [
    "nftables that cannot be read",
    { machine: { baseChains: () => ({ failure: "no such device" }) } },
    "firewall",
    "problem",
    /modprobe nf_tables/,
  ],
  [
    "iptables-legacy",
    { files: { "/proc/net/ip_tables_names": "filter\nnat" } },
    "firewall.legacy",
    "warning",
    /iptables-nft/,
  ],
  ["firewalld", { files: { "/run/firewalld": "" } }, "firewall.firewalld", "note", /firewall-cmd/],
  ["ufw", { files: { "/etc/ufw/ufw.conf": "# ufw\nENABLED=yes" } }, "firewall.ufw", "note", /127\.0\.0\.1/],
  ["no rules of ours", { places: { iptables: false } }, "firewall", "note", undefined],
  ["a full disk", room(50 * 1024 * 1024), "disk.space", "problem", /system prune/],
  ["a disk that is nearly full", room(gibibyte / 2), "disk.space", "warning", /system prune/],
  ["no inodes", room(50 * gibibyte, 10), "disk.inodes", "problem", /system prune/],
  ["a data root on NFS", mounted("nfs4", "rw"), "disk.file-system", "warning", /--data-root/],
  [
    "a data root without programs",
    mounted("ext4", "rw", "noexec"),
    "disk.file-system",
    "problem",
    /^mount -o remount,exec \/srv$/,
  ],
  [
    "a data root that is read-only",
    mounted("ext4", "ro"),
    "disk.file-system",
    "problem",
    /^mount -o remount,rw \/srv$/,
  ],
  ["a data root in memory", mounted("tmpfs", "rw"), "disk.file-system", "warning", /disk/],
  [
    "an exec root on a disk",
    { machine: { mountOf: () => ({ target: "/", type: "ext4", options: ["rw"] }) } },
    "disk.exec-root",
    "warning",
    /tmpfs/,
  ],
];

describe("doctor", () => {
  test("nothing is said of a machine that is fit", async () => {
    assert.deepEqual(await findings({}), new Map());
  });

  for (const [name, change, id, verdict, mend] of table)
    test(name, async () => {
      const found = (await findings(change)).get(id);
      assert.equal(found?.verdict, verdict);
      if (mend === undefined) assert.equal(found.mend, undefined);
      else assert.match(found.mend ?? "", mend);
    });

  test("the mount of a path", () => {
    const mounts = "/dev/a / ext4 rw 0 0\ntmpfs /run tmpfs rw,nosuid 0 0\n/dev/b /run/media ext4 ro 0 0";
    assert.equal(mountOf(mounts, "/run/gantry")?.target, "/run");
    assert.deepEqual(mountOf(mounts, "/run/media/x")?.options, ["ro"]);
    assert.equal(mountOf(mounts, "/runner")?.target, "/");
  });

  test("this machine", async () => {
    const { Findings, Kernel } = await examine(places, thisMachine());
    assert.ok(Findings.length > 25);
    assert.match(Kernel, /^\d+\.\d+/);
    assert.equal(Findings.find(({ Id }) => Id === "program.conmon")?.Verdict, "ok");
  });
});
