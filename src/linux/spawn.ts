/**
 * Child processes without the price of a fork: `posix_spawn` of glibc starts them with CLONE_VM | CLONE_VFORK, so that
 * it costs the same however large the daemon has grown (`node:child_process` copies page tables and blocks the loop).
 *
 * A child gets exactly the descriptors it is given: everything else is closed in it, whatever flags it has here.
 * Its end is seen through a pidfd; only that very pid is reaped, so children of `node:child_process` are not disturbed.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { EngineError } from "../base/errors.ts";
import { describeErrno, EAGAIN, EINTR, errno, libc, systemError } from "./libc.ts";
import { Pidfd } from "./pidfd.ts";
import { pollFd } from "./poll.ts";

const FILE_ACTIONS_BYTES = 128; // posix_spawn_file_actions_t is 80 bytes in glibc
const ATTRIBUTES_BYTES = 512; // posix_spawnattr_t is 336 bytes in glibc
const SIGNAL_SET_BYTES = 128; // sigset_t
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
const O_CLOEXEC = 0o2000000;
const ENOSYS = 38;
const noProcesses =
  "No process can be added: a limit of processes is reached, the daemon's (TasksMax= in its systemd unit, pids.max of its control group) or the machine's (sysctl kernel.pid_max, kernel.threads-max).";

const posixSpawn = libc.func(
  "int posix_spawn(_Out_ int *pid, str path, void *actions, void *attributes, str *argv, str *envp)",
);
const actionsInit = libc.func("int posix_spawn_file_actions_init(void *actions)");
const actionsDestroy = libc.func("int posix_spawn_file_actions_destroy(void *actions)");
const addDup2 = libc.func("int posix_spawn_file_actions_adddup2(void *actions, int fd, int newfd)");
const addClose = libc.func("int posix_spawn_file_actions_addclose(void *actions, int fd)");
const addCloseFrom = libc.func("int posix_spawn_file_actions_addclosefrom_np(void *actions, int from)");
const addChdir = libc.func("int posix_spawn_file_actions_addchdir_np(void *actions, str path)");
const attributesInit = libc.func("int posix_spawnattr_init(void *attributes)");
const attributesDestroy = libc.func("int posix_spawnattr_destroy(void *attributes)");
const setFlags = libc.func("int posix_spawnattr_setflags(void *attributes, short flags)");
const setSignalMask = libc.func("int posix_spawnattr_setsigmask(void *attributes, void *set)");
const setSignalDefault = libc.func("int posix_spawnattr_setsigdefault(void *attributes, void *set)");
const waitpid = libc.func("int waitpid(int pid, _Out_ int *status, int options)");
const pipe2 = libc.func("int pipe2(void *fds, int flags)");

const noSignals = Buffer.alloc(SIGNAL_SET_BYTES);
// Not sigfillset(): it leaves out the two signals that glibc keeps to itself, and the child would ignore those.
const allSignals = Buffer.alloc(SIGNAL_SET_BYTES, 0xff);
let nullFd: number | undefined;

export interface SpawnRequest {
  /** Absolute path of the program. */
  readonly path: string;
  /** All arguments, the program's name first. */
  readonly argv: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Descriptors of the child by number; 0, 1 and 2 are /dev/null when not given. Ours stay open. */
  readonly fds?: Readonly<Record<number, number>>;
  readonly cwd?: string;
  /** A session (and process group) of its own: no terminal's signals, no part of the daemon's job. */
  readonly newSession?: boolean;
}

export interface ExitStatus {
  /** Exit code, or undefined when a signal ended it. */
  readonly code: number | undefined;
  /** Number of the signal that ended it. */
  readonly signal: number | undefined;
}

export interface ChildProcess {
  readonly pid: number;
  /** Resolves when it has ended and was reaped. Never rejects. */
  readonly exited: Promise<ExitStatus>;
  /** Sends a signal; nothing when it has ended. Never reaches another process that got the same pid. */
  kill(signal: number): void;
}

