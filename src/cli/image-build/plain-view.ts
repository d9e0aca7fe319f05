/** The progress of a build line by line, in the manner of BuildKit's `--progress=plain`. */
import { type Change, type Step, type StepPart, outcomeText, partText } from "./model.ts";

/** A silent step gives way to one that has something to say after this time. */
const patienceMs = 1_000;

/** Lines of one step stay together as far as steps that run at once allow it. */
export class PlainView implements Disposable {
  readonly #write: (text: string) => void;
  readonly #waiting = new Map<Step, string[]>();
  readonly #saidParts = new Map<string, string>();
  readonly #named = new Set<Step>();
  /** Their outcome has been said, or waits to be. */
  readonly #finished = new Set<Step>();
  readonly #timer: NodeJS.Timeout;
  #current: Step | undefined;
  #lastLineMs = 0;

  constructor(write: (text: string) => void) {
    this.#write = write;
    this.#timer = setInterval(() => this.#giveWay(), patienceMs / 4);
    this.#timer.unref();
  }

  show(changes: readonly Change[]): void {
    for (const change of changes) {
      const { step } = change;
      if (change.kind === "started") this.#say(step, []);
      else if (change.kind === "log")
        this.#say(step, [`${change.line.seconds.toFixed(3)} ${change.line.text}`]);
      else if (change.kind === "part") this.#sayPart(step, change.part);
      else {
        this.#finished.add(step);
        this.#say(step, [outcomeText(step)!]);
        if (this.#current === step) this.#next();
      }
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    while (this.#waiting.size > 0) this.#next();
  }

  #sayPart(step: Step, part: StepPart): void {
    const time = part.seconds === undefined || part.seconds < 0.05 ? "" : ` ${part.seconds.toFixed(1)}s`;
    // What grows is said when it is done, and at whole tenths of what is known to come.
    const tenth = part.total === 0 ? 0 : Math.floor((part.current / part.total) * 10);
    const state = part.done ? "done" : String(tenth);
    const key = `${step.digest} ${part.id}`;
    if (this.#saidParts.get(key) === state) return;
    this.#saidParts.set(key, state);
    this.#say(step, [`${partText(part)}${time}${part.done ? " done" : ""}`]);
  }

  #say(step: Step, lines: readonly string[]): void {
    if (this.#current === undefined) this.#take(step);
    if (this.#current !== step) {
      const waiting = this.#waiting.get(step) ?? [];
      waiting.push(...lines);
      this.#waiting.set(step, waiting);
      return;
    }
    this.#print(step, lines);
  }

  #print(step: Step, lines: readonly string[]): void {
    if (lines.length === 0) return;
    this.#write(lines.map((line) => `#${step.number} ${line}\n`).join(""));
    this.#lastLineMs = Date.now();
  }

  /** Gives a step the floor, with what it had to say meanwhile. */
  #take(step: Step): void {
    this.#current = step;
    this.#write(`${this.#named.size === 0 ? "" : "\n"}#${step.number} ${step.name}\n`);
    this.#named.add(step);
    this.#lastLineMs = Date.now();
    const lines = this.#waiting.get(step) ?? [];
    this.#waiting.delete(step);
    this.#print(step, lines);
  }

  #next(): void {
    this.#current = undefined;
    const [next] = this.#waiting.keys();
    if (next === undefined) return;
    this.#take(next);
    if (this.#finished.has(next)) this.#next();
  }

  #giveWay(): void {
    const current = this.#current;
    if (current === undefined || Date.now() - this.#lastLineMs < patienceMs) return;
    if (![...this.#waiting.values()].some((lines) => lines.length > 0)) return;
    this.#write(`#${current.number} ...\n`);
    this.#waiting.set(current, []);
    this.#next();
  }
}
