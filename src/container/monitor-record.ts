/**
 * What a later daemon must know of a container's monitor, in a small file of the exec-root: which process it is, and
 * where its files and its cgroup are.
 */
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import type { RuntimeBinary } from "./monitor.ts";
import { isErrno } from "../linux/fs-error.ts";
import { Pidfd, processStartTicks } from "../linux/pidfd.ts";

export interface MonitorRecord {
  readonly pid: number;
  /** With the pid, names the process for good. */
  readonly startTicks: string;
  readonly bundle: string;
  /** Path of the container's cgroup in the memory (v1) or unified (v2) hierarchy; empty until it is known. */
  readonly cgroup: string;
  /** Process of the container; 0 until it is known. */
  readonly containerPid: number;
  readonly containerStartTicks: string;
  /** What made it, and so must look after it. */
  readonly runtime?: RuntimeBinary;
}

/** The records of one exec-root. */
export class MonitorRecords {
  readonly #directory: string;
  readonly #cache = new Map<string, MonitorRecord>();

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // A daemon that was killed while it wrote.
    for (const name of readdirSync(directory))
      if (name.endsWith(".tmp")) rmSync(`${directory}/${name}`, { force: true });
  }

  #path(containerId: string): string {
    return `${this.#directory}/${basename(containerId)}`;
  }

  /** Not synced to the disk: the processes it names do not outlive the machine's uptime either. */
  write(containerId: string, record: MonitorRecord): void {
    const path = this.#path(containerId);
    writeFileSync(`${path}.tmp`, JSON.stringify(record));
    renameSync(`${path}.tmp`, path);
    this.#cache.set(containerId, record);
  }

  read(containerId: string): MonitorRecord | undefined {
    const cached = this.#cache.get(containerId);
    if (cached !== undefined) return cached;
    try {
      const record = JSON.parse(readFileSync(this.#path(containerId), "utf8")) as MonitorRecord;
      this.#cache.set(containerId, record);
      return record;
    } catch (error) {
      // A container whose monitor is not known counts as ended: only a record that is not there, or broken, says so.
      if (isErrno(error) && !isErrno(error, "ENOENT")) throw error;
      return undefined;
    }
  }

  remove(containerId: string): void {
    this.#cache.delete(containerId);
    rmSync(this.#path(containerId), { force: true });
  }
}

/** A pidfd for the process `pid` that started at `startTicks`; undefined when it has ended. The caller disposes it. */
export function openRecorded(pid: number, startTicks: string): Pidfd | undefined {
  if (pid <= 0) return undefined;
  const process = Pidfd.open(pid);
  if (process === undefined) return undefined;
  let isSame = false;
  try {
    const ticks = processStartTicks(pid);
    // A process that ended and is only waited for has no ticks.
    isSame = ticks !== undefined && String(ticks) === startTicks;
  } finally {
    if (!isSame) process[Symbol.dispose]();
  }
  return isSame ? process : undefined;
}

/** Pids of conmon processes for a container, by their command lines: for a start that was cut off before its record. */
export function findMonitors(containerId: string): number[] {
  const found: number[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, "latin1").split("\0");
      if (basename(words[0] ?? "") === "conmon" && words[1] === "--cid" && words[2] === containerId)
        found.push(Number(name));
    } catch {
      // It ended meanwhile.
    }
  }
  return found;
}

/** Ends a container that nobody looks after any more, and waits for its end. */
export async function killOrphan(record: MonitorRecord | undefined): Promise<void> {
  if (record === undefined) return;
  using orphan = openRecorded(record.containerPid, record.containerStartTicks);
  if (orphan === undefined) return;
  orphan.signal(9);
  await orphan.ended();
}

/** Ends the monitors of a container, and waits for their end. */
export async function killMonitors(containerId: string): Promise<void> {
  for (const pid of findMonitors(containerId)) {
    using monitor = Pidfd.open(pid);
    if (monitor === undefined || !findMonitors(containerId).includes(pid)) continue;
    monitor.signal(9);
    await monitor.ended();
  }
}
