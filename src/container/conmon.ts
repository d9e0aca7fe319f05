/** {@link Monitor} with conmon 2.1 and any runtime that takes runc's command line. */
import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { EngineError, conflict, errorText, isKind } from "../base/errors.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { nowNs } from "../base/time.ts";
import {
  type CgroupLayout,
  cgroupOfPid,
  cgroupPids,
  detectCgroups,
  memoryEvents,
  endCgroup,
} from "../linux/cgroup.ts";
import { CgroupWarmup } from "../linux/cgroup-warmup.ts";
import { isErrno } from "../linux/fs-error.ts";
import { processStartTicks } from "../linux/pidfd.ts";
import { processTree } from "../linux/process-tree.ts";
import { SealedBinaries } from "../linux/sealed-binary.ts";
import type { ChildProcess, RunResult } from "../linux/spawn.ts";
import { attachToBundle } from "./attached-stdio.ts";
import { firstArgument, plannedCgroup } from "./bundle-config.ts";
import { Execs } from "./conmon-exec.ts";
import {
  findProgram,
  resizeTerminal,
  runtimeRoot,
  startConmon,
  type Conmon,
  type MonitorContext,
} from "./conmon-process.ts";
import {
  MonitorRecords,
  killMonitors,
  killOrphan,
  openRecorded,
  type MonitorRecord,
} from "./monitor-record.ts";
import type {
  AttachedStdio,
  ExecLaunchRequest,
  ExecRequest,
  ExecTask,
  Monitor,
  RuntimeBinary,
  Task,
  TaskCreateRequest,
  TaskExit,
} from "./monitor.ts";
import { runtimeError, saysNoSuchContainer } from "./runtime-error.ts";
import { runRuntime, runVerb } from "./runtime-verbs.ts";

const killedExitCode = 137;

class ConmonMonitor implements Monitor {
  readonly #context: MonitorContext;
  readonly #exits: string;
  readonly #records: MonitorRecords;
  readonly #execs: Execs;
  /** Ends of the conmon processes that this daemon started: they must be waited for by nobody else. */
  readonly #ends = new Map<string, Promise<unknown>>();
  readonly #cgroups = detectCgroups();
  readonly #warmup = new CgroupWarmup(this.#cgroups);

  constructor(context: MonitorContext) {
    this.#context = context;
    this.#execs = new Execs(context);
    this.#exits = `${context.execRoot}/exits`;
    this.#records = new MonitorRecords(`${context.execRoot}/monitors`);
    mkdirSync(this.#exits, { recursive: true, mode: 0o700 });
  }

  prepare(): void {
    this.#warmup.warm();
  }

  async create(request: TaskCreateRequest): Promise<Task> {
    this.prepare();
    const { containerId, bundle, runtime } = request;
    for (const stale of [`${this.#exits}/${containerId}`, `${bundle}/oom`, `${bundle}/pidfile`])
      rmSync(stale, { force: true });
    // On record before anything exists: whenever this daemon ends, the next one knows where to clean.
    const planned = {
      pid: 0,
      startTicks: "",
      bundle,
      cgroup: "",
      containerPid: 0,
      containerStartTicks: "",
      runtime,
    };
    this.#records.write(containerId, planned);
    using conmon = this.#launch(request);
    const { child } = conmon;
    crashpoint("monitor-create.spawned");
    const end = this.#noteEnd(containerId, child);
    const record = { ...planned, pid: child.pid, startTicks: ticks(child.pid) };
    this.#records.write(containerId, record);
    crashpoint("monitor-create.pid-noted");
    const message = await conmon.report();
    if (message === undefined || message.data <= 0) {
      await end;
      const output = message?.message || conmon.earlyOutput();
      await this.#dropFailed(request);
      throw runtimeError({
        verb: "create",
        runtimeName: runtime.name,
        output,
        program: firstArgument(bundle),
      });
    }
    crashpoint("monitor-create.reported");
    const pid = message.data;
    this.#records.write(containerId, {
      ...record,
      cgroup: memoryCgroup(pid, this.#cgroups),
      containerPid: pid,
      containerStartTicks: ticks(pid),
    });
    return { containerId, pid, monitorPid: child.pid };
  }

