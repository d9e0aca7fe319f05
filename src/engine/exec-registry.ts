import { notFound } from "../base/errors.ts";
import type { ExecTask } from "../container/monitor.ts";
import type { ExecCreateRequest } from "../wire/exec.ts";

/** How long the result of an ended exec can be asked for; Docker keeps it five to ten minutes. */
const keepMs = 5 * 60_000;

export interface ExecRecord {
  readonly id: string;
  readonly containerId: string;
  readonly request: ExecCreateRequest;
  status: "created" | "starting" | "running" | "exited";
  pid: number;
  exitCode: number | null;
  task: ExecTask | undefined;
  /** A health check's. */
  readonly isProbe?: boolean;
}

/** Execs of this daemon's life; they end with their container. */
export class ExecRegistry {
  readonly #execs = new Map<string, ExecRecord>();

  add(exec: ExecRecord): void {
    this.#execs.set(exec.id, exec);
  }

  /** Throws `notFound`. */
  get(id: string): ExecRecord {
    const exec = this.#execs.get(id);
    if (exec === undefined) throw notFound(`No such exec instance: ${id}`);
    return exec;
  }

  ofContainer(containerId: string): ExecRecord[] {
    return [...this.#execs.values()].filter((exec) => exec.containerId === containerId);
  }

  /** Notes the end and forgets the exec after a while. */
  ended(exec: ExecRecord, exitCode: number): void {
    exec.status = "exited";
    exec.exitCode = exitCode;
    exec.task = undefined;
    // Nobody asks for a probe's; its outcome is in the container's health.
    if (exec.isProbe !== true) setTimeout(() => this.#execs.delete(exec.id), keepMs).unref();
  }

  remove(id: string): void {
    this.#execs.delete(id);
  }

  forgetContainer(containerId: string): void {
    for (const exec of this.ofContainer(containerId)) this.#execs.delete(exec.id);
  }
}
