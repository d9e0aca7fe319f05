/**
 * Limits of `docker run`, and what the kernel says of each inside of the container: the same table for this machine's
 * version of control groups and for the guest, which has version 2.
 */

export interface ResourceRow {
  readonly flags: readonly string[];
  /** Shell command, in the container, with what it prints (a regular expression); undefined where the kernel cannot do it. */
  readonly v1?: readonly [command: string, output: string];
  readonly v2?: readonly [command: string, output: string];
}

const file = (name: string, output: string): readonly [string, string] => [
  `cat /sys/fs/cgroup/${name}`,
  `^${output}$`,
];
const both = (command: string, output: string): Pick<ResourceRow, "v1" | "v2"> => ({
  v1: [command, output],
  v2: [command, output],
});

/** A block device that both machines have. */
export const blockDevice = "/dev/vda";
export const cgroupParent = "gt-rig-parent";

export const resourceRows: readonly ResourceRow[] = [
  {
    flags: ["-m", "32m"],
    v1: file("memory/memory.limit_in_bytes", "33554432"),
    v2: file("memory.max", "33554432"),
  },
  {
    flags: ["--memory-reservation", "16m"],
    v1: file("memory/memory.soft_limit_in_bytes", "16777216"),
    v2: file("memory.low", "16777216"),
  },
  {
    flags: ["-m", "32m", "--memory-swap", "48m"],
    v1: file("memory/memory.memsw.limit_in_bytes", "50331648"),
    v2: file("memory.swap.max", "16777216"),
  },
  {
    flags: ["-m", "32m", "--memory-swap", "-1"],
    v1: file("memory/memory.memsw.limit_in_bytes", "9223372036854771712"),
    v2: file("memory.swap.max", "max"),
  },
  { flags: ["--memory-swappiness", "10"], v1: file("memory/memory.swappiness", "10") },
  {
    flags: ["-m", "32m", "--oom-kill-disable"],
    v1: ["cat /sys/fs/cgroup/memory/memory.oom_control", "^oom_kill_disable 1$"],
  },
  { flags: ["--oom-score-adj", "500"], ...both("cat /proc/self/oom_score_adj", "^500$") },
  {
    flags: ["--cpus", "0.5"],
    v1: ["cd /sys/fs/cgroup/cpu; echo $(cat cpu.cfs_quota_us cpu.cfs_period_us)", "^50000 100000$"],
    v2: file("cpu.max", "50000 100000"),
  },
  {
    flags: ["--cpu-period", "50000", "--cpu-quota", "25000"],
    v1: ["cd /sys/fs/cgroup/cpu; echo $(cat cpu.cfs_quota_us cpu.cfs_period_us)", "^25000 50000$"],
    v2: file("cpu.max", "25000 50000"),
  },
  {
    flags: ["--cpu-shares", "512"],
    v1: file("cpu/cpu.shares", "512"),
    v2: file("cpu.weight", "20"),
  },
  {
    flags: ["--cpu-rt-period", "1000000", "--cpu-rt-runtime", "1000"],
    v1: ["cd /sys/fs/cgroup/cpu; echo $(cat cpu.rt_runtime_us cpu.rt_period_us)", "^1000 1000000$"],
  },
  {
    flags: ["--cpuset-cpus", "1"],
    v1: file("cpuset/cpuset.cpus", "1"),
    v2: file("cpuset.cpus", "1"),
  },
  {
    flags: ["--cpuset-mems", "0"],
    v1: file("cpuset/cpuset.mems", "0"),
    v2: file("cpuset.mems", "0"),
  },
  {
    flags: ["--pids-limit", "7"],
    v1: file("pids/pids.max", "7"),
    v2: file("pids.max", "7"),
  },
  ...(
    [
      ["read-bps", "1mb", "read_bps_device", "rbps", "1048576"],
      ["write-bps", "2mb", "write_bps_device", "wbps", "2097152"],
      ["read-iops", "30", "read_iops_device", "riops", "30"],
      ["write-iops", "40", "write_iops_device", "wiops", "40"],
    ] as const
  ).map(([flag, value, name, word, number]) => ({
    flags: [`--device-${flag}`, `${blockDevice}:${value}`],
    v1: file(`blkio/blkio.throttle.${name}`, `\\d+:\\d+ ${number}`),
    v2: file("io.max", `[0-9]+:[0-9]+ .*${word}=${number}( .*)?`),
  })),
  { flags: ["--ulimit", "nofile=100:200"], ...both("ulimit -Sn; ulimit -Hn", "^100.200$") },
  { flags: ["--shm-size", "1m"], ...both("df -k /dev/shm | awk 'END { print $2 }'", "^1024$") },
  {
    flags: ["--cgroup-parent", cgroupParent, "--cgroupns", "host"],
    ...both("cat /proc/self/cgroup", `:/${cgroupParent}/[0-9a-f]{64}`),
  },
];
