/** The progress of a build on a terminal: a list of steps that is drawn over again and again, in BuildKit's manner. */
import { styleText } from "node:util";
import { type BuildModel, type Step, partText } from "./model.ts";

const drawEveryMs = 100;
/** Lines of output that a running step shows. */
const logLines = 6;

interface Screen {
  readonly columns: number;
  readonly rows: number;
}

export class TerminalView implements Disposable {
  readonly #model: BuildModel;
  readonly #write: (text: string) => void;
  readonly #screen: () => Screen;
  readonly #colours: boolean;
  readonly #timer: NodeJS.Timeout;
  #drawnLines = 0;

  constructor(
    model: BuildModel,
    options: { write: (text: string) => void; screen: () => Screen; colours: boolean },
  ) {
    this.#model = model;
    this.#write = options.write;
    this.#screen = options.screen;
    this.#colours = options.colours;
    this.#timer = setInterval(() => this.#draw(false), drawEveryMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#draw(true);
  }

  #draw(isLast: boolean): void {
    const { columns, rows } = this.#screen();
    const lines = drawBuild(this.#model, { columns, rows, isLast, nowMs: Date.now() });
    const up = this.#drawnLines > 0 ? `\u001b[${this.#drawnLines}A` : "";
    const text = lines.map(({ text, tone }) => `${this.#tone(text, tone)}\u001b[K\n`).join("");
    // Cursor away while drawing; what was below is wiped.
    this.#write(`\u001b[?25l${up}\r${text}\u001b[J\u001b[?25h`);
    this.#drawnLines = lines.length;
  }

  #tone(text: string, tone: Line["tone"]): string {
    if (!this.#colours || tone === undefined) return text;
    return styleText(tone, text, { validateStream: false });
  }
}

export interface Line {
  readonly text: string;
  readonly tone?: "blue" | "red" | "yellow" | "dim";
}

/** All lines of one drawing; no more than fit, unless it is the last. */
export function drawBuild(
  model: BuildModel,
  view: Screen & { readonly isLast: boolean; readonly nowMs: number },
): Line[] {
  const { columns, rows, isLast, nowMs } = view;
  const seconds = ((nowMs - model.startedMs) / 1000).toFixed(1);
  const head = `[+] Building ${seconds}s (${model.completed}/${model.total})${isLast && model.failed === undefined ? " FINISHED" : ""}`;
  const body: { readonly lines: Line[]; readonly running: boolean }[] = model.steps.map((step) => ({
    lines: stepLines(step, { columns, nowMs, isLast }),
    running: step.completedMs === undefined,
  }));
  if (!isLast) {
    // What is done goes first when there is no room.
    let excess = body.reduce((sum, { lines }) => sum + lines.length, 2) - rows;
    for (let at = 0; at < body.length && excess > 0;) {
      if (body[at]!.running) at++;
      else excess -= body.splice(at, 1)[0]!.lines.length;
    }
  }
  const lines = [{ text: head }, ...body.flatMap(({ lines }) => lines)];
  return isLast ? lines : lines.slice(0, Math.max(rows - 1, 1));
}

function stepLines(step: Step, view: { columns: number; nowMs: number; isLast: boolean }): Line[] {
  const isDone = step.completedMs !== undefined;
  const state =
    step.error === "" ? (step.cached ? "CACHED " : "") : /canceled/.test(step.error) ? "CANCELED " : "ERROR ";
  const tone = step.error === "" ? (isDone ? "blue" : undefined) : state === "ERROR " ? "red" : "yellow";
  const seconds = ((step.completedMs ?? view.nowMs) - step.startedMs) / 1000;
  const lines: Line[] = [
    { text: row(` => ${state}${step.name}`, seconds, view.columns), ...(tone === undefined ? {} : { tone }) },
  ];
  for (const part of step.parts.values())
    if (!isDone || part.current > 0)
      lines.push({
        text: row(` => => ${partText(part)}`, part.seconds, view.columns),
        ...(part.done ? { tone: "blue" as const } : {}),
      });
  if (!isDone && !view.isLast)
    for (const { text } of step.log.slice(-logLines))
      lines.push({ text: cut(` => => # ${clean(text)}`, view.columns), tone: "dim" });
  return lines;
}

/** What moves the cursor has no place in a drawing. */
function clean(text: string): string {
  // oxlint-disable-next-line no-control-regex -- those are what is taken out
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replace(/[\u0000-\u001f\u007f]/g, " ");
}

function cut(text: string, columns: number): string {
  return text.length <= columns ? text : text.slice(0, Math.max(columns, 0));
}

/** Text at the left, time at the right. */
function row(text: string, seconds: number | undefined, columns: number): string {
  const time = seconds === undefined ? "" : `${seconds.toFixed(1)}s`;
  const room = columns - time.length - 1;
  return `${cut(clean(text), room).padEnd(room)} ${time}`;
}
