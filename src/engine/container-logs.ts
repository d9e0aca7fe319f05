import { EngineError } from "../base/errors.ts";
import { invalidArgument } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import { readLog } from "../container/logs.ts";
import type { EngineContext } from "./context.ts";
import type { AttachOptions, LogEntry, LogOptions, StdioSink } from "./engine.ts";

/**
 * A container's log: see {@link import("./engine.ts").Engine.containerLogs}. Following ends when the container stops.
 * Throws `invalidArgument` when no stream is chosen, `notImplemented` when the log driver keeps nothing to read.
 */
export async function containerLogs(
  context: EngineContext,
  nameOrId: string,
  options: LogOptions,
): Promise<{ readonly tty: boolean; readonly entries: AsyncIterable<LogEntry> }> {
  if (!options.stdout && !options.stderr)
    throw invalidArgument("Bad parameters: you must choose at least one stream");
  const container = context.containers.resolve(nameOrId);
  if (container.hostConfig.LogConfig?.Type === "none")
    throw new EngineError("notImplemented", "configured logging driver does not support reading");
  return {
    tty: container.config.Tty === true,
    entries: readLog({
      ...options,
      path: container.logPath,
      stopped: whenStopped(context, container, options),
    }),
  };
}

/** Resolves when nothing more will be written to the log; at once for a container that does not run. */
function whenStopped(context: EngineContext, container: ContainerRecord, options: LogOptions): Promise<void> {
  if (!options.follow) return Promise.resolve();
  const live = context.live.of(container.id);
  if (container.state.status !== "running" && container.state.status !== "paused") return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = live.onExit(() => resolve());
  options.signal.addEventListener("abort", cancel, { once: true });
  return promise.finally(() => options.signal.removeEventListener("abort", cancel));
}

/** Writes what the log holds to a client that attaches with `logs=1`. */
export async function replayLog(
  context: EngineContext,
  container: ContainerRecord,
  options: AttachOptions,
  sink: StdioSink,
): Promise<void> {
  const { entries } = await containerLogs(context, container.id, {
    stdout: options.stdout,
    stderr: options.stderr,
    follow: false,
    tail: undefined,
    sinceNs: 0n,
    untilNs: 0n,
    signal: sink.signal,
  });
  for await (const entry of entries) {
    if (sink.write(entry.stream, entry.line)) continue;
    await new Promise<void>((resolve) => {
      sink.onDrain(resolve);
      sink.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    if (sink.signal.aborted) return;
  }
}
