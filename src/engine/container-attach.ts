import { setTimeout as sleep } from "node:timers/promises";
import { conflict, invalidArgument } from "../base/errors.ts";
import { parseDetachKeys } from "../base/detach-keys.ts";
import type { ContainerRecord } from "../container/container.ts";
import type { AttachedStdio } from "../container/monitor.ts";
import { emitContainer, type EngineContext } from "./context.ts";
import { untakenBytes } from "../linux/socket-queue.ts";
import type { AttachOptions, StdioSession, StdioSink } from "./engine.ts";
import { bridgeStdio } from "./bridge-stdio.ts";
import { replayLog } from "./container-logs.ts";
import type { PendingAttach } from "./live.ts";
import { containerPaths } from "./paths.ts";
import { within } from "./within.ts";

/**
 * Prepares a client's connection to a container: see {@link import("./engine.ts").Engine.containerAttach}. On a
 * container that does not run yet the client is connected by the next start, before the program's first byte.
 * Throws `conflict` for a paused or restarting one, `invalidArgument` for unreadable detach keys.
 */
export async function containerAttach(
  context: EngineContext,
  nameOrId: string,
  options: AttachOptions,
): Promise<StdioSession> {
  const container = context.containers.resolve(nameOrId);
  const { status } = container.state;
  if (status === "paused")
    throw conflict(`container ${nameOrId} is paused, unpause the container before attach`);
  if (status === "restarting")
    throw conflict(`container ${nameOrId} is restarting, wait until the container is running`);
  const detachKeys = parseDetachKeys(options.detachKeys ?? "ctrl-p,ctrl-q");
  if (detachKeys === undefined) throw invalidArgument(`Invalid detach keys (${options.detachKeys}) provided`);
  const tty = container.config.Tty === true;
  return {
    tty,
    run: (sink) => {
      const done = attachUntilTaken(context, container.id, { ...options, detachSequence: detachKeys }, sink);
      const { sessions } = context.live.of(container.id);
      sessions.add(done);
      return done.finally(() => sessions.delete(done));
    },
  };
}

/** How often a client is looked at that has not read all of its output. */
const lookEveryMs = 1;

/** Waits until the client has read what was written for it, or is gone. */
async function outputTaken(sink: StdioSink): Promise<void> {
  if (sink.flushedFd === undefined) return;
  while (!sink.signal.aborted) {
    const fd = sink.flushedFd();
    if (fd === -1 || (fd !== undefined && untakenBytes(fd) === 0)) return;
    await sleep(lookEveryMs);
  }
}

interface AttachRun extends AttachOptions {
  readonly detachSequence: Buffer;
}

/** As {@link runAttach}; the connection stays open until its client has read all: a closed one does not tell. */
async function attachUntilTaken(...session: Parameters<typeof runAttach>): Promise<void> {
  try {
    await runAttach(...session);
  } finally {
    await outputTaken(session[3]);
  }
}

async function runAttach(
  context: EngineContext,
  id: string,
  options: AttachRun,
  sink: StdioSink,
): Promise<void> {
  const container = context.containers.byId(id);
  if (container === undefined) return;
  if (options.logs && (options.stdout || options.stderr)) await replayLog(context, container, options, sink);
  if (!options.stream || sink.signal.aborted) return;
  emitContainer(context, container, "attach");
  if (!options.stdin && !options.stdout && !options.stderr) return;
  // Looked up again: it may have started or ended while its log was sent.
  const isRunning = context.containers.byId(id)?.state.status === "running";
  const parks = isWatcher(container, options);
  const { parked } = context.live.of(id);
  const again = isRunning && parks ? parked.pop() : undefined;
  const stdio = again ?? (await (isRunning ? connectNow(context, id) : startedLater(context, id, sink)));
  if (stdio === undefined) return;
  const how = await bridgeStdio(stdio, sink, {
    stdin: options.stdin && container.config.OpenStdin === true,
    stdout: options.stdout,
    stderr: options.stderr,
    detachSequence: container.config.Tty === true ? options.detachSequence : undefined,
    stdinOnce: container.config.StdinOnce === true,
    parks,
  });
  if (parks && how !== "ended") {
    parked.push(stdio);
    if (again === undefined) void stdio.ended.then(() => forget(parked, stdio));
  }
  if (how === "detached") emitContainer(context, container, "detach");
}

/**
 * Somebody who only reads from a container whose input ends with the client that gives it. conmon takes the end of any
 * connection for that client's: those of watchers are kept, for the next one, until the container ends.
 */
function isWatcher({ config }: ContainerRecord, { stdin }: AttachRun): boolean {
  return config.OpenStdin === true && config.StdinOnce === true && config.Tty !== true && !stdin;
}

function forget<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}

function connect(context: EngineContext, id: string): AttachedStdio {
  return context.monitor.attach(containerPaths(context.config, id).bundle);
}

/** How long an exit may take to be on record once its monitor takes no connections any more, ms. */
const exitRecordedMs = 2_000;

/** As {@link connect}; undefined when the container has just ended: there is nothing more to be had of it. */
export async function connectNow(context: EngineContext, id: string): Promise<AttachedStdio | undefined> {
  const exited = context.live.of(id).exited?.promise;
  try {
    return connect(context, id);
  } catch (error) {
    if (exited === undefined || (await within(exited, exitRecordedMs))) return undefined;
    throw error;
  }
}

/**
 * Waits for the next start, which connects this client before it lets the program run; undefined when there will be
 * none for this client.
 */
function startedLater(
  context: EngineContext,
  id: string,
  sink: StdioSink,
): Promise<AttachedStdio | undefined> {
  const { pending } = context.live.of(id);
  const { promise, resolve } = Promise.withResolvers<AttachedStdio | undefined>();
  const entry: PendingAttach = {
    connect: () => {
      const stdio = connect(context, id);
      resolve(stdio);
      return stdio.accepted();
    },
    giveUp: () => resolve(undefined),
  };
  const finish = (): void => {
    pending.delete(entry);
    sink.signal.removeEventListener("abort", entry.giveUp);
  };
  pending.add(entry);
  sink.signal.addEventListener("abort", entry.giveUp, { once: true });
  return promise.finally(finish);
}
