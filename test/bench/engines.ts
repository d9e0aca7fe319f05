/** Both engines of a comparison, each on a host of its own with its bridge network, asked by the same docker CLI. */
import { readdirSync, readFileSync } from "node:fs";
import { TestDaemon, type Flavour } from "../helpers/daemon.ts";
import { ensureBusybox } from "../helpers/images.ts";
import { mustRun, run } from "../helpers/process.ts";

export type Engines = Readonly<Record<Flavour, TestDaemon>> & AsyncDisposable;

export async function startEngines(): Promise<Engines> {
  const gantry = await TestDaemon.start({ flavour: "gantry" });
  const docker = await TestDaemon.start({ flavour: "docker" });
  await ensureBusybox(gantry);
  await ensureBusybox(docker);
  return {
    gantry,
    docker,
    async [Symbol.asyncDispose]() {
      await gantry[Symbol.asyncDispose]();
      await docker[Symbol.asyncDispose]();
    },
  };
}

/**
 * crun refuses a machine where some controllers are mounted as version 1 and hugetlb is nowhere: it is mounted then.
 * Says so, since it changes the machine.
 */
export async function prepareHybridHost(): Promise<void> {
  const mounts = readFileSync("/proc/mounts", "utf8");
  const isHybrid = / cgroup rw/.test(mounts) && / cgroup2 rw/.test(mounts);
  if (!isHybrid || /\bhugetlb\b/.test(mounts) || !/^hugetlb\s/m.test(readFileSync("/proc/cgroups", "utf8")))
    return;
  process.stderr.write(
    "bench: mounting the hugetlb cgroup hierarchy (version 1), so that crun serves this host\n",
  );
  await mustRun(["mkdir", "-p", "/sys/fs/cgroup/hugetlb"]);
  await run(["mount", "-t", "cgroup", "-o", "hugetlb", "none", "/sys/fs/cgroup/hugetlb"]);
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

function allProcesses(): Process[] {
  const found: Process[] = [];
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const [, , parent] = /^\d+ \((.*)\) \S (\d+)/s.exec(readFileSync(`/proc/${name}/stat`, "utf8")) ?? [];
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
      found.push({ pid: Number(name), parent: Number(parent), command });
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

/**
 * Memory of everything that belongs to a daemon and is not a container's own program: the daemon, what it started
 * (containerd, proxies) and one monitor or shim a container. Proportional set size, so that shared pages are counted once.
 */
export function memoryBytes(daemon: TestDaemon): { readonly bytes: number; readonly processes: number } {
  const all = allProcesses();
  const belongs = new Set<number>([daemon.pid]);
  for (let grown = true; grown;) {
    grown = false;
    for (const { pid, parent, command } of all) {
      if (belongs.has(pid) || isContainerProgram(pid, daemon)) continue;
      const isOurs = belongs.has(parent) || command.includes(daemon.root);
      const isTool = pid === process.pid || command.startsWith("docker ") || pid === daemon.host.pid;
      if (isOurs && !isTool) {
        belongs.add(pid);
        grown = true;
      }
    }
  }
  let bytes = 0;
  for (const pid of belongs) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    bytes += Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024;
  }
  return { bytes, processes: belongs.size };
}

function isContainerProgram(pid: number, daemon: TestDaemon): boolean {
  try {
    const cgroup = readFileSync(`/proc/${pid}/cgroup`, "utf8");
    // conmon may sit in a cgroup of its own below the parent; what is in the container's pid namespace is its program.
    return (
      cgroup.includes(daemon.cgroupParent) &&
      (readFileSync(`/proc/${pid}/status`, "utf8").match(/^NSpid:\t(.*)$/m)?.[1] ?? "").includes("\t")
    );
  } catch {
    return false;
  }
}