  /** Starts the monitor of a container that is noted; the note goes when that fails. */
  #launch(request: TaskCreateRequest): Conmon {
    const { containerId, bundle, runtime, logPath } = request;
    const options = [
      "--bundle",
      bundle,
      "--container-pidfile",
      `${bundle}/pidfile`,
      "--exit-dir",
      this.#exits,
    ];
    if (request.terminal) options.push("--terminal");
    if (request.openStdin) options.push("--stdin");
    // A terminal's input is never closed: its end is a key, not an end of file.
    if (request.leaveStdinOpen || request.terminal) options.push("--leave-stdin-open");
    try {
      failpoint("monitor-create.noted");
      return startConmon(this.#context, {
        options,
        containerId,
        ownId: containerId,
        runtime,
        logPath,
        directory: bundle,
        attachFirst: false,
      });
    } catch (error) {
      this.#records.remove(containerId);
      throw error;
    }
  }

  /** Nobody else may wait for a child: who wants to know its end finds it here. */
  #noteEnd(containerId: string, child: ChildProcess): Promise<unknown> {
    const end = child.exited.finally(() => {
      if (this.#ends.get(containerId) === end) this.#ends.delete(containerId);
    });
    this.#ends.set(containerId, end);
    return end;
  }

  async #dropFailed(request: TaskCreateRequest): Promise<void> {
    try {
      await this.delete(request.containerId, request.runtime);
    } catch (error) {
      log.warn("a container that could not be made left something behind", {
        container: request.containerId,
        error: errorText(error),
      });
    }
    for (const name of ["attach", "ctl", "winsz", "pidfile"])
      rmSync(`${request.bundle}/${name}`, { force: true });
  }

  async start(containerId: string, runtime: RuntimeBinary): Promise<void> {
    await runVerb(this.#context, "start", runtime, [containerId]);
  }

  attach(bundle: string): AttachedStdio {
    return attachToBundle(bundle);
  }

  resize(bundle: string, height: number, width: number): Promise<void> {
    return resizeTerminal(bundle, height, width);
  }

  async watch(task: Task, bundle: string): Promise<TaskExit> {
    const record = this.#records.read(task.containerId);
    await this.#monitorEnded(task, record);
    const exit = this.#readExit(task.containerId);
    if (exit === undefined) {
      log.warn("a container's monitor ended without telling an exit code", { container: task.containerId });
      await killOrphan(record);
    }
    return {
      exitCode: exit?.code ?? killedExitCode,
      error:
        exit === undefined
          ? "the container's monitor (conmon) was killed: the container was ended too, since nobody took its output any more"
          : "",
      oomKilled: this.#wasOomKilled(bundle, record),
      finishedAtNs: exit?.timeNs ?? nowNs(),
    };
  }

  async #monitorEnded(task: Task, record: MonitorRecord | undefined): Promise<void> {
    const ours = this.#ends.get(task.containerId);
    if (ours !== undefined) {
      await ours;
      return;
    }
    using monitor = record === undefined ? undefined : openRecorded(record.pid, record.startTicks);
    await monitor?.ended();
  }

  /** The exit file: conmon writes it after the last byte of output, just before it ends. */
  #readExit(containerId: string): { code: number; timeNs: bigint } | undefined {
    const path = `${this.#exits}/${containerId}`;
    try {
      const code = Number.parseInt(readFileSync(path, "utf8"), 10);
      // conmon writes -1 when it could not learn the code.
      return {
        code: code >= 0 ? code : killedExitCode,
        timeNs: statSync(path, { bigint: true }).mtimeNs,
      };
    } catch (error) {
      // Any other failure is no news about the container: whoever asked asks again.
      if (!isErrno(error, "ENOENT")) throw error;
      return undefined;
    }
  }

  #wasOomKilled(bundle: string, record: MonitorRecord | undefined): boolean {
    if (statSync(`${bundle}/oom`, { throwIfNoEntry: false }) !== undefined) return true;
    // conmon may end before it was told; the cgroup is still there and counts.
    if (record === undefined || record.cgroup.length < 2) return false;
    return (memoryEvents(this.#cgroups, record.cgroup)?.oomKills ?? 0) > 0;
  }

  async kill(containerId: string, runtime: RuntimeBinary, signal: number): Promise<void> {
    try {
      await runVerb(this.#context, "kill", runtime, [containerId, String(signal)]);
    } catch (error) {
      // A runtime that was taken off the machine, or is killed itself, must not make its containers immortal.
      if (!isKind(error, "unavailable")) throw error;
      const record = this.#records.read(containerId);
      using process = record && openRecorded(record.containerPid, record.containerStartTicks);
      if (process === undefined) throw conflict("the container is not running");
      process.signal(signal);
    }
  }

  async pause(containerId: string, runtime: RuntimeBinary): Promise<void> {
    await runVerb(this.#context, "pause", runtime, [containerId]);
  }

  async resume(containerId: string, runtime: RuntimeBinary): Promise<void> {
    await runVerb(this.#context, "resume", runtime, [containerId]);
  }

  async update(containerId: string, runtime: RuntimeBinary, resourcesPath: string): Promise<void> {
    await runVerb(this.#context, "update", runtime, ["--resources", resourcesPath, containerId]);
  }

  async delete(containerId: string, runtime: RuntimeBinary): Promise<void> {
    this.#execs.giveUpContainer(containerId);
    const record = this.#records.read(containerId);
    const isCutOff = record !== undefined && record.containerPid === 0;
    // Cut off while the runtime made the container: it dies with its conmon.
    if (isCutOff) await killMonitors(containerId);
    const result = await this.#deleteByRuntime(containerId, runtime);
    crashpoint("monitor-delete.runtime-done");
    if (record !== undefined) await this.#endMonitor(containerId, record, 2000);
    const output = `${result.stdout}\n${result.stderr}`;
    if (result.code !== 0 && !saysNoSuchContainer(output)) {
      // A half-written state stops the runtime, not us: what it holds is a directory and the cgroup.
      log.warn("the runtime could not delete a container", { container: containerId, output });
      await killOrphan(record);
    }
    rmSync(`${runtimeRoot(this.#context, runtime)}/${containerId}`, { recursive: true, force: true });
    const cgroup = isCutOff ? plannedCgroup(record.bundle) : (record?.cgroup ?? "");
    if (cgroup.includes(containerId)) await endCgroup(this.#cgroups, cgroup);
    crashpoint("monitor-delete.before-note");
    rmSync(`${this.#exits}/${containerId}`, { force: true });
    this.#records.remove(containerId);
  }

  /** A runtime that was taken off the machine leaves the rest to us, too. */
  async #deleteByRuntime(containerId: string, runtime: RuntimeBinary): Promise<RunResult> {
    try {
      return await runRuntime(this.#context, runtime, ["delete", "--force", containerId]);
    } catch (error) {
      if (!isKind((error as Error).cause, "notFound", "permissionDenied")) throw error;
      return { code: 1, signal: undefined, stdout: "", stderr: errorText(error) };
    }
  }

  /** Waits for a monitor whose container is gone, and kills it when it does not end. */
  async #endMonitor(containerId: string, record: MonitorRecord, patienceMs: number): Promise<void> {
    using monitor = openRecorded(record.pid, record.startTicks);
    if (monitor === undefined) return;
    const ended = this.#ends.get(containerId) ?? monitor.ended();
    if (patienceMs > 0) {
      const timer = new AbortController();
      await Promise.race([
        ended,
        sleep(patienceMs, undefined, { signal: timer.signal }).catch(() => undefined),
      ]);
      timer.abort();
    }
    monitor.signal(9);
    await ended;
  }

  prepareExec(request: ExecLaunchRequest): void {
    this.prepare();
    this.#execs.prepare(request);
  }

  exec(request: ExecRequest): Promise<ExecTask> {
    this.prepare();
    return this.#execs.start(request);
  }

  recordedRuntime(containerId: string): RuntimeBinary | undefined {
    return this.#records.read(containerId)?.runtime;
  }

  endLeftExecs(containerId: string, bundle: string): void {
    this.#execs.endLeft(containerId, bundle);
  }

  async pids(containerId: string, runtime: RuntimeBinary): Promise<number[]> {
    const record = this.#records.read(containerId);
    if (record !== undefined && record.cgroup.length > 1) {
      const pids = cgroupPids(this.#cgroups, record.cgroup);
      if (pids.length > 0) return pids;
      // Somebody moved its processes out of its group.
      using process = openRecorded(record.containerPid, record.containerStartTicks);
      return process === undefined ? [] : processTree(record.containerPid);
    }
    const result = await runRuntime(this.#context, runtime, ["ps", "--format=json", containerId]);
    if (result.code !== 0)
      throw runtimeError({
        verb: "ps",
        runtimeName: runtime.name,
        output: `${result.stdout}\n${result.stderr}`,
        program: "",
      });
    return JSON.parse(result.stdout) as number[];
  }
}

function ticks(pid: number): string {
  return String(processStartTicks(pid) ?? "");
}

/** Path of the cgroup that has the memory limit: version 1's hierarchy, or the unified one. */
function memoryCgroup(pid: number, layout: CgroupLayout): string {
  const paths = cgroupOfPid(pid, layout);
  return paths?.get("memory") ?? paths?.get("") ?? "";
}

/**
 * The monitor for the containers of one daemon. `execRoot` is a directory of its own on a tmpfs. Throws `unavailable`
 * when conmon is not installed.
 */
export function createMonitor(options: { readonly execRoot: string }): Monitor {
  const conmonPath = findProgram("conmon");
  if (conmonPath === undefined)
    throw new EngineError("unavailable", "conmon is not installed: containers cannot be started without it", {
      hint: "apt-get install conmon",
    });
  return new ConmonMonitor({ execRoot: options.execRoot, conmonPath, binaries: new SealedBinaries() });
}
