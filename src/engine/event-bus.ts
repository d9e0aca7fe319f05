import { log } from "../base/log.ts";
import { nowNs } from "../base/time.ts";
import type { EventMessage, Filters } from "../wire/system.ts";
import type { EventOptions } from "./engine.ts";
import type { EventJournal } from "./event-journal.ts";
import { matchLabels } from "./filters.ts";

/** How many past events `events --since` can give without a journal; the same number as Docker's. */
const historyLength = 256;

/** New events that wait for one slow client; then its stream ends. It may ask again for what came `since`. */
const mostWaiting = 16_384;

/** Filters whose value is compared with the actor's id and name when the event is of that type. */
const actorTypes = [
  "config",
  "container",
  "daemon",
  "network",
  "node",
  "plugin",
  "secret",
  "service",
  "volume",
];

/** Distributes what happens to those who listen, and keeps past events for latecomers: in the journal, else the last 256. */
export class EventBus {
  readonly #history: EventMessage[] = [];
  readonly #listeners = new Set<(event: EventMessage) => void>();
  readonly #journal: EventJournal | undefined;

  constructor(journal?: EventJournal) {
    this.#journal = journal;
  }

  /** Number of open `events` streams, for `info`. */
  get listenerCount(): number {
    return this.#listeners.size;
  }

  emit(type: string, action: string, id: string, attributes: Readonly<Record<string, string>>): void {
    const ns = nowNs();
    const event: EventMessage = {
      Type: type,
      Action: action,
      Actor: { ID: id, Attributes: { ...attributes } },
      scope: "local",
      time: Number(ns / 1_000_000_000n),
      timeNano: Number(ns),
    };
    if (this.#journal !== undefined) this.#journal.append(event);
    else this.#history.push(event);
    if (this.#history.length > historyLength) this.#history.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** See {@link import("./engine.ts").Engine.events}. The subscription stands when this returns, before the first `next()`. */
  subscribe(options: EventOptions): AsyncIterable<EventMessage> {
    const { filters, signal, untilNs } = options;
    const stream = new EventStream(this.#past(options));
    const listener = (event: EventMessage): void => {
      if (matchesEvent(event, filters) && !stream.push(event)) end();
    };
    const end = (): void => {
      this.#listeners.delete(listener);
      stream.end();
    };
    let timer: NodeJS.Timeout | undefined;
    const remainingMs = untilNs === undefined ? undefined : Number((untilNs - nowNs()) / 1_000_000n);
    if (signal.aborted || (remainingMs !== undefined && remainingMs <= 0)) stream.end();
    else {
      this.#listeners.add(listener);
      // A longer wait than setTimeout can hold (24.8 days) is no bound in practice.
      if (remainingMs !== undefined && remainingMs < 2 ** 31) timer = setTimeout(end, remainingMs);
      signal.addEventListener("abort", end, { once: true });
    }
    return (async function* () {
      try {
        yield* stream.events();
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        end();
      }
    })();
  }

  #past({ sinceNs, untilNs, filters }: EventOptions): EventMessage[] {
    if (sinceNs === undefined) return [];
    return (this.#journal?.since(sinceNs) ?? this.#history).filter(
      (event) =>
        BigInt(event.timeNano) >= sinceNs &&
        (untilNs === undefined || BigInt(event.timeNano) <= untilNs) &&
        matchesEvent(event, filters),
    );
  }
}

/** Events that one client takes at its own pace: past ones, then what is pushed until the end. */
class EventStream {
  #past: readonly EventMessage[];
  readonly #waiting: EventMessage[] = [];
  #wake = (): void => {};
  #isEnded = false;

  constructor(past: readonly EventMessage[]) {
    this.#past = past;
  }

  /** False when the client is too slow: then it gets no more. */
  push(event: EventMessage): boolean {
    this.#waiting.push(event);
    const isSlow = this.#waiting.length > mostWaiting;
    if (isSlow) {
      log.warn("a client does not read its events; its stream ends", { waiting: this.#waiting.length });
      this.#past = [];
      this.#waiting.length = 0;
    }
    this.#wake();
    return !isSlow;
  }

  /** The client still gets what waits for it. */
  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  async *events(): AsyncGenerator<EventMessage, void> {
    // They may be more than a slow client may leave waiting, and are no sign of one.
    for (let at = 0; at < this.#past.length; at++) yield this.#past[at]!;
    this.#past = [];
    for (;;) {
      while (this.#waiting.length > 0) yield this.#waiting.shift()!;
      if (this.#isEnded) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** Docker's rules: values of one key are alternatives, keys must all hold; `event` compares up to the first colon too. */
function matchesEvent(event: EventMessage, filters: Filters): boolean {
  for (const [key, values] of filters) {
    if (values.length === 0) continue;
    if (!matchesKey(event, key, values)) return false;
  }
  return true;
}

function matchesKey(event: EventMessage, key: string, values: readonly string[]): boolean {
  const { ID: id, Attributes: attributes } = event.Actor;
  if (key === "type") return values.includes(event.Type);
  if (key === "scope") return values.includes(event.scope);
  if (key === "event") return values.includes(event.Action) || values.includes(event.Action.split(":")[0]!);
  if (key === "label") return matchLabels(attributes, values);
  if (key === "image")
    return (event.Type === "image" ? [id, attributes["name"] ?? ""] : [attributes["image"] ?? ""]).some(
      (name) => values.some((value) => name === value || name.split(":")[0] === value),
    );
  // As with Docker: what it does not know keeps nothing out.
  if (!actorTypes.includes(key)) return true;
  // The container filter also lets events of networks and volumes through that name the container.
  const names = event.Type === key ? [id, attributes["name"] ?? ""] : [attributes[key] ?? ""];
  // Docker compares the start of a name alone too: `container=web` is also about `web-2`.
  return names.some((name) => name !== "" && values.some((value) => name.startsWith(value)));
}
