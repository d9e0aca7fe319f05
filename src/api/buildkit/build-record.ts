/** What is known of the builds that clients asked for: their events while they run, and that they were. */
import type { BuildEvent } from "../../build/build.ts";
import { shownAttributes } from "../../build/shown-attributes.ts";
import { timestampOf } from "../../wire/buildkit/common.ts";
import type { historyRecord, statusResponse } from "../../wire/buildkit/control.ts";
import type { Encodable } from "../../wire/protobuf.ts";
import { clippedWords, LogClip } from "../log-clip.ts";

type StatusMessage = Encodable<typeof statusResponse>;

/** A Status call may come before its Solve. */
const arrivalTimeoutMs = 15_000;
/** How long events are kept for a client that asks late. */
const keepEventsMs = 30_000;
const maxRecords = 100;

/** One build. */
export class BuildRecord {
  readonly ref: string;
  readonly frontendAttributes: ReadonlyMap<string, string>;
  readonly exporters: readonly { readonly Type: string; readonly Attrs: ReadonlyMap<string, string> }[];
  readonly createdNs: bigint;
  completedNs: bigint | undefined;
  error: { readonly code: number; readonly message: string } | undefined;
  response: ReadonlyMap<string, string> = new Map();
  pinned = false;
  generation = 1;
  readonly #events: BuildEvent[] = [];
  readonly #readers = new Set<() => void>();
  readonly #vertexes = new Map<string, { cached: boolean; completed: boolean }>();
  readonly #clip = new LogClip();
  #warnings = 0;

  constructor(about: Pick<BuildRecord, "ref" | "frontendAttributes" | "exporters">) {
    this.ref = about.ref;
    this.frontendAttributes = shownAttributes(about.frontendAttributes);
    this.exporters = about.exporters;
    this.createdNs = nowNs();
  }

  get isComplete(): boolean {
    return this.completedNs !== undefined;
  }

  add(event: BuildEvent): void {
    if (event.kind === "vertex")
      this.#vertexes.set(event.digest, { cached: event.cached, completed: event.completedNs !== undefined });
    if (event.kind === "warning") this.#warnings++;
    const kept = this.#clipped(event);
    if (kept === undefined) return;
    this.#events.push(kept);
    for (const wake of this.#readers) wake();
  }

  /** The event as it is kept; undefined when its step has said too much. */
  #clipped(event: BuildEvent): BuildEvent | undefined {
    if (event.kind !== "log") return event;
    const how = this.#clip.take(event.vertex, event.data.length);
    if (how === "drop") return undefined;
    return how === "keep" ? event : { ...event, data: Buffer.from(clippedWords) };
  }

