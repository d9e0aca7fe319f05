/** Calls of an OCI runtime's command line, as runc has it. */
import { conflict, EngineError, notFound } from "../base/errors.ts";
import { runProcess, type RunResult } from "../linux/spawn.ts";
import { childEnvironment, type MonitorContext, runtimeArguments } from "./conmon-process.ts";
import type { RuntimeBinary } from "./monitor.ts";
import {
  runtimeError,
  runtimeUnavailable,
  saysNoSuchContainer,
  saysNotRunning,
  type RuntimeFailure,
} from "./runtime-error.ts";

/** Runs it to its end, whatever that is. Throws when it cannot be run. */
export async function runRuntime(
  context: MonitorContext,
  runtime: RuntimeBinary,
  words: readonly string[],
): Promise<RunResult> {
  try {
    return await runProcess({
      path: context.binaries.executable(runtime.path),
      argv: [runtime.name, ...runtimeArguments(context, runtime), ...words],
      env: childEnvironment(context),
    });
  } catch (error) {
    throw runtimeUnavailable(runtime, error);
  }
}

/**
 * Runs a verb. Throws `notFound` for a container that the runtime does not know, `conflict` for one that does not run,
 * `unavailable` when the runtime was killed; other errors have its words.
 */
export async function runVerb(
  context: MonitorContext,
  verb: RuntimeFailure["verb"],
  runtime: RuntimeBinary,
  words: readonly string[],
): Promise<void> {
  const result = await runRuntime(context, runtime, [verb, ...words]);
  if (result.code === 0) return;
  if (result.signal !== undefined)
    throw new EngineError(
      "unavailable",
      `the runtime ${runtime.name} was ended by signal ${result.signal} in its ${verb}`,
      { hint: "If nobody did that, the kernel was short of memory ('dmesg' tells). Try again." },
    );
  const output = `${result.stdout}\n${result.stderr}`;
  if (saysNoSuchContainer(output)) throw notFound(`the runtime ${runtime.name} knows no such container`);
  if (saysNotRunning(output)) throw conflict("the container is not running");
  throw runtimeError({ verb, runtimeName: runtime.name, output, program: "" });
}