/** A pipe whose both ends are close-on-exec: [read end, write end]. */
export function openPipe(): [number, number] {
  const fds = Buffer.alloc(8);
  if (pipe2(fds, O_CLOEXEC) !== 0) throw systemError("make a pipe");
  return [fds.readInt32LE(0), fds.readInt32LE(4)];
}

function check(what: string, code: number): void {
  if (code !== 0) throw systemError(what, code);
}

/**
 * The list of what the child does with descriptors before it runs the program. Sources are first copied out of the way,
 * so that a mapping like {3: 4, 4: 3} works: to the lowest numbers that are neither wanted nor a source, since those near
 * the limit of open files cannot be had. Whatever else has such a number is closed in the child anyway.
 */
function fillFileActions(actions: Buffer, request: SpawnRequest): void {
  nullFd ??= openSync("/dev/null", "r+");
  const wanted = new Map<number, number>([
    [0, nullFd],
    [1, nullFd],
    [2, nullFd],
  ]);
  for (const [target, source] of Object.entries(request.fds ?? {})) wanted.set(Number(target), source);
  const last = Math.max(...wanted.keys());
  const sources = new Set(wanted.values());
  let next = last;
  const copies: [number, number][] = [];
  for (const [target, source] of wanted) {
    do next += 1;
    while (sources.has(next));
    check("prepare a child's descriptors", addDup2(actions, source, next) as number);
    copies.push([next, target]);
  }
  for (const [copy, target] of copies)
    check("prepare a child's descriptors", addDup2(actions, copy, target) as number);
  for (let fd = 0; fd < last; fd += 1)
    if (!wanted.has(fd)) check("prepare a child's descriptors", addClose(actions, fd) as number);
  check("prepare a child's descriptors", addCloseFrom(actions, last + 1) as number);
  if (request.cwd !== undefined) check(`enter ${request.cwd}`, addChdir(actions, request.cwd) as number);
}

function startProcess(request: SpawnRequest): number {
  const actions = Buffer.alloc(FILE_ACTIONS_BYTES);
  const attributes = Buffer.alloc(ATTRIBUTES_BYTES);
  check("prepare a child", actionsInit(actions) as number);
  check("prepare a child", attributesInit(attributes) as number);
  try {
    fillFileActions(actions, request);
    const session = request.newSession === true ? POSIX_SPAWN_SETSID : 0;
    check(
      "prepare a child",
      setFlags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | session) as number,
    );
    setSignalMask(attributes, noSignals);
    setSignalDefault(attributes, allSignals);
    const environment = Object.entries(request.env).map(([name, value]) => `${name}=${value}`);
    const pid: [number] = [0];
    const failure = posixSpawn(
      pid,
      request.path,
      actions,
      attributes,
      [...request.argv, null],
      [...environment, null],
    ) as number;
    // Not `notFound` or the like for what fork says: it is the machine that is short of something.
    if (failure === EAGAIN)
      throw new EngineError(
        "resourceExhausted",
        `run ${request.path}: ${describeErrno(failure).text} (EAGAIN)`,
        { hint: noProcesses },
      );
    check(`run ${request.path}`, failure);
    return pid[0];
  } finally {
    attributesDestroy(attributes);
    actionsDestroy(actions);
  }
}

/** How a child that has ended did so; does not wait, since it has. */
function reap(pid: number): ExitStatus {
  const status: [number] = [0];
  while ((waitpid(pid, status, 0) as number) !== pid) {
    // ECHILD: somebody ignores SIGCHLD for the whole process, so nothing is known any more.
    if (errno() !== EINTR) return { code: undefined, signal: undefined };
  }
  const signal = status[0] & 0x7f;
  return signal === 0 ? { code: (status[0] >> 8) & 0xff, signal: undefined } : { code: undefined, signal };
}

/** A handle of a child that was just started. One that cannot be watched (no descriptor is left) is ended again. */
function watchChild(pid: number): Pidfd {
  try {
    // Not reaped before we do it, so the pid cannot have been given to another process yet.
    const handle = Pidfd.open(pid);
    if (handle !== undefined) return handle;
    throw systemError(`watch process ${pid}`, ENOSYS);
  } catch (error) {
    process.kill(pid, "SIGKILL");
    reap(pid);
    throw error;
  }
}

