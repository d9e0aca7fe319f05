/**
 * Network namespaces that live on without a process: each is bound to a file, as ip-netns(8) does, and the file is what
 * an OCI spec's `linux.namespaces[].path` takes.
 *
 * Only the calling thread changes its namespace, and never across an `await`: {@link inNetns} takes a synchronous
 * function. A socket keeps the namespace that it was opened in.
 */
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { libc, systemError } from "./libc.ts";
import { mount, unmount } from "./mount.ts";

const unshareCall = libc.func("int unshare(int flags)");
const setnsCall = libc.func("int setns(int fd, int nstype)");

const CLONE_NEWNET = 0x40000000;
const ownNamespace = "/proc/thread-self/ns/net";

function goBack(fd: number): void {
  // A thread stuck in a container's namespace would do the host's work there: nothing sensible can go on after that.
  if (setnsCall(fd, CLONE_NEWNET) !== 0) {
    const failure = systemError("go back to the host's network namespace");
    process.stderr.write(`${failure.message}\n`);
    process.abort();
  }
}

/**
 * Makes a new network namespace and binds it to `path` (its directory is made when missing). `initialize` runs inside
 * it, before anybody else can see the namespace. Takes about 0.4 ms. On failure nothing is left. With `ofPid` it is
 * the namespace that this process has been given.
 */
export function createNetns<T>(path: string, initialize: () => T, ofPid?: number): T {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  const home = openSync(ownNamespace, "r");
  let isMade = false;
  let unshared = false;
  try {
    writeFileSync(path, "", { flag: "wx", mode: 0o444 });
    isMade = true;
    if (ofPid !== undefined) return adoptNetns(path, initialize, ofPid);
    if (unshareCall(CLONE_NEWNET) !== 0) throw systemError("make a network namespace");
    unshared = true;
    mount({ type: "", source: ownNamespace, options: ["bind"] }, path);
    return initialize();
  } catch (error) {
    if (isMade) deleteNetns(path);
    throw error;
  } finally {
    if (unshared) goBack(home);
    closeSync(home);
  }
}

function adoptNetns<T>(path: string, initialize: () => T, pid: number): T {
  try {
    mount({ type: "", source: `/proc/${pid}/ns/net`, options: ["bind"] }, path);
    return inNetns(path, initialize);
  } catch (error) {
    deleteNetns(path);
    throw error;
  }
}

/** Runs `work` inside the network namespace bound to `path`; it must not return a promise. A few microseconds there and back. */
export function inNetns<T>(path: string, work: () => T): T {
  const home = openSync(ownNamespace, "r");
  try {
    const target = openNamespaceFile(path);
    try {
      if (setnsCall(target, CLONE_NEWNET) !== 0) throw systemError(`enter network namespace ${path}`);
    } finally {
      closeSync(target);
    }
    try {
      return work();
    } finally {
      goBack(home);
    }
  } finally {
    closeSync(home);
  }
}

function openNamespaceFile(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw systemError(`open network namespace ${path}`, -((error as NodeJS.ErrnoException).errno ?? 0));
  }
}

/**
 * Takes the file away. The kernel frees the namespace, and with it both ends of its veth devices, by itself and some
 * milliseconds later, once no process is in it. No error when the file is gone already.
 */
export function deleteNetns(path: string): void {
  unmount(path);
  rmSync(path, { force: true });
}
