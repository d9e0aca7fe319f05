/**
 * Control groups, of version 1 (a hierarchy a controller), version 2 (one hierarchy) and both at once (cgroups(7);
 * the kernel's admin-guide/cgroup-v1 and cgroup-v2.rst).
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EngineError } from "../base/errors.ts";
import { describeErrno } from "./libc.ts";

export interface CgroupLayout {
  /** Version that containers' limits work by: 2 only when there is no version 1 hierarchy with a controller. */
  readonly version: 1 | 2;
  /** Version 1 with a version 2 hierarchy, without controllers as a rule, beside it. */
  readonly isHybrid: boolean;
  /** Mount point of each version 1 hierarchy, by controller (`memory`) and by name (`name=systemd`). */
  readonly v1: ReadonlyMap<string, string>;
  /** Mount point of the version 2 hierarchy; undefined for none. */
  readonly unified: string | undefined;
  /**
   * What of a hierarchy is mounted, by mount point, where it is not all of it: in a container that shares the host's
   * namespace of control groups.
   */
  readonly roots: ReadonlyMap<string, string>;
}

export interface MemoryEvents {
  /** Processes that the kernel killed for the group's limit. */
  readonly oomKills: number;
  /** Bytes; undefined when the kernel does not say. */
  readonly currentBytes: number | undefined;
  readonly maxUsageBytes: number | undefined;
}

/** Reads a layout out of the text of /proc/self/mountinfo (proc(5)). */
export function parseCgroupMounts(mountinfo: string): CgroupLayout {
  const v1 = new Map<string, string>();
  let unified: string | undefined;
  const roots = new Map<string, string>();
  let controllers = 0;
  for (const line of mountinfo.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const [type, , options = ""] = after.split(" ");
    const mountPoint = (before.split(" ")[4] ?? "").replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    const root = before.split(" ")[3] ?? "/";
    if ((type === "cgroup" || type === "cgroup2") && root !== "/" && !root.startsWith("/.."))
      roots.set(mountPoint, root);
    if (type === "cgroup2") unified ??= mountPoint;
    if (type !== "cgroup") continue;
    for (const option of options.split(",")) {
      if (["rw", "ro", "xattr", "noprefix", "clone_children"].includes(option)) continue;
      if (option.startsWith("release_agent=")) continue;
      if (!option.startsWith("name=")) controllers += 1;
      if (!v1.has(option)) v1.set(option, mountPoint);
    }
  }
  const version = unified !== undefined && controllers === 0 ? 2 : 1;
  return { version, isHybrid: version === 1 && unified !== undefined, v1, unified, roots };
}

/** How this host's control groups are mounted. Throws `unavailable` when none are. */
export function detectCgroups(): CgroupLayout {
  const layout = parseCgroupMounts(readFileSync("/proc/self/mountinfo", "utf8"));
  if (layout.unified === undefined && layout.v1.size === 0)
    throw new EngineError("unavailable", "no control group file system is mounted on this host", {
      hint: "mount one: mount -t cgroup2 none /sys/fs/cgroup",
    });
  return layout;
}

/** Names of the controllers that can be used, sorted: `["cpu", "memory", "pids", …]`. */
export function cgroupControllers(layout: CgroupLayout): string[] {
  if (layout.version === 1) return [...layout.v1.keys()].filter((name) => !name.startsWith("name=")).sort();
  const text = readText(join(layout.unified ?? "", "cgroup.controllers")) ?? "";
  return text
    .split(/\s+/)
    .filter((word) => word !== "")
    .sort();
}

/** Paths in the text of /proc/PID/cgroup: by controller or `name=…`, the version 2 path under the empty key. */
export function parsePidCgroup(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (match === null) continue;
    for (const controller of match[1]!.split(",")) paths.set(controller, match[2]!);
  }
  return paths;
}

/**
 * Cgroup paths of a process, relative to what is mounted of each hierarchy, as {@link parsePidCgroup}; undefined when it
 * is gone.
 */
export function cgroupOfPid(pid: number, layout: CgroupLayout): Map<string, string> | undefined {
  const text = readText(`/proc/${pid}/cgroup`);
  if (text === undefined || text === "") return undefined;
  const paths = parsePidCgroup(text);
  for (const [controller, path] of paths) {
    const mountPoint = controller === "" ? layout.unified : layout.v1.get(controller);
    const root = mountPoint === undefined ? undefined : layout.roots.get(mountPoint);
    if (root === undefined) continue;
    if (path === root) paths.set(controller, "/");
    else if (path.startsWith(`${root}/`)) paths.set(controller, path.slice(root.length));
  }
  return paths;
}

