import { invalidArgument } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
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
): Promise<{ readonly tty: boolean; readonly entries: AsyncIterable<readonly LogEntry[]> }> {
  if (!options.stdout && !options.stderr)
    throw invalidArgument("Bad parameters: you must choose at least one stream");
  const container = context.containers.resolve(nameOrId);
  return { tty: container.config.Tty === true, entries: await context.logs.read(container, options) };
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
  // One listener for all the waits: a slow client makes thousands of them.
  let goOn = (): void => {};
  sink.onDrain(() => goOn());
  sink.signal.addEventListener("abort", () => goOn(), { once: true });
  for await (const block of entries)
    for (const entry of block) {
      if (sink.signal.aborted) return;
      if (!sink.write(entry.stream, entry.line)) await new Promise<void>((resolve) => (goOn = resolve));
    }
}
