import { errorText } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { log } from "../base/log.ts";
import { discardExec, type LaunchedExec, type ProcessSource } from "./exec-launch.ts";
import type { ExecLaunchRequest } from "./monitor.ts";
import { ProcessPipe } from "./process-pipe.ts";

/** A monitor and a runtime that wait for the process they are to run. */
export interface ExecAhead extends LaunchedExec {
  readonly process: ProcessPipe;
}

interface Waiting extends ExecAhead {
  readonly request: ExecLaunchRequest;
  /** The exec that it is for; a spare one is for none yet. */
  execId: string | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** How long a monitor waits for the start of its exec; clients start what they made within a millisecond or two. */
const preparedMs = 2_000;
/** Who executed something in a container is likely to do so again: a script, a test. */
const spareMs = 5_000;
/** The client of the exec that has just ended still asks for its exit code; the next one has to be started first. */
const spareDelayMs = 5;
const mostWaiting = 8;

/**
 * Monitors, each with its runtime, that are started ahead of their exec's start, so that their own start-up is over by
 * then: when an exec is made, and a spare one when an exec has ended. The runtime waits outside the container for the
 * process to run. That one is handed over only with the start, so that nothing runs if this daemon ends in between.
 */
export class ExecsAhead {
  readonly #launch: (request: ExecLaunchRequest, source: ProcessSource) => LaunchedExec;
  readonly #waiting = new Set<Waiting>();

  constructor(launch: (request: ExecLaunchRequest, source: ProcessSource) => LaunchedExec) {
    this.#launch = launch;
  }

  /** Starts what the exec `request` will need, unless a spare can serve it. Never throws. */
  prepare(request: ExecLaunchRequest): void {
    const waiting = this.#spareFor(request) ?? this.#add(request);
    if (waiting === undefined) return;
    waiting.execId = request.execId;
    this.#giveUpAfter(waiting, preparedMs);
  }

  /** An exec like `request` has ended: keeps one ready for the next, for a while. */
  keepSpare(request: ExecLaunchRequest): void {
    setTimeout(() => {
      if (this.#spareFor(request) !== undefined) return;
      // One a container: what was executed last is the best guess.
      for (const spare of this.#sparesIn(request.containerId)) this.#giveUp(spare);
      const spare = this.#add(request);
      if (spare !== undefined) this.#giveUpAfter(spare, spareMs);
    }, spareDelayMs).unref();
  }

  /** What waits for the exec `request` and can run the process `text`; it is the caller's from now on. */
  take(request: ExecLaunchRequest, text: string): ExecAhead | undefined {
    const waiting = this.#waiting.values().find(({ execId }) => execId === request.execId);
    if (waiting === undefined) return undefined;
    if (!isAlike(waiting.request, request) || !ProcessPipe.fits(text)) {
      this.#giveUp(waiting);
      return undefined;
    }
    this.#forget(waiting);
    return waiting;
  }

  /** Ends what waits for execs in a container that has ended. */
  giveUpContainer(containerId: string): void {
    for (const waiting of this.#waiting)
      if (waiting.request.containerId === containerId) this.#giveUp(waiting);
  }

  #sparesIn(containerId: string): Waiting[] {
    return [...this.#waiting].filter(
      ({ execId, request }) => execId === undefined && request.containerId === containerId,
    );
  }

  #spareFor(request: ExecLaunchRequest): Waiting | undefined {
    return this.#sparesIn(request.containerId).find((spare) => isAlike(spare.request, request));
  }

  #add(request: ExecLaunchRequest): Waiting | undefined {
    // With a terminal conmon makes a socket first, which it would leave when it is given up.
    if (request.detached || request.terminal || this.#waiting.size >= mostWaiting) return undefined;
    const process = new ProcessPipe();
    try {
      // Its own name: whoever starts the exec without it makes a directory of the exec's.
      const launched = this.#launch({ ...request, execId: newId() }, { path: process.path });
      const { conmon } = launched;
      const waiting = { ...launched, process, request, execId: undefined, timer: undefined };
      this.#waiting.add(waiting);
      // Not sooner: conmon would take both its permissions at once, and wait for one more.
      void conmon.attachable().then(() => conmon.proceed());
      // Without its container a runtime does not wait.
      void conmon.child.exited.then(() => this.#giveUp(waiting));
      return waiting;
    } catch (error) {
      process[Symbol.dispose]();
      // The start will fail in the same way, and say so to somebody.
      log.debug("no monitor ahead of an exec's start", { error: errorText(error) });
      return undefined;
    }
  }

  #giveUpAfter(waiting: Waiting, delayMs: number): void {
    clearTimeout(waiting.timer);
    waiting.timer = setTimeout(() => this.#giveUp(waiting), delayMs).unref();
  }

  #giveUp(waiting: Waiting): void {
    if (!this.#forget(waiting)) return;
    waiting.process[Symbol.dispose]();
    void discardExec(waiting);
  }

  #forget(waiting: Waiting): boolean {
    clearTimeout(waiting.timer);
    return this.#waiting.delete(waiting);
  }
}

/** Whether a monitor that was started for one serves the other. */
function isAlike(one: ExecLaunchRequest, other: ExecLaunchRequest): boolean {
  return (
    one.containerId === other.containerId &&
    one.detached === other.detached &&
    one.terminal === other.terminal &&
    one.openStdin === other.openStdin
  );
}
