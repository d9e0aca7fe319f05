import type { WaitResponse } from "../wire/container.ts";
import type { EngineContext } from "./context.ts";
import type { WaitCondition } from "./engine.ts";

/**
 * Waits for a container: see {@link import("./engine.ts").Engine.containerWait}. The wait is registered before this
 * returns, so an exit right after is not missed. When `signal` aborts, the result never settles and nothing is kept.
 */
export function containerWait(
  context: EngineContext,
  nameOrId: string,
  condition: WaitCondition,
  signal: AbortSignal,
): { readonly result: Promise<WaitResponse> } {
  const container = context.containers.resolve(nameOrId);
  const { status, exitCode } = container.state;
  const isRunning = status === "running" || status === "paused" || status === "restarting";
  if (condition === "not-running" && !isRunning) return { result: Promise.resolve({ StatusCode: exitCode }) };
  const live = context.live.of(container.id);
  const { promise, resolve } = Promise.withResolvers<WaitResponse>();
  const cancel = condition === "removed" ? live.onRemoval(resolve) : live.onExit(resolve);
  signal.addEventListener("abort", cancel, { once: true });
  const told = promise.then(async (answer) => {
    await live.outputTaken();
    return answer;
  });
  return { result: told.finally(() => signal.removeEventListener("abort", cancel)) };
}
