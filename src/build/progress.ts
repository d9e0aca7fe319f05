/** What a build tells while it runs: vertices with a beginning, an end, and their own log. */
import { errorText } from "../base/errors.ts";
import { digestOf } from "../oci/digest.ts";
import type { BuildEvent, SourceFile, SourceRange } from "./build.ts";

/** Now, in ns since the epoch. */
export const nowNs = (): bigint => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));

/** A time as Go writes it: RFC 3339, without zeros at the end of the fraction. */
export const goTime = (date: Date): string => date.toISOString().replace(/\.?0*Z$/, "Z");

/** What clients tell a vertex that was ended from one that failed by (Go's `context.Canceled`). */
const canceled = "context canceled";

export class Progress {
  readonly #emit: (event: BuildEvent) => void;
  readonly #signal: AbortSignal | undefined;

  /** Once `signal` is aborted, whatever ends without success was ended by that. */
  constructor(emit: (event: BuildEvent) => void, signal?: AbortSignal) {
    this.#emit = emit;
    this.#signal = signal;
  }

  emit(event: BuildEvent): void {
    this.#emit(event);
  }

  /** A vertex by its identity: the same in each build of the same things. */
  vertex(identity: string, name: string, inputs: readonly string[] = []): VertexProgress {
    return new VertexProgress(this.#emit, { digest: digestOf(identity), name, inputs }, this.#signal);
  }
}

export class VertexProgress {
  readonly digest: string;
  readonly name: string;
  readonly #inputs: readonly string[];
  readonly #emit: (event: BuildEvent) => void;
  readonly #signal: AbortSignal | undefined;
  #startedNs: bigint | undefined;
  readonly #statusStarts = new Map<string, bigint>();

  constructor(
    emit: (event: BuildEvent) => void,
    vertex: { readonly digest: string; readonly name: string; readonly inputs: readonly string[] },
    signal?: AbortSignal,
  ) {
    this.#signal = signal;
    this.#emit = emit;
    this.digest = vertex.digest;
    this.name = vertex.name;
    this.#inputs = vertex.inputs;
  }

  #tell(more: { cached?: boolean; completedNs?: bigint; error?: string }): void {
    this.#emit({
      kind: "vertex",
      digest: this.digest,
      inputs: this.#inputs,
      name: this.name,
      cached: more.cached === true,
      ...(this.#startedNs === undefined ? {} : { startedNs: this.#startedNs }),
      ...(more.completedNs === undefined ? {} : { completedNs: more.completedNs }),
      ...(more.error === undefined ? {} : { error: more.error }),
    });
  }

  /** Known, but not begun. */
  announce(): void {
    this.#tell({});
  }

  start(): void {
    if (this.#startedNs !== undefined) return;
    this.#startedNs = nowNs();
    this.#tell({});
  }

  done(): void {
    this.start();
    this.#tell({ completedNs: nowNs() });
  }

  /** Nothing had to be done. */
  cached(): void {
    this.#startedNs ??= nowNs();
    this.#tell({ cached: true, completedNs: nowNs() });
  }

  fail(error: unknown): void {
    this.start();
    const isCanceled = this.#signal?.aborted === true;
    this.#tell({ completedNs: nowNs(), error: isCanceled ? canceled : errorText(error) });
  }

  /** Runs `work` between start and end. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.start();
    try {
      const result = await work();
      this.done();
      return result;
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  log(stream: "stdout" | "stderr", data: Uint8Array): void {
    this.#emit({ kind: "log", vertex: this.digest, stream, data, timeNs: nowNs() });
  }

  status(id: string, progress: { current: number; total?: number; done?: boolean; name?: string }): void {
    const timeNs = nowNs();
    // Clients show only what has begun.
    const startedNs = this.#statusStarts.get(id) ?? timeNs;
    this.#statusStarts.set(id, startedNs);
    this.#emit({
      kind: "status",
      vertex: this.digest,
      id,
      ...(progress.name === undefined ? {} : { name: progress.name }),
      current: progress.current,
      total: progress.total ?? 0,
      timeNs,
      startedNs,
      ...(progress.done === true ? { completedNs: timeNs } : {}),
    });
  }

  /** A part of the vertex that is a status line of its own. */
  async part<T>(id: string, work: () => Promise<T> | T): Promise<T> {
    this.status(id, { current: 0 });
    const result = await work();
    this.status(id, { current: 0, done: true });
    return result;
  }

  warn(warning: {
    readonly short: string;
    readonly detail: readonly string[];
    readonly url: string;
    readonly source?: SourceFile;
    readonly ranges: readonly SourceRange[];
  }): void {
    this.#emit({ kind: "warning", vertex: this.digest, level: 1, ...warning });
  }
}