  complete(outcome: {
    readonly response?: ReadonlyMap<string, string>;
    readonly error?: { readonly code: number; readonly message: string };
  }): void {
    if (this.isComplete) return;
    this.completedNs = nowNs();
    this.response = outcome.response ?? new Map();
    this.error = outcome.error;
    for (const wake of this.#readers) wake();
    setTimeout(() => (this.#events.length = 0), keepEventsMs).unref();
  }

  /** All events from the beginning until the build is complete, those that come together in one message. */
  async *messages(signal: AbortSignal): AsyncGenerator<StatusMessage> {
    let at = 0;
    while (!signal.aborted) {
      if (at < this.#events.length) {
        const events = this.#events.slice(at);
        at = this.#events.length;
        yield statusMessage(events);
        continue;
      }
      if (this.isComplete) return;
      await this.#changed(signal);
    }
  }

  /** Resolves when there is something new. */
  async #changed(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    this.#readers.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    await promise;
    signal.removeEventListener("abort", wake);
    this.#readers.delete(wake);
  }

  async completed(signal: AbortSignal): Promise<void> {
    while (!this.isComplete && !signal.aborted) await this.#changed(signal);
  }

  history(): Encodable<typeof historyRecord> {
    const vertexes = [...this.#vertexes.values()];
    return {
      Ref: this.ref,
      Frontend: "dockerfile.v0",
      FrontendAttrs: this.frontendAttributes,
      Exporters: this.exporters,
      CreatedAt: timestampOf(this.createdNs),
      ...(this.completedNs === undefined ? {} : { CompletedAt: timestampOf(this.completedNs) }),
      ...(this.error === undefined ? {} : { error: this.error }),
      ExporterResponse: this.response,
      Generation: this.generation,
      pinned: this.pinned,
      numTotalSteps: vertexes.length,
      numCachedSteps: vertexes.filter(({ cached }) => cached).length,
      numCompletedSteps: vertexes.filter(({ completed }) => completed).length,
      numWarnings: this.#warnings,
    };
  }
}

const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;

/** Events as a message of a Status stream. */
export function statusMessage(events: readonly BuildEvent[]): StatusMessage {
  const vertexes: NonNullable<StatusMessage["vertexes"]> & unknown[] = [];
  const statuses: NonNullable<StatusMessage["statuses"]> & unknown[] = [];
  const logs: NonNullable<StatusMessage["logs"]> & unknown[] = [];
  const warnings: NonNullable<StatusMessage["warnings"]> & unknown[] = [];
  const time = (ns: bigint | undefined): ReturnType<typeof timestampOf> | undefined =>
    ns === undefined ? undefined : timestampOf(ns);
  for (const event of events)
    if (event.kind === "vertex")
      vertexes.push({
        digest: event.digest,
        inputs: event.inputs,
        name: event.name,
        cached: event.cached,
        started: time(event.startedNs),
        completed: time(event.completedNs),
        error: event.error ?? "",
      });
    else if (event.kind === "status")
      statuses.push({
        ID: event.id,
        vertex: event.vertex,
        name: event.name ?? "",
        current: event.current,
        total: event.total,
        timestamp: time(event.timeNs),
        started: time(event.startedNs),
        completed: time(event.completedNs),
      });
    else if (event.kind === "log")
      logs.push({
        vertex: event.vertex,
        timestamp: time(event.timeNs),
        stream: event.stream === "stdout" ? 1 : 2,
        msg: event.data,
      });
    else if (event.kind === "warning")
      warnings.push({
        vertex: event.vertex,
        level: event.level,
        short: Buffer.from(event.short),
        detail: event.detail.map((line) => Buffer.from(line)),
        url: event.url,
        ...(event.source === undefined
          ? {}
          : {
              info: {
                filename: event.source.name,
                data: Buffer.from(event.source.text),
                language: "Dockerfile",
              },
            }),
        ranges: event.ranges,
      });
  return { vertexes, statuses, logs, warnings };
}

/** The latest builds. */
export class BuildRecords {
  readonly #records = new Map<string, BuildRecord>();
  readonly #listeners = new Set<(record: BuildRecord, change: "started" | "complete" | "deleted") => void>();

  add(record: BuildRecord): void {
    this.#records.set(record.ref, record);
    for (const old of this.#records.values()) {
      if (this.#records.size <= maxRecords) break;
      if (old.isComplete && !old.pinned) this.#records.delete(old.ref);
    }
    this.tell(record, "started");
  }

  tell(record: BuildRecord, change: "started" | "complete" | "deleted"): void {
    for (const listener of this.#listeners) listener(record, change);
  }

  find(ref: string): BuildRecord | undefined {
    return this.#records.get(ref);
  }

  get all(): Iterable<BuildRecord> {
    return this.#records.values();
  }

  remove(record: BuildRecord): void {
    this.#records.delete(record.ref);
    this.tell(record, "deleted");
  }

  /** Calls `listener` until the returned function is called. */
  listen(listener: (record: BuildRecord, change: "started" | "complete" | "deleted") => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The build of that id, also when it comes a little later; undefined when it does not. */
  async arrival(ref: string, signal: AbortSignal): Promise<BuildRecord | undefined> {
    const present = this.#records.get(ref);
    if (present !== undefined) return present;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, arrivalTimeoutMs);
    const stop = this.listen((record) => {
      if (record.ref === ref) resolve();
    });
    const gone = (): void => resolve();
    signal.addEventListener("abort", gone, { once: true });
    await promise;
    clearTimeout(timer);
    stop();
    signal.removeEventListener("abort", gone);
    return this.#records.get(ref);
  }
}
