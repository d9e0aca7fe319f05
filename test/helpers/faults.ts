/** What tests of faults have in common: small disks that can be filled, and a daemon that lives and is at rest. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, rmdir, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TestDaemon, type DaemonOptions } from "./daemon.ts";
import { eventually, mustRun } from "./process.ts";
import { openTestHost } from "./test-host.ts";

/** USER_HZ, which is 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Processor time of a process since its start, seconds (proc(5), stat: utime and stime of all its threads). */
async function processorSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/**
 * Throws when the daemon is busy with nothing: it used more than a third of a processor, or wrote its log without end.
 * A loop that spins takes whatever the machine gives it, in every window; work that a fault has left over is over soon.
 * So the quietest of some windows counts.
 */
export async function assertAtRest(daemon: TestDaemon): Promise<void> {
  const windowMs = 1_000;
  const seen: string[] = [];
  for (let window = 0; window < 8; window++) {
    const [before, logBefore] = [await processorSeconds(daemon.pid), (await daemon.log()).length];
    await sleep(windowMs);
    const used = (await processorSeconds(daemon.pid)) - before;
    const logged = (await daemon.log()).length - logBefore;
    if (used < 0.15 && logged < 5_000) return;
    seen.push(`${used.toFixed(2)} s, ${logged} bytes of log`);
  }
  throw new Error(
    `the daemon spins; a second each: ${seen.join("; ")}\n${(await daemon.log()).slice(-2_000)}`,
  );
}

/**
 * Runs `work` while the daemon can start no process: it is moved to a control group of its own whose limit is what it has.
 */
export async function withProcessLimit(daemon: TestDaemon, work: () => Promise<void>): Promise<void> {
  const hierarchy = existsSync("/sys/fs/cgroup/pids") ? "/sys/fs/cgroup/pids" : "/sys/fs/cgroup";
  const line = (await readFile(`/proc/${daemon.pid}/cgroup`, "utf8"))
    .split("\n")
    .find((text) => text.split(":")[1] === (hierarchy.endsWith("pids") ? "pids" : ""));
  const home = join(hierarchy, line?.split(":")[2] ?? "/");
  const group = join(hierarchy, `gantry-test-limit-${process.pid}`);
  await mkdir(group);
  try {
    await writeFile(join(group, "cgroup.procs"), String(daemon.pid));
    await writeFile(join(group, "pids.max"), (await readFile(join(group, "pids.current"), "utf8")).trim());
    await work();
  } finally {
    await writeFile(join(group, "pids.max"), "max");
    if (daemon.running) await writeFile(join(home, "cgroup.procs"), String(daemon.pid));
    // The kernel takes a moment to see that the last process has left.
    await eventually(
      () =>
        rmdir(group).then(
          () => true,
          () => false,
        ),
      { what: `${group} to be empty` },
    );
  }
}

/** A daemon whose data root is a file system of its own, mounted where only the daemon sees it. */
export interface SmallDisk extends AsyncDisposable {
  readonly daemon: TestDaemon;
  /** Takes all the room that is left. */
  fill(): Promise<void>;
  /** tmpfs only: leaves no inode for another file. */
  fillInodes(): Promise<void>;
  /** Gives both back. */
  makeRoom(): Promise<void>;
  /** ext4 only: the kernel treats it as it does a disk with errors, from now on nothing can be written. */
  breakDown(): Promise<void>;
  /** ext4 only, and nothing may use it: mounts it anew, as after a repair. */
  mend(): Promise<void>;
}

export interface SmallDiskOptions extends DaemonOptions {
  readonly sizeMiB: number;
  /** tmpfs when not given. */
  readonly kind?: "tmpfs" | "ext4";
}

/** Starts a daemon on it. */
export async function startOnSmallDisk(options: SmallDiskOptions): Promise<SmallDisk> {
  await using undo = new AsyncDisposableStack();
  const host = undo.use(await openTestHost());
  const root = await mkdtemp(join(tmpdir(), "gantry-test-small-"));
  undo.defer(() => rm(root, { recursive: true, force: true }));
  const dataRoot = join(root, "data");
  await mkdir(dataRoot);
  const image = join(root, "disk.img");
  const mountIt = async (): Promise<void> => {
    const size = `size=${options.sizeMiB}m`;
    const how = options.kind === "ext4" ? ["-o", "loop", image] : ["-t", "tmpfs", "-o", size, "none"];
    await mustRun(host.command(["mount", ...how, dataRoot]));
  };
  if (options.kind === "ext4") {
    await writeFile(image, "");
    await truncate(image, options.sizeMiB * 1024 * 1024);
    await mustRun(["mkfs.ext4", "-q", image]);
  }
  await mountIt();
  const daemon = undo.use(await TestDaemon.start({ ...options, host, root }));
  const held = undo.move();
  const ballast = join(dataRoot, "ballast");
  return {
    daemon,
    fill: async () => {
      await host.run(["sh", "-c", `cat /dev/zero > ${ballast}`], { timeoutMs: 60_000 });
    },
    fillInodes: async () => {
      const used = `$(($(stat -f -c %c ${dataRoot}) - $(stat -f -c %d ${dataRoot})))`;
      await mustRun(
        host.command(["sh", "-c", `mount -o remount,size=${options.sizeMiB}m,nr_inodes=${used} ${dataRoot}`]),
      );
    },
    makeRoom: async () => {
      await mustRun(host.command(["rm", "-f", ballast]));
      const all = `remount,size=${options.sizeMiB}m,nr_inodes=0`;
      if (options.kind !== "ext4") await mustRun(host.command(["mount", "-o", all, dataRoot]));
    },
    breakDown: async () => {
      await mustRun(host.command(["mount", "-o", "remount,abort", dataRoot]));
    },
    mend: async () => {
      await eventually(async () => (await host.run(["umount", dataRoot])).code === 0, {
        timeoutMs: 60_000,
        what: `${dataRoot} to be in use by nobody`,
      });
      await mountIt();
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
