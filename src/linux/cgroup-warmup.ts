/**
 * The kernel lets a process change its cgroup only under a lock that readers never touch; the first who takes it waits
 * for an RCU grace period (measured: 5 to 17 ms), those who follow within the next one or two hardly at all
 * (kernel/cgroup/cgroup.c, cgroup_threadgroup_rwsem; kernel/rcu/sync.c). A runtime pays that wait in the middle of its
 * work. Taken a little earlier, by a write that changes nothing, the wait goes on beside the runtime's start.
 */
import { close, open, write } from "node:fs";
import { join } from "node:path";
import { cgroupOfPid, type CgroupLayout } from "./cgroup.ts";

/** Path of this process's own `cgroup.procs`, in any hierarchy. */
function ownProcsFile(layout: CgroupLayout): string | undefined {
  for (const [controller, path] of cgroupOfPid(process.pid, layout) ?? []) {
    const root = controller === "" ? layout.unified : layout.v1.get(controller);
    if (root !== undefined) return join(root, path, "cgroup.procs");
  }
  return undefined;
}

/**
 * Time between two writes. The kernel is ready until one grace period after the last of them has gone by, and the
 * shortest of those are about 5 ms: with 8 ms between writes every second runtime still had to wait.
 */
const staysWarmMs = 4;
/** Who started something is likely to start more: the kernel is kept ready for this long after the last call. */
const keepWarmMs = 1_000;

/** Makes coming changes of cgroups quick. */
export class CgroupWarmup {
  readonly #layout: CgroupLayout;
  #isUnderWay = false;
  #until = 0;

  constructor(layout: CgroupLayout) {
    this.#layout = layout;
  }

  /** Returns at once; the kernel's wait happens in a thread. What goes wrong only costs the time that was to be saved. */
  warm(): void {
    this.#until = performance.now() + keepWarmMs;
    if (!this.#isUnderWay) this.#write();
  }

  #write(): void {
    const path = ownProcsFile(this.#layout);
    if (path === undefined) return;
    this.#isUnderWay = true;
    open(path, "w", (error, fd) => {
      if (error === null) this.#repeat(fd);
      else this.#isUnderWay = false;
    });
  }

  /** The process is in that group already: the kernel takes the lock, finds nothing to do, and lets it go. */
  #repeat(fd: number): void {
    write(fd, String(process.pid), () => {
      if (performance.now() < this.#until) {
        setTimeout(() => this.#repeat(fd), staysWarmMs).unref();
      } else {
        this.#isUnderWay = false;
        close(fd);
      }
    });
  }
}
