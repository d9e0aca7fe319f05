import type { Readable } from "node:stream";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { createDetachFilter } from "../base/detach-keys.ts";
import type { AttachedStdio } from "../container/monitor.ts";
import type { StdioSink } from "./engine.ts";

export interface BridgeOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Bytes that detach the client; undefined without a terminal. */
  readonly detachSequence: Buffer | undefined;
  /** End the program's input when this client ends its own. */
  readonly stdinOnce: boolean;
  /** When the client leaves the connection is parked instead of given up. */
  readonly parks?: boolean;
}

/**
 * Carries bytes between a client and a monitor until the program's output has ended, the client typed the detach keys
 * or went away. Output that the client can't take stops the flow at its source; no byte is held back or lost.
 */
export async function bridgeStdio(
  stdio: AttachedStdio,
  sink: StdioSink,
  options: BridgeOptions,
): Promise<"ended" | "detached" | "gone"> {
  const { promise, resolve } = Promise.withResolvers<"ended" | "detached" | "gone">();
  stdio.onData((stream, chunk) => (options[stream] ? sink.write(stream, chunk) : true));
  sink.onDrain(() => stdio.resume());
  void stdio.ended.then(() => resolve("ended"));
  const onGone = (): void => resolve("gone");
  if (sink.signal.aborted) onGone();
  sink.signal.addEventListener("abort", onGone, { once: true });
  if (sink.input !== undefined) {
    if (options.stdin)
      pumpInput(sink.input, stdio, options)
        .then((how) => how === "detached" && resolve("detached"))
        .catch((error: unknown) => log.debug("client input ended", { error: errorText(error) }));
    else sink.input.resume();
  }
  const how = await promise;
  sink.signal.removeEventListener("abort", onGone);
  if (how !== "ended") {
    if (options.parks === true) stdio.park();
    else stdio.detach();
  }
  return how;
}

async function pumpInput(
  input: Readable,
  stdio: AttachedStdio,
  options: BridgeOptions,
): Promise<"ended" | "detached"> {
  const filter =
    options.detachSequence === undefined ? undefined : createDetachFilter(options.detachSequence);
  for await (const chunk of input as AsyncIterable<Buffer>) {
    const { forward, detached } = filter === undefined ? { forward: chunk, detached: false } : filter(chunk);
    if (forward.length > 0) await stdio.write(forward);
    if (detached) return "detached";
  }
  if (options.stdinOnce) stdio.endInput();
  return "ended";
}
