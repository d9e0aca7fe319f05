/** Starting conmon: what its create and exec calls have in common (conmon 2.1, conmon.c and cli.c). */
import { accessSync, closeSync, constants, existsSync, openSync, readSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { EngineError, errorText, isKind, notFound } from "../base/errors.ts";
import { fileSystemError, isErrno } from "../linux/fs-error.ts";
import type { SealedBinaries } from "../linux/sealed-binary.ts";
import { unreadBytes } from "../linux/socket-queue.ts";
import { openPipe, spawnProcess, type ChildProcess, type SpawnRequest } from "../linux/spawn.ts";
import type { RuntimeBinary } from "./monitor.ts";
import { runtimeUnavailable } from "./runtime-error.ts";
import { endWithoutRuntime } from "./runtime-watch.ts";
import { type SyncMessage, SyncPipe } from "./sync-pipe.ts";

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const maxSocketPathBytes = 107;

/** Where things of this daemon's containers are. */
export interface MonitorContext {
  readonly execRoot: string;
  readonly conmonPath: string;
  readonly binaries: SealedBinaries;
}

/** The absolute path of `name` in PATH and the usual directories; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  for (const directory of `${process.env["PATH"] ?? ""}:${searchPath}`.split(":")) {
    if (!directory.startsWith("/")) continue;
    try {
      accessSync(`${directory}/${name}`, constants.X_OK);
      return `${directory}/${name}`;
    } catch {
      // Not there: the next one.
    }
  }
  return undefined;
}

/** Directory in which a runtime keeps its containers' state. One a daemon, so that two daemons never meet. */
export function runtimeRoot(context: MonitorContext, runtime: RuntimeBinary): string {
  return `${context.execRoot}/runtime-${runtime.name.replaceAll(/[^\w.-]/g, "_")}`;
}

/** Arguments before a runtime's verb. */
export function runtimeArguments(context: MonitorContext, runtime: RuntimeBinary): string[] {
  return [...runtime.args, "--root", runtimeRoot(context, runtime)];
}

/** A small environment: nothing of the daemon's own goes to monitors, runtimes or containers. */
export function childEnvironment(context: MonitorContext): Record<string, string> {
  // conmon makes the socket for a terminal in TMPDIR, by a path that must fit into a socket address.
  const terminalSocket = `${context.execRoot}/conmon-term.XXXXXX`;
  const temporary = Buffer.byteLength(terminalSocket) <= maxSocketPathBytes ? context.execRoot : "/tmp";
  return { PATH: searchPath, HOME: "/root", TMPDIR: temporary };
}

export interface ConmonStart {
  /** Options after those for runtime and container. */
  readonly options: readonly string[];
  readonly containerId: string;
  /** Id that conmon calls cuuid: the container's or the exec's. */
  readonly ownId: string;
  readonly runtime: RuntimeBinary;
  readonly logPath: string;
  /** Where conmon runs: it leaves its `oom` file in its working directory. */
  readonly directory: string;
  /** An exec that waits for its client: conmon says when the socket is there, we say when to go on. */
  readonly attachFirst: boolean;
}

export interface Conmon extends Disposable {
  readonly child: ChildProcess;
  readonly sync: SyncPipe;
  /** Resolves when the attach socket accepts; only with `attachFirst`. */
  attachable(): Promise<unknown>;
  /** Lets the runtime start; only with `attachFirst`, and after `attachable`. */
  readonly proceed: () => void;
  /** Its first message: a pid, or what the runtime said; undefined when it ended without one, or its runtime was killed. */
  report(): Promise<SyncMessage | undefined>;
  /** What conmon printed before it let go of its standard streams; call after its end. */
  earlyOutput(): string;
}

/** The ends of pipes that a child is about to get, by the numbers that it knows them by. */
class ChildEnds implements Disposable {
  readonly fds: Record<number, number> = {};

  /** Our end of a pipe that the child writes to as `fd`; the caller closes it. */
  readFrom(fd: number): number {
    const [ours, theirs] = openPipe();
    this.fds[fd] = theirs;
    return ours;
  }

  /** Our end of a pipe that the child reads from as `fd`; the caller closes it. */
  writeTo(fd: number): number {
    const [theirs, ours] = openPipe();
    this.fds[fd] = theirs;
    return ours;
  }

  [Symbol.dispose](): void {
    for (const fd of Object.values(this.fds)) closeSync(fd);
  }
}

/** How an exec waits for its client: conmon says when the socket is there, we say when to go on. */
interface Gate extends Disposable {
  attachable(): Promise<unknown>;
  open(): void;
}

const gateEnvironment = { _OCI_ATTACHPIPE: "4", _OCI_STARTPIPE: "5" };

function makeGate(ends: ChildEnds): Gate {
  using undo = new DisposableStack();
  const attached = undo.use(new SyncPipe(ends.readFrom(4)));
  const go = ends.writeTo(5);
  undo.defer(() => closeSync(go));
  // conmon waits once before anything (nothing to prepare here) and once more for its client.
  writeSync(go, "1");
  const ours = undo.move();
  let isAttachable: Promise<unknown> | undefined;
  return {
    attachable: () => (isAttachable ??= attached.next()),
    open() {
      try {
        if (!ours.disposed) writeSync(go, "1");
      } catch (error) {
        // It has ended, which its report tells.
        if (!isErrno(error, "EPIPE")) throw error;
      }
    },
    [Symbol.dispose]: () => ours.dispose(),
  };
}

function spawnConmon(request: SpawnRequest): ChildProcess {
  try {
    return spawnProcess(request);
  } catch (error) {
    // Not `notFound`: that would read as if the container did not exist.
    if (isKind(error, "notFound"))
      throw new EngineError("unavailable", `conmon cannot be started: ${request.path} has been removed`, {
        hint: "Install it again: apt-get install conmon",
        cause: error,
      });
    throw new EngineError(
      isKind(error, "resourceExhausted") ? error.kind : "unavailable",
      `conmon cannot be started: ${errorText(error)}`,
      { hint: error instanceof EngineError ? error.hint : undefined, cause: error },
    );
  }
}

/** Reads what is in a pipe now, without waiting. The write end must be closed, or the pipe not empty. */
function drain(fd: number): string {
  const buffer = Buffer.alloc(8192);
  try {
    return buffer.toString("utf8", 0, readSync(fd, buffer));
  } catch {
    return "";
  }
}

/**
 * Starts conmon as a child in a session of its own. `--sync` keeps it from forking once more; when this daemon ends,
 * init becomes its parent.
 */
export function startConmon(context: MonitorContext, start: ConmonStart): Conmon {
  const runtimePath = context.binaries.executable(start.runtime.path);
  if (!existsSync(runtimePath))
    throw runtimeUnavailable(start.runtime, notFound(`no program ${start.runtime.path}`));
  using undo = new DisposableStack();
  using ends = new ChildEnds();
  const errors = ends.readFrom(2);
  undo.defer(() => closeSync(errors));
  const sync = undo.use(new SyncPipe(ends.readFrom(3)));
  const gate = start.attachFirst ? undo.use(makeGate(ends)) : undefined;
  const child = spawnConmon({
    path: context.conmonPath,
    argv: conmonArguments(context, start, runtimePath),
    env: { ...childEnvironment(context), _OCI_SYNCPIPE: "3", ...(gate && gateEnvironment) },
    fds: ends.fds,
    cwd: start.directory,
    newSession: true,
  });
  const ours = undo.move();
  return {
    child,
    sync,
    attachable: () => gate?.attachable() ?? Promise.resolve(),
    async report() {
      using _ = endWithoutRuntime(child.pid);
      return await sync.next();
    },
    proceed: () => gate?.open(),
    earlyOutput: () => drain(errors),
    [Symbol.dispose]: () => ours.dispose(),
  };
}

function conmonArguments(context: MonitorContext, start: ConmonStart, runtimePath: string): string[] {
  return [
    "conmon",
    "--cid",
    start.containerId,
    "--cuuid",
    start.ownId,
    "--api-version",
    "--sync",
    "--full-attach",
    "--no-sync-log",
    "--runtime",
    runtimePath,
    ...runtimeArguments(context, start.runtime).flatMap((word) => [`--runtime-arg=${word}`]),
    "--log-path",
    start.logPath === "" ? "none" : `k8s-file:${start.logPath}`,
    ...start.options,
  ];
}

/** How long conmon may take for a size before the next one is written all the same, and how often it is looked, ms. */
const longestSizeMs = 1_000;
const sizePollMs = 1;
/** The last size on its way, by the bundle: sizes are set in the order in which they were asked for. */
const sizes = new Map<string, Promise<void>>();

/**
 * Sets the size of a terminal, in characters: `1 HEIGHT WIDTH` on conmon's fifo `ctl` (ctrl.c). Of several lines that it finds
 * at once it takes the first one only (seen in 2.1.6), so that the next is not written before it has read the last. Throws
 * `notFound` when nobody listens, `invalidArgument` for what is no size.
 */
export async function resizeTerminal(bundle: string, height: number, width: number): Promise<void> {
  if (![height, width].every((value) => Number.isInteger(value) && value >= 0 && value < 65_536))
    throw new EngineError("invalidArgument", `invalid terminal size ${height}x${width}`);
  const before = sizes.get(bundle);
  const own = (async () => {
    if (before !== undefined) await Promise.allSettled([before]);
    await writeSize(bundle, `1 ${height} ${width}\n`);
  })();
  sizes.set(bundle, own);
  try {
    await own;
  } finally {
    if (sizes.get(bundle) === own) sizes.delete(bundle);
  }
}

async function writeSize(bundle: string, line: string): Promise<void> {
  try {
    const fd = openSync(`${bundle}/ctl`, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      const deadline = performance.now() + longestSizeMs;
      while (unreadBytes(fd) > 0 && performance.now() < deadline) await sleep(sizePollMs);
      writeSync(fd, line);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENXIO", "EPIPE")) throw fileSystemError("resize the terminal", error);
    throw notFound("cannot resize the terminal: the container's monitor does not run", { cause: error });
  }
}
