/** Health checks of running containers: a probe is an exec of the daemon's own, with Docker's events. */
import { errorText } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { log } from "../base/log.ts";
import { nowRfc3339 } from "../base/time.ts";
import type { ContainerRecord } from "../container/container.ts";
import {
  afterProbe,
  healthTimes,
  nextProbeMs,
  probeCommand,
  ProbeOutput,
  startingHealth,
  type HealthTimes,
} from "../container/health.ts";
import { processAgeMs } from "../linux/pidfd.ts";
import type { HealthLogEntry } from "../wire/container.ts";
import { emitContainer, type EngineContext } from "./context.ts";
import { commandText, startProcess } from "./exec.ts";
import type { ExecRecord } from "./exec-registry.ts";

/** Begins to probe a running container; one interval passes before the first probe. Without a health check nothing. */
export function startHealthChecks(context: EngineContext, container: ContainerRecord): void {
  stopHealthChecks(context, container.id);
  const command = probeCommand(container.config);
  if (command === undefined || command.length === 0) return;
  const stop = new AbortController();
  context.live.of(container.id).healthChecks = stop;
  new HealthLoop(context, container, { command, signal: stop.signal }).next();
}

/** Ends the probing; a probe that runs is killed. */
export function stopHealthChecks(context: EngineContext, id: string): void {
  const live = context.live.find(id);
  live?.healthChecks?.abort();
  if (live !== undefined) live.healthChecks = undefined;
}

interface Loop {
  readonly command: readonly string[];
  readonly signal: AbortSignal;
}

class HealthLoop {
  readonly #context: EngineContext;
  readonly #id: string;
  readonly #times: HealthTimes;
  /** By the clock that nobody sets, also when an earlier daemon started it: a start period is a time that passes. */
  readonly #startedMs: number;
  readonly #loop: Loop;

  constructor(context: EngineContext, container: ContainerRecord, loop: Loop) {
    this.#context = context;
    this.#id = container.id;
    this.#times = healthTimes(container.config.Healthcheck ?? {});
    this.#startedMs = performance.now() - processAgeMs(container.state.pid);
    this.#loop = loop;
  }

  /** Lets the next probe run when it is due. */
  next(): void {
    const health = this.#context.containers.byId(this.#id)?.state.health ?? startingHealth(undefined);
    const { signal } = this.#loop;
    const timer = setTimeout(
      () => {
        signal.removeEventListener("abort", stop);
        void this.#probe();
      },
      Math.min(nextProbeMs(health, this.#times, performance.now() - this.#startedMs), 2 ** 31 - 1),
    );
    const stop = (): void => clearTimeout(timer);
    signal.addEventListener("abort", stop, { once: true });
  }

  async #probe(): Promise<void> {
    const { signal } = this.#loop;
    const ranMs = performance.now() - this.#startedMs;
    const Start = nowRfc3339();
    let outcome: Pick<HealthLogEntry, "ExitCode" | "Output">;
    try {
      outcome = await this.#run();
    } catch (error) {
      outcome = { ExitCode: -1, Output: errorText(error) };
    }
    if (signal.aborted) return;
    try {
      this.#note({ Start, End: nowRfc3339(), ...outcome }, ranMs);
    } catch (error) {
      log.warn("could not note the result of a health check", {
        container: this.#id,
        error: errorText(error),
      });
    }
    this.next();
  }

  #note(result: HealthLogEntry, ranMs: number): void {
    const { containers } = this.#context;
    const before = containers.byId(this.#id)?.state.health ?? startingHealth(undefined);
    const health = afterProbe(before, result, { times: this.#times, ranMs });
    const container = containers.updateState(this.#id, { health });
    if (health.status !== before.status)
      emitContainer(this.#context, container, `health_status: ${health.status}`);
  }

  /** Runs the probe to its end or its time-out. Throws when it cannot be started. */
  async #run(): Promise<Pick<HealthLogEntry, "ExitCode" | "Output">> {
    const { command, signal } = this.#loop;
    const context = this.#context;
    const container = context.containers.resolve(this.#id);
    const exec = probeExec(container.id, command);
    context.execs.add(exec);
    emitContainer(context, container, `exec_create: ${commandText(exec.request)}`, { execID: exec.id });
    try {
      const task = await startProcess(context, exec, { detached: false, consoleSize: undefined });
      const output = new ProbeOutput();
      task.stdio?.onData((_stream, chunk) => {
        output.add(chunk);
        return true;
      });
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        task.kill();
      }, this.#times.timeoutMs);
      const stop = (): void => task.kill();
      if (signal.aborted) stop();
      signal.addEventListener("abort", stop, { once: true });
      const { exitCode } = await task.exited;
      await task.stdio?.ended;
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      if (!isLate) return { ExitCode: exitCode, Output: output.text() };
      const words = `Health check exceeded timeout (${durationText(this.#times.timeoutMs)})`;
      return { ExitCode: -1, Output: output.text() === "" ? words : `${words}: ${output.text()}` };
    } finally {
      context.execs.remove(exec.id);
    }
  }
}

function probeExec(containerId: string, command: readonly string[]): ExecRecord {
  return {
    id: newId(),
    containerId,
    request: { Cmd: [...command], AttachStdout: true, AttachStderr: true },
    status: "starting",
    pid: 0,
    exitCode: null,
    task: undefined,
    isProbe: true,
  };
}

/** As Go writes a time.Duration: `1m30s`, `2s`, `500ms`. */
function durationText(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = (ms % 60_000) / 1000;
  return `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${seconds}s`;
}
