/** Which limits this host's kernel and control groups can hold; looked up once. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { controllerDirectory, detectCgroups } from "../linux/cgroup.ts";

export interface KernelLimits {
  readonly version: 1 | 2;
  readonly memory: boolean;
  readonly swap: boolean;
  readonly swappiness: boolean;
  readonly oomKillDisable: boolean;
  readonly cpuShares: boolean;
  readonly cpuQuota: boolean;
  readonly cpuRealtime: boolean;
  readonly cpuset: boolean;
  readonly pids: boolean;
  readonly blkioWeight: boolean;
  /** The weight is that of the BFQ scheduler, under names that not every runtime knows. Version 1 only. */
  readonly blkioBfq: boolean;
  readonly blkioThrottle: boolean;
}

let found: KernelLimits | undefined;

export function kernelLimits(): KernelLimits {
  found ??= detectLimits();
  return found;
}

function detectLimits(): KernelLimits {
  const layout = detectCgroups();
  const { version } = layout;
  const has = (controller: string, file: string): boolean => {
    const directory = controllerDirectory(layout, controller, "/");
    return directory !== undefined && existsSync(join(directory, file));
  };
  // The root of version 2 has no limit files: what counts is which controllers there are.
  const controllers = version === 2 ? new Set(readControllers(layout.unified)) : undefined;
  const either = (controller: string, v2Name: string, file: string): boolean =>
    controllers === undefined ? has(controller, file) : controllers.has(v2Name);
  return {
    version,
    memory: either("memory", "memory", "memory.limit_in_bytes"),
    swap:
      version === 2
        ? controllers?.has("memory") === true && existsSync("/proc/swaps")
        : has("memory", "memory.memsw.limit_in_bytes"),
    swappiness: version === 1 && has("memory", "memory.swappiness"),
    oomKillDisable: version === 1 && has("memory", "memory.oom_control"),
    cpuShares: either("cpu", "cpu", "cpu.shares"),
    cpuQuota: either("cpu", "cpu", "cpu.cfs_quota_us"),
    cpuRealtime: version === 1 && has("cpu", "cpu.rt_runtime_us"),
    cpuset: either("cpuset", "cpuset", "cpuset.cpus"),
    pids: either("pids", "pids", "cgroup.procs"),
    // bfq has its weight file in groups below the root only.
    blkioWeight:
      version === 2
        ? controllers?.has("io") === true && hasIoWeight(layout.unified ?? "")
        : has("blkio", "blkio.weight") || has("blkio", "blkio.bfq.io_serviced"),
    blkioBfq: version === 1 && !has("blkio", "blkio.weight") && has("blkio", "blkio.bfq.io_serviced"),
    blkioThrottle: either("blkio", "io", "blkio.throttle.read_bps_device"),
  };
}

/** The root has no weight of its own: the kernel's cost model shows there, bfq's weight in groups below only. */
function hasIoWeight(root: string): boolean {
  return (
    existsSync(join(root, "io.cost.qos")) ||
    readdirSync(root, { withFileTypes: true }).some(
      (entry) => entry.isDirectory() && existsSync(join(root, entry.name, "io.bfq.weight")),
    )
  );
}

function readControllers(unified: string | undefined): string[] {
  return readFileSync(join(unified ?? "", "cgroup.controllers"), "utf8")
    .trim()
    .split(" ");
}
