import { setTimeout as sleep } from "node:timers/promises";
import type { AttachedStdio } from "../container/monitor.ts";
import type { WaitResponse } from "../wire/container.ts";

/** A client that attached before the container was started; it is connected on start. */
export interface PendingAttach {
  /** Connects to the monitor; called between the runtime's create and start. Resolves when output is not missed any more. */
  readonly connect: () => Promise<void>;
  /** Ends the client's stream: there will be no start for it. */
  readonly giveUp: () => void;
}

/**
 * What is known about containers only while the daemon runs: who waits, who is attached, what is being cleaned up.
 * Nothing here is needed after a restart of the daemon.
 */
export class LiveContainers {
  readonly #live = new Map<string, Live>();
  /** Starts a container whose restart policy is due; set when the engine is put together. */
  restart: (id: string) => Promise<void> = () => Promise.resolve();

  /** The entry of a container, made when missing. */
  of(id: string): Live {
    let live = this.#live.get(id);
    if (live === undefined) this.#live.set(id, (live = new Live()));
    return live;
  }

  /** The entry if there is one. */
  find(id: string): Live | undefined {
    return this.#live.get(id);
  }

  forget(id: string): void {
    this.#live.delete(id);
  }
}

const longestReadMs = 10_000;

type Waiter = (answer: WaitResponse) => void;

class Live {
  readonly pending = new Set<PendingAttach>();
  /** Connections of clients that only watched and have left, for the next ones. */
  readonly parked: AttachedStdio[] = [];
  readonly #exitWaiters = new Set<Waiter>();
  readonly #removalWaiters = new Set<Waiter>();
  /** Cleaning after the last task (unmount, runtime delete); a new start waits for it. */
  cleanup: Promise<void> = Promise.resolve();
  /** Resolves when the exit of the running task has been recorded. */
  exited: PromiseWithResolvers<void> | undefined;
  /**
   * When this daemon began to watch the task, by the clock that nobody sets (`performance.now`): how long it ran must not
   * depend on when somebody put the machine's clock right.
   */
  watchedSinceMs = 0;
  /** Set while a policy restart is due. */
  restartTimer: NodeJS.Timeout | undefined;
  /** Settles when the signals that were sent have been told: an exit that one of them caused is told after it. */
  signalsTold: Promise<void> = Promise.resolve();
  /** Somebody is removing it. */
  isRemoving = false;
  /** Ends the health checks; undefined while there are none. */
  healthChecks: AbortController | undefined;
  /** Delay of the next policy restart in ms; 0 before the first. */
  restartDelayMs = 0;
  #stops = 0;
  /** Attached clients, each until it has read the last byte of output. */
  readonly sessions = new Set<Promise<void>>();

  /**
   * Resolves when attached clients have read what there is for them, at the latest after some seconds: Docker's command
   * line 28.0 stops reading as soon as its wait for the container is answered.
   */
  async outputTaken(): Promise<void> {
    if (this.sessions.size === 0) return;
    await Promise.race([Promise.allSettled(this.sessions), sleep(longestReadMs, undefined, { ref: false })]);
  }

  /** A stop, restart or removal that somebody asked for is under way: neither policy nor `--rm` acts on the exit. */
  get stopping(): boolean {
    return this.#stops > 0;
  }

  /** Counts as {@link stopping} until the result is disposed; several may overlap. */
  beginStop(): Disposable {
    this.#stops++;
    return { [Symbol.dispose]: () => void this.#stops-- };
  }

  onExit(waiter: Waiter): () => void {
    this.#exitWaiters.add(waiter);
    return () => this.#exitWaiters.delete(waiter);
  }

  onRemoval(waiter: Waiter): () => void {
    this.#removalWaiters.add(waiter);
    return () => this.#removalWaiters.delete(waiter);
  }

  notifyExit(answer: WaitResponse): void {
    for (const waiter of this.#exitWaiters) waiter(answer);
    this.#exitWaiters.clear();
  }

  /** Removal wakes those who wait for an exit, too: there will be none. */
  notifyRemoval(answer: WaitResponse): void {
    this.notifyExit(answer);
    for (const waiter of this.#removalWaiters) waiter(answer);
    this.#removalWaiters.clear();
  }
}