/**
 * In a container with version 2 the processes of the container are in the group that is the root here, and a group with
 * processes of its own cannot give controllers to groups below it (cgroup-v2.rst, "No Internal Process Constraint"). They are
 * moved to a group `init` beside those that will be made. Nothing happens on the host itself.
 */
export function leaveRootCgroup(layout: CgroupLayout): void {
  const { version, unified } = layout;
  if (version !== 2 || unified === undefined || !existsSync(join(unified, "cgroup.type"))) return;
  const leaf = join(unified, "init");
  mkdirSync(leaf, { recursive: true });
  for (const pid of (readText(join(unified, "cgroup.procs")) ?? "").split("\n"))
    try {
      if (pid !== "" && pid !== "0") writeFileSync(join(leaf, "cgroup.procs"), pid);
    } catch {
      // It has ended.
    }
  for (const controller of (readText(join(unified, "cgroup.controllers")) ?? "").trim().split(" "))
    try {
      writeFileSync(join(unified, "cgroup.subtree_control"), `+${controller}`);
    } catch {
      // One that cannot be handed on: what needs it will say so.
    }
}

/** Directories that the cgroup `path` (`/gantry/ID`) has in all hierarchies; only those that exist. */
export function cgroupDirectories(layout: CgroupLayout, path: string): string[] {
  const roots = new Set(layout.v1.values());
  if (layout.unified !== undefined) roots.add(layout.unified);
  return [...roots].map((root) => join(root, path)).filter((directory) => existsSync(directory));
}

/** Directory of one controller's cgroup `path`; undefined when this host has no such controller. */
export function controllerDirectory(
  layout: CgroupLayout,
  controller: string,
  path: string,
): string | undefined {
  const root = layout.version === 2 ? layout.unified : layout.v1.get(controller);
  return root === undefined ? undefined : join(root, path);
}

/** Pids in the cgroup `path` and below it, ascending, each once. Empty when there is no such cgroup. */
export function cgroupPids(layout: CgroupLayout, path: string): number[] {
  // All hierarchies hold the same processes of a container; the one of `pids` or `memory` is always the runtime's.
  const preferred =
    controllerDirectory(layout, "pids", path) ??
    controllerDirectory(layout, "memory", path) ??
    layout.unified;
  const directory =
    preferred !== undefined && existsSync(preferred) ? preferred : cgroupDirectories(layout, path)[0];
  const pids = new Set<number>();
  const visit = (at: string): void => {
    for (const word of (readText(join(at, "cgroup.procs")) ?? "").split("\n"))
      // 0 is one that this pid namespace does not see.
      if (word !== "" && word !== "0") pids.add(Number(word));
    for (const child of childDirectories(at)) visit(child);
  };
  if (directory !== undefined) visit(directory);
  return [...pids].sort((a, b) => a - b);
}

function childDirectories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(directory, entry.name));
  } catch {
    return [];
  }
}

/** True when no process is in the cgroup `path` or below it in any hierarchy. */
export function isCgroupEmpty(layout: CgroupLayout, path: string): boolean {
  const isEmpty = (at: string): boolean =>
    readText(join(at, "cgroup.procs"))?.trim() === "" && childDirectories(at).every(isEmpty);
  return cgroupDirectories(layout, path).every(isEmpty);
}

/** Undefined when the file is gone, which for cgroups and processes may happen at any moment. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Removes one directory and those below it. False when a process is still in one of them. */
function removeTree(directory: string): boolean {
  for (const child of childDirectories(directory)) if (!removeTree(child)) return false;
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return true;
    if (code === "EBUSY" || code === "ENOTEMPTY") return false;
    throw new EngineError(
      "internal",
      `remove cgroup ${directory}: ${describeErrno(-(errno ?? 0)).text} (${code})`,
    );
  }
}

/**
 * Removes the cgroup `path` with everything below it, in every hierarchy. A process that was just killed leaves its
 * cgroup a little later, so it tries again for `timeoutMs`. Throws `conflict`, naming the pids, when processes stay.
 */
