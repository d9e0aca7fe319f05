/**
 * A runtime that is killed (by the kernel for want of memory, by somebody) when the container's process is there already
 * leaves conmon waiting for ever: it reads what the runtime says to its end, and that process holds the pipe open.
 */
import { readlinkSync } from "node:fs";
import { log } from "../base/log.ts";
import { Pidfd } from "../linux/pidfd.ts";
import { childrenOf } from "../linux/process-tree.ts";

const checkMs = 1_000;
/** How often in a row no runtime may be seen: conmon reports a few milliseconds after its end. */
const mostMissing = 4;

/**
 * Kills conmon, and what the runtime left behind it, when it has not reported and its runtime is gone. Its report, then,
 * is that it ended. Dispose the result when it has reported.
 */
export function endWithoutRuntime(conmonPid: number): Disposable {
  let missing = 0;
  const timer = setInterval(() => {
    missing = hasRuntime(conmonPid) ? 0 : missing + 1;
    if (missing < mostMissing) return;
    clearInterval(timer);
    log.warn("a runtime ended before its work was done: ending its monitor", { monitor: conmonPid });
    for (const pid of [...childrenOf(conmonPid), conmonPid]) {
      using process = Pidfd.open(pid);
      process?.signal(9);
    }
  }, checkMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** A runtime is a child that is in conmon's mount namespace; every container has one of its own. */
function hasRuntime(conmonPid: number): boolean {
  const home = mountNamespace(conmonPid);
  // conmon has ended, or nothing can be read now: its report will tell.
  if (home === undefined) return true;
  return childrenOf(conmonPid).some((pid) => mountNamespace(pid) === home);
}

function mountNamespace(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}
