/** Bundles for tests: busybox as root file system, in a directory that is removed with everything in it. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "../base/ids.ts";
import { findProgram } from "./conmon-process.ts";
import { createMonitor } from "./conmon.ts";
import type { Monitor, RuntimeBinary, TaskCreateRequest } from "./monitor.ts";

/** Of this process alone: several test files, or several runs, may be under way at once. */
export const cgroupParent = `gt-ctr-test-${process.pid}`;
const applets =
  "sh echo true false cat sleep dd head seq id env kill trap printf stty tty wc yes ls tr tail".split(" ");

/** The runtimes that this host has. Whether they work on it is another question. */
export const installedRuntimes: RuntimeBinary[] = ["crun", "runc"].flatMap((name) => {
  const path = findProgram(name);
  return path === undefined ? [] : [{ name, path, args: [] }];
});

export interface Bench extends Disposable {
  readonly root: string;
  readonly rootfs: string;
  readonly monitor: Monitor;
  /** A bundle with a process of the given words. */
  bundle(
    args: readonly string[],
    change?: { terminal?: boolean; cwd?: string; memoryBytes?: number },
  ): {
    id: string;
    bundle: string;
    logPath: string;
    cgroup: string;
  };
  request(
    runtime: RuntimeBinary,
    made: ReturnType<Bench["bundle"]>,
    change?: Partial<TaskCreateRequest>,
  ): TaskCreateRequest;
}

const bounding = ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE"];

export function processSpec(args: readonly string[], terminal = false, cwd = "/"): object {
  return {
    terminal,
    user: { uid: 0, gid: 0 },
    args,
    env: ["PATH=/bin", "TERM=xterm"],
    cwd,
    capabilities: { bounding, effective: bounding, permitted: bounding },
    noNewPrivileges: true,
  };
}

const mounts = [
  { destination: "/proc", type: "proc", source: "proc" },
  { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"] },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
  },
];

export function openBench(): Bench {
  const root = mkdtempSync(join(tmpdir(), "gt-ctr-"));
  const rootfs = join(root, "rootfs");
  for (const directory of ["bin", "proc", "dev", "tmp/dir", "etc"])
    mkdirSync(join(rootfs, directory), { recursive: true });
  copyFileSync("/bin/busybox", join(rootfs, "bin/busybox"));
  for (const applet of applets) symlinkSync("busybox", join(rootfs, "bin", applet));
  writeFileSync(join(rootfs, "noexec"), "x", { mode: 0o644 });
  const monitor = createMonitor({ execRoot: join(root, "exec") });
  return {
    root,
    rootfs,
    monitor,
    bundle(args, change = {}) {
      const id = newId();
      const bundle = join(root, id);
      mkdirSync(bundle);
      const cgroup = `/${cgroupParent}/${id}`;
      const memory = change.memoryBytes;
      const spec = {
        ociVersion: "1.0.2",
        process: processSpec(args, change.terminal, change.cwd),
        root: { path: rootfs },
        hostname: "test",
        mounts,
        linux: {
          cgroupsPath: cgroup,
          namespaces: ["pid", "ipc", "uts", "mount", "network"].map((type) => ({ type })),
          resources: memory === undefined ? {} : { memory: { limit: memory, swap: memory } },
        },
      };
      writeFileSync(join(bundle, "config.json"), JSON.stringify(spec));
      return { id, bundle, logPath: join(bundle, "log"), cgroup };
    },
    request: (runtime, made, change = {}) => ({
      containerId: made.id,
      bundle: made.bundle,
      logPath: made.logPath,
      runtime,
      terminal: false,
      openStdin: false,
      leaveStdinOpen: true,
      cgroupParent,
      ...change,
    }),
    [Symbol.dispose]() {
      // A runtime that was told to give up may still be writing.
      rmSync(root, { recursive: true, maxRetries: 10, retryDelay: 50 });
    },
  };
}

/** What a container left behind on this host: cgroups and processes that know its id. Empty is right. */
export function leftovers(id: string): string[] {
  const found: string[] = [];
  for (const controller of readdirSync("/sys/fs/cgroup"))
    for (const path of [
      `/sys/fs/cgroup/${controller}/${cgroupParent}/${id}`,
      `/sys/fs/cgroup/${cgroupParent}/${id}`,
    ])
      if (existsSync(path)) found.push(path);
  return found;
}

/** Removes the cgroups that all test containers were in. Throws when one is still there. */
export function dropCgroupParent(): void {
  for (const root of [
    "/sys/fs/cgroup",
    ...readdirSync("/sys/fs/cgroup").map((name) => `/sys/fs/cgroup/${name}`),
  ])
    if (existsSync(`${root}/${cgroupParent}`)) rmdirSync(`${root}/${cgroupParent}`);
}