export async function removeCgroup(layout: CgroupLayout, path: string, timeoutMs = 2000): Promise<void> {
  await removeWhenEmpty(layout, path, { timeoutMs });
}

/**
 * Kills every process in the cgroup `path` and below it, also those that are forked meanwhile, and removes it as
 * {@link removeCgroup} does.
 */
export async function endCgroup(layout: CgroupLayout, path: string, timeoutMs = 2000): Promise<void> {
  await removeWhenEmpty(layout, path, {
    timeoutMs,
    beforeTry: () => cgroupPids(layout, path).forEach(killPid),
  });
}

function killPid(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

async function removeWhenEmpty(
  layout: CgroupLayout,
  path: string,
  { timeoutMs, beforeTry }: { readonly timeoutMs: number; readonly beforeTry?: () => void },
): Promise<void> {
  if (/^\/*$/.test(path) || path.split("/").includes(".."))
    throw new EngineError("invalidArgument", `${JSON.stringify(path)} is no cgroup that may be removed`);
  const deadline = performance.now() + timeoutMs;
  for (let delayMs = 1; ; delayMs = Math.min(delayMs * 2, 50)) {
    beforeTry?.();
    const left = cgroupDirectories(layout, path).filter((directory) => !removeTree(directory));
    if (left.length === 0) return;
    if (performance.now() >= deadline)
      throw new EngineError(
        "conflict",
        `cgroup ${left[0]} is still in use by ${cgroupPids(layout, path).join(", ")}`,
      );
    await sleep(delayMs);
  }
}

/** Removes the cgroup `path` in the hierarchies where it has neither processes nor cgroups below it. */
export function removeCgroupIfEmpty(layout: CgroupLayout, path: string): void {
  for (const directory of cgroupDirectories(layout, path)) {
    try {
      rmdirSync(directory);
    } catch {
      // Others are in it.
    }
  }
}

function numberFrom(text: string | undefined): number | undefined {
  const value = text?.trim();
  return value === undefined || !/^\d+$/.test(value) ? undefined : Number(value);
}

/**
 * What the memory controller says of cgroup `path`. Undefined when the host has no memory controller or the cgroup is
 * gone. Version 2: memory.events and memory.current; version 1: memory.oom_control and memory.usage_in_bytes.
 */
export function memoryEvents(layout: CgroupLayout, path: string): MemoryEvents | undefined {
  const directory = controllerDirectory(layout, "memory", path);
  if (directory === undefined) return undefined;
  const [events, current, peak] =
    layout.version === 2
      ? ["memory.events", "memory.current", "memory.peak"]
      : ["memory.oom_control", "memory.usage_in_bytes", "memory.max_usage_in_bytes"];
  const text = readText(join(directory, events));
  if (text === undefined) return undefined;
  return {
    oomKills: Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0),
    currentBytes: numberFrom(readText(join(directory, current))),
    maxUsageBytes: numberFrom(readText(join(directory, peak))),
  };
}

/**
 * Lets the cgroups at and below `path` use the real-time scheduler (version 1: sched-rt-group.rst): a group has no time of
 * it unless all above it have. What they have is raised where it is less, never taken. Times are microseconds. Throws an
 * EngineError with the kernel's word when there is not that much left.
 */
export function allowRealtime(
  layout: CgroupLayout,
  path: string,
  { periodUs, runtimeUs }: { readonly periodUs: number; readonly runtimeUs: number },
): void {
  const root = layout.v1.get("cpu");
  if (root === undefined) return;
  let at = root;
  for (const name of path.split("/").filter((word) => word !== "")) {
    at = join(at, name);
    try {
      mkdirSync(at, { recursive: true });
      const file = join(at, "cpu.rt_runtime_us");
      if (periodUs > 0 && Number(readText(file) ?? 0) === 0)
        writeFileSync(join(at, "cpu.rt_period_us"), String(periodUs));
      if (Number(readText(file) ?? 0) < runtimeUs) writeFileSync(file, String(runtimeUs));
    } catch (error) {
      const { code, errno } = error as NodeJS.ErrnoException;
      throw new EngineError(
        "invalidArgument",
        `cannot give cgroup ${at} ${runtimeUs} us of the real-time scheduler: ${describeErrno(-(errno ?? 0)).text} (${code})`,
        { cause: error },
      );
    }
  }
}