/**
 * Starts a program. Throws an EngineError with the errno's kind when it cannot be run (also: no such file). Signals
 * have their default action and none is blocked in the child.
 */
export function spawnProcess(request: SpawnRequest): ChildProcess {
  const pid = startProcess(request);
  const handle = watchChild(pid);
  let ended = false;
  const exited = handle.ended().then((): ExitStatus => {
    ended = true;
    handle[Symbol.dispose]();
    return reap(pid);
  });
  return {
    pid,
    exited,
    kill(signal) {
      if (!ended) handle.signal(signal);
    },
  };
}

export interface RunResult extends ExitStatus {
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunRequest extends Omit<SpawnRequest, "fds"> {
  /** Written to its standard input; at most a pipe's 64 KiB. */
  readonly input?: string;
  /** More output than this a stream is read and dropped; 1 MiB when not given. */
  readonly maxOutputBytes?: number;
  /** Killed after this time; 60 s when not given. */
  readonly timeoutMs?: number;
  /** Ended by SIGTERM when it is aborted; what it wrote until then is returned. */
  readonly signal?: AbortSignal;
}

/** Collects what comes out of a pipe's read end, at most `limit` bytes. */
class PipeCollector {
  readonly #chunks: Buffer[] = [];
  readonly #buffer = Buffer.alloc(65_536);
  readonly #fd: number;
  readonly #poll: ReturnType<typeof pollFd>;
  #left: number;
  #open = true;

  constructor(fd: number, limit: number) {
    this.#fd = fd;
    this.#left = limit;
    this.#poll = pollFd(fd, { readable: true, writable: false }, () => {
      this.#read();
    });
  }

  /** One read; false when there is nothing more to read now. */
  #read(): boolean {
    if (!this.#open) return false;
    let count: number;
    try {
      count = readSync(this.#fd, this.#buffer);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return false;
      count = 0;
    }
    if (count === 0) {
      this.#close();
      return false;
    }
    const kept = Math.min(count, this.#left);
    this.#left -= kept;
    if (kept > 0) this.#chunks.push(Buffer.from(this.#buffer.subarray(0, kept)));
    return true;
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#poll.close();
    closeSync(this.#fd);
  }

  /** Everything that is there now. Does not wait for others that hold the pipe open. */
  finish(): string {
    while (this.#read());
    this.#close();
    return Buffer.concat(this.#chunks).toString();
  }
}

/**
 * Runs a short command to its end and returns what it wrote. Throws only when it cannot be started; exit codes are
 * the caller's to judge. Output of descendants that outlive it is not waited for.
 */
export async function runProcess(request: RunRequest): Promise<RunResult> {
  const limit = request.maxOutputBytes ?? 1 << 20;
  const opened: number[] = [];
  let child: ChildProcess;
  const outputs: number[] = [];
  try {
    const [outRead, outWrite] = openPipe();
    opened.push(outWrite);
    outputs.push(outRead);
    const [errRead, errWrite] = openPipe();
    opened.push(errWrite);
    outputs.push(errRead);
    const fds: Record<number, number> = { 1: outWrite, 2: errWrite };
    if (request.input !== undefined) {
      const [inRead, inWrite] = openPipe();
      opened.push(inRead, inWrite);
      writeSync(inWrite, request.input);
      fds[0] = inRead;
    }
    child = spawnProcess({ ...request, fds });
  } catch (error) {
    for (const fd of outputs) closeSync(fd);
    throw error;
  } finally {
    for (const fd of opened) closeSync(fd);
  }
  const [stdout, stderr] = outputs.map((fd) => new PipeCollector(fd, limit));
  const timer = setTimeout(() => child.kill(9), request.timeoutMs ?? 60_000);
  const { signal } = request;
  const end = (): void => child.kill(15);
  signal?.addEventListener("abort", end, { once: true });
  if (signal?.aborted) end();
  const status = await child.exited;
  signal?.removeEventListener("abort", end);
  clearTimeout(timer);
  return { ...status, stdout: stdout!.finish(), stderr: stderr!.finish() };
}
