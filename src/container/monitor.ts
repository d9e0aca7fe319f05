/**
 * The monitor: conmon, the parent of a container's processes. It keeps the standard streams, the terminal, the log and
 * the exit code while the daemon is away. The daemon only talks to it through files, a fifo and a socket, all of which
 * a later daemon finds again.
 */

export interface TaskPaths {
  /** OCI bundle: config.json, rootfs, attach socket, ctl fifo, pid files. On a tmpfs (exec-root). */
  readonly bundle: string;
  readonly logPath: string;
}

export interface TaskCreateRequest extends TaskPaths {
  readonly containerId: string;
  readonly runtime: RuntimeBinary;
  readonly terminal: boolean;
  readonly openStdin: boolean;
  /** False: end of the container's input once the first attached client ended its own. */
  readonly leaveStdinOpen: boolean;
  readonly cgroupParent: string;
}

/** An OCI runtime as configured: a name (`crun`), a program and extra arguments before the verb. */
export interface RuntimeBinary {
  readonly name: string;
  readonly path: string;
  readonly args: readonly string[];
}

export interface Task {
  readonly containerId: string;
  readonly pid: number;
  readonly monitorPid: number;
}

export interface TaskExit {
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** What is wrong with this end, for the container's `State.Error`; empty for an end as it should be. */
  readonly error: string;
  /** ns since the epoch. */
  readonly finishedAtNs: bigint;
}

/** How an exec's monitor is started; what it will run is not part of it. */
export interface ExecLaunchRequest extends TaskPaths {
  readonly containerId: string;
  readonly execId: string;
  readonly runtime: RuntimeBinary;
  readonly terminal: boolean;
  readonly openStdin: boolean;
  /** Detached: nobody reads its output. */
  readonly detached: boolean;
  /** Nobody but this daemon waits for it: the next one ends it ({@link Monitor.endLeftExecs}). */
  readonly endsWithDaemon?: boolean;
}

export interface ExecRequest extends ExecLaunchRequest {
  /** OCI `process` object. */
  readonly process: object;
}

export interface ExecTask {
  readonly pid: number;
  /** Resolves when the process has ended. Rejects never. */
  readonly exited: Promise<{ exitCode: number }>;
  /** One client's streams; undefined when detached. */
  readonly stdio: AttachedStdio | undefined;
  resize(height: number, width: number): Promise<void>;
  /** Kills the process and what it started in its session; no error when it has ended. */
  kill(): void;
}

/**
 * One client's connection to the monitor's socket. Output arrives as `data(stream, chunk)`; returning false from it
 * pauses until `resume()`. The connection ends when the container's streams have ended and every byte was delivered.
 */
export interface AttachedStdio {
  /** Another call replaces the handler. */
  onData(handler: (stream: "stdout" | "stderr", chunk: Buffer) => boolean): void;
  resume(): void;
  /** Resolves when the chunk was taken over. Rejects when the container's streams have ended. */
  write(chunk: Buffer): Promise<void>;
  /** End of input. */
  endInput(): void;
  /** Resolves when the monitor has taken the connection, at the latest after some seconds: from then on no output is missed. */
  accepted(): Promise<void>;
  /** Resolves at the end of output, after the last `data`. */
  readonly ended: Promise<void>;
  /** Nobody reads any more, and the connection stays: output is dropped until {@link onData} gives it to somebody. */
  park(): void;
  /** Gives up the connection; the container goes on. An input that one client ends (StdinOnce) ends with it. */
  detach(): void;
}

export interface Monitor {
  /**
   * A container or an exec will be started within the next few milliseconds: makes the kernel ready for it, beside
   * what else is to be done until then. Returns at once, costs nearly nothing, and may be called for nothing.
   */
  prepare(): void;
  /**
   * Starts conmon, which runs `RUNTIME create`. When it returns the container exists, waits for {@link start}, and its
   * attach socket accepts. Throws an EngineError with the runtime's own words when that failed, and leaves nothing.
   */
  create(request: TaskCreateRequest): Promise<Task>;
  /** `RUNTIME start`. Throws with the runtime's words. */
  start(containerId: string, runtime: RuntimeBinary): Promise<void>;
  /** Throws `notFound` when the container has no monitor. */
  attach(bundle: string): AttachedStdio;
  /** For containers with a terminal only. Throws `notFound` when it does not run. */
  resize(bundle: string, height: number, width: number): Promise<void>;
  /**
   * Resolves once with the exit of the task, whichever daemon started it; also when the monitor was killed (then with
   * exit code 137 or what can be known). A container that ended before the call is noticed at once.
   */
  watch(task: Task, bundle: string): Promise<TaskExit>;
  /** `RUNTIME kill`: `signal` is a number, sent to the first process, or to all. */
  kill(containerId: string, runtime: RuntimeBinary, signal: number): Promise<void>;
  /** Freezes all processes of the container. */
  pause(containerId: string, runtime: RuntimeBinary): Promise<void>;
  /** Lets them go on. */
  resume(containerId: string, runtime: RuntimeBinary): Promise<void>;
  /** `RUNTIME update`: new limits, read from a file with the OCI spec's `linux.resources`. */
  update(containerId: string, runtime: RuntimeBinary, resourcesPath: string): Promise<void>;
  /** `RUNTIME delete --force` and removal of what is left (cgroup, state, a monitor of a start that was cut off). No error when it does not exist. */
  delete(containerId: string, runtime: RuntimeBinary): Promise<void>;
  /**
   * An exec with a client will be started within a moment: its monitor's own start-up goes on meanwhile. Costs a
   * process that ends by itself when the start does not come. Never throws; may be left out.
   */
  prepareExec(request: ExecLaunchRequest): void;
  exec(request: ExecRequest): Promise<ExecTask>;
  /** The runtime that made the task, as it was configured then; undefined without a task. */
  recordedRuntime(containerId: string): RuntimeBinary | undefined;
  /** Ends the execs of an earlier daemon's that were to end with it. Throws never. */
  endLeftExecs(containerId: string, bundle: string): void;
  /** Pids in the container, of the host. */
  pids(containerId: string, runtime: RuntimeBinary): Promise<number[]>;
}
