/** What a build has told so far, as the views draw it. */
import type { BuildStatus } from "../../client/buildkit/solve.ts";

export interface StepPart {
  readonly id: string;
  readonly text: string;
  readonly current: number;
  /** 0 for unknown. */
  readonly total: number;
  readonly seconds: number | undefined;
  readonly done: boolean;
}

export interface LogLine {
  /** Since the step's start. */
  readonly seconds: number;
  readonly text: string;
}

/** One vertex. */
export interface Step {
  /** From 1, in the order in which steps started. */
  readonly number: number;
  readonly digest: string;
  readonly name: string;
  startedMs: number;
  completedMs: number | undefined;
  cached: boolean;
  error: string;
  readonly parts: Map<string, StepPart>;
  readonly log: LogLine[];
  /** The last line of the log, as long as its end has not come. */
  openLine: string;
}

export interface Warning {
  readonly short: string;
  readonly detail: readonly string[];
  readonly url: string;
  readonly line: number | undefined;
}

/** What a message changed, in its order. */
export type Change =
  | { readonly kind: "started"; readonly step: Step }
  | { readonly kind: "completed"; readonly step: Step }
  | { readonly kind: "part"; readonly step: Step; readonly part: StepPart }
  | { readonly kind: "log"; readonly step: Step; readonly line: LogLine };

/** How many lines of a step are kept for the message of a failure. */
const keptLines = 200;

const milliseconds = (time: { readonly seconds: bigint; readonly nanos: number }): number =>
  Number(time.seconds) * 1000 + time.nanos / 1e6;

export class BuildModel {
  readonly steps: Step[] = [];
  readonly warnings: Warning[] = [];
  readonly startedMs = Date.now();
  /** All that is known, also what has not started. */
  readonly #known = new Set<string>();
  readonly #byDigest = new Map<string, Step>();

  get total(): number {
    return this.#known.size;
  }

  get completed(): number {
    return this.steps.filter(({ completedMs }) => completedMs !== undefined).length;
  }

  /** The step that failed first. */
  get failed(): Step | undefined {
    return this.steps.find(({ error }) => error !== "" && !/context canceled/.test(error));
  }

  apply(status: BuildStatus): Change[] {
    const changes: Change[] = [];
    for (const vertex of status.vertexes) this.#applyVertex(vertex, changes);
    for (const part of status.statuses) this.#applyPart(part, changes);
    for (const log of status.logs) this.#applyLog(log, changes);
    for (const warning of status.warnings) {
      const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
      this.warnings.push({
        short: text(warning.short),
        detail: warning.detail.map(text),
        url: warning.url,
        line: warning.ranges[0]?.start?.line,
      });
    }
    // A step's end comes after all that it said.
    return changes.sort((a, b) => Number(a.kind === "completed") - Number(b.kind === "completed"));
  }

  #applyVertex(vertex: BuildStatus["vertexes"][number], changes: Change[]): void {
    this.#known.add(vertex.digest);
    if (vertex.started === undefined) return;
    let step = this.#byDigest.get(vertex.digest);
    if (step === undefined) {
      step = {
        number: this.steps.length + 1,
        digest: vertex.digest,
        name: vertex.name,
        startedMs: milliseconds(vertex.started),
        completedMs: undefined,
        cached: false,
        error: "",
        parts: new Map(),
        log: [],
        openLine: "",
      };
      this.steps.push(step);
      this.#byDigest.set(vertex.digest, step);
      changes.push({ kind: "started", step });
    }
    step.cached = vertex.cached;
    step.error = vertex.error;
    if (vertex.completed === undefined || step.completedMs !== undefined) return;
    step.completedMs = milliseconds(vertex.completed);
    if (step.openLine !== "") this.#endLine(step, step.completedMs, changes);
    changes.push({ kind: "completed", step });
  }

  #applyPart(status: BuildStatus["statuses"][number], changes: Change[]): void {
    const step = this.#byDigest.get(status.vertex);
    if (step === undefined) return;
    const { started, completed, timestamp } = status;
    const until = completed ?? timestamp;
    const part: StepPart = {
      id: status.ID,
      text: status.name === "" ? status.ID : status.name,
      current: status.current,
      total: status.total,
      seconds:
        started === undefined || until === undefined
          ? undefined
          : Math.max(0, milliseconds(until) - milliseconds(started)) / 1000,
      done: completed !== undefined,
    };
    step.parts.set(status.ID, part);
    const before = changes.findIndex(
      (change) => change.kind === "part" && change.step === step && change.part.id === part.id,
    );
    if (before !== -1) changes.splice(before, 1);
    changes.push({ kind: "part", step, part });
  }

  #applyLog(log: BuildStatus["logs"][number], changes: Change[]): void {
    const step = this.#byDigest.get(log.vertex);
    if (step === undefined) return;
    const timeMs = log.timestamp === undefined ? Date.now() : milliseconds(log.timestamp);
    const lines = (step.openLine + Buffer.from(log.msg).toString()).split("\n");
    step.openLine = lines.pop()!;
    for (const text of lines) {
      const rest = step.openLine;
      step.openLine = text;
      this.#endLine(step, timeMs, changes);
      step.openLine = rest;
    }
  }

  #endLine(step: Step, timeMs: number, changes: Change[]): void {
    // A line that was drawn over shows what was drawn last.
    const text = step.openLine.replace(/\r+$/, "").split("\r").at(-1)!;
    step.openLine = "";
    const line = { seconds: Math.max(0, timeMs - step.startedMs) / 1000, text };
    step.log.push(line);
    if (step.log.length > keptLines) step.log.shift();
    changes.push({ kind: "log", step, line });
  }
}

/** Bytes with decimal units, as BuildKit shows them: `3.00MB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1000) return `${bytes}B`;
  let value = bytes;
  let unit = -1;
  while (value >= 1000 && unit < 4) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(2)}${"kMGTP"[unit]!}B`;
}

/** `transferring context: 3.00MB / 5.00MB`. */
export function partText({ text, current, total }: StepPart): string {
  if (current === 0 && total === 0) return text;
  return `${text} ${sizeText(current)}${total === 0 ? "" : ` / ${sizeText(total)}`}`;
}

/** How a step ended, or undefined while it runs. */
export function outcomeText(step: Step): string | undefined {
  if (step.completedMs === undefined) return undefined;
  if (step.error !== "") return /context canceled/.test(step.error) ? "CANCELED" : `ERROR: ${step.error}`;
  if (step.cached) return "CACHED";
  return `DONE ${((step.completedMs - step.startedMs) / 1000).toFixed(1)}s`;
}
