/** The rules of health checks as pure functions: when a probe is due, what its result means (Docker's HEALTHCHECK). */
import type { ContainerConfig, HealthConfig, HealthLogEntry, HealthStatus } from "../wire/container.ts";

/** What is known about a container's health; stored with its state. */
export interface HealthState {
  readonly status: HealthStatus;
  readonly failingStreak: number;
  /** The last five probes, oldest first. */
  readonly log: readonly HealthLogEntry[];
}

/** Times in ms, Docker's defaults filled in. */
export interface HealthTimes {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

const keptProbes = 5;
/** Bytes of a probe's output that are kept. */
export const maxProbeOutputBytes = 4096;
const nsPerMs = 1_000_000;

/** The words to run as a probe; undefined when the container has no health check. */
export function probeCommand(config: ContainerConfig): string[] | undefined {
  const [kind, ...words] = config.Healthcheck?.Test ?? [];
  if (kind === "CMD") return words;
  if (kind !== "CMD-SHELL") return undefined;
  const shell = config.Shell ?? [];
  return [...(shell.length > 0 ? shell : ["/bin/sh", "-c"]), ...words];
}

export function healthTimes(check: HealthConfig): HealthTimes {
  const ms = (ns: number | undefined, fallbackMs: number): number => (ns ? ns / nsPerMs : fallbackMs);
  return {
    intervalMs: ms(check.Interval, 30_000),
    timeoutMs: ms(check.Timeout, 30_000),
    startPeriodMs: ms(check.StartPeriod, 0),
    startIntervalMs: ms(check.StartInterval, 5_000),
    retries: check.Retries || 3,
  };
}

/** Health of a container that is being started; the log of an earlier run is kept. */
export function startingHealth(before: HealthState | undefined): HealthState {
  return { status: "starting", failingStreak: 0, log: before?.log ?? [] };
}

/** Health of a container that ended or was paused: as nobody looks, it is unhealthy, as with Docker. No event. */
export function stoppedHealth(before: HealthState): HealthState {
  return { ...before, status: "unhealthy" };
}

/** Time until the next probe in ms, for a container that has run for `ranMs`. */
export function nextProbeMs(health: HealthState, times: HealthTimes, ranMs: number): number {
  const isEarly = health.status === "starting" && ranMs < times.startPeriodMs;
  return isEarly ? times.startIntervalMs : times.intervalMs;
}

/**
 * Health after a probe that began `ranMs` after the container's start. A success makes it healthy. Failures count when
 * it was healthy once or its start period is over; `retries` of them in a row make it unhealthy.
 */
export function afterProbe(
  health: HealthState,
  result: HealthLogEntry,
  { times, ranMs }: { readonly times: HealthTimes; readonly ranMs: number },
): HealthState {
  const log = [...health.log, result].slice(-keptProbes);
  if (result.ExitCode === 0) return { status: "healthy", failingStreak: 0, log };
  if (health.status === "starting" && ranMs < times.startPeriodMs) return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  return { status: failingStreak >= times.retries ? "unhealthy" : health.status, failingStreak, log };
}

/** Collects a probe's output up to Docker's limit. */
export class ProbeOutput {
  readonly #chunks: Buffer[] = [];
  #room = maxProbeOutputBytes;
  #isCut = false;

  add(chunk: Buffer): void {
    if (chunk.length > this.#room) this.#isCut = true;
    const taken = chunk.subarray(0, this.#room);
    this.#room -= taken.length;
    // The chunk's memory is the reader's.
    if (taken.length > 0) this.#chunks.push(Buffer.from(taken));
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString("utf8") + (this.#isCut ? "..." : "");
  }
}
