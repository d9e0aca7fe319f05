/** Draws what happens to a project: moving lines on a terminal, a line an event elsewhere. */
import type { ProgressEvent, Report } from "../../compose/progress.ts";

export type ProgressMode = "tty" | "plain" | "quiet";

export interface ProgressTarget {
  readonly mode: ProgressMode;
  readonly colours: boolean;
  columns(): number;
  rows(): number;
  write(text: string): void;
}

interface Row {
  event: ProgressEvent;
  readonly startedMs: number;
  endedMs: number | undefined;
}

const spinner = [
  "\u280b",
  "\u2819",
  "\u2839",
  "\u2838",
  "\u283c",
  "\u2834",
  "\u2826",
  "\u2827",
  "\u2807",
  "\u280f",
];
const redrawMs = 100;
const colour = { working: "\u001b[34m", done: "\u001b[32m", warning: "\u001b[33m", error: "\u001b[31m" };
const reset = "\u001b[0m";

/** One piece of work's progress, from its first event to {@link ProgressView.finish}. */
export class ProgressView {
  readonly #target: ProgressTarget;
  readonly #title: string;
  readonly #rows = new Map<string, Row>();
  #timer: NodeJS.Timeout | undefined;
  #drawn = 0;
  #frame = 0;

  constructor(target: ProgressTarget, title: string) {
    this.#target = target;
    this.#title = title;
  }

  readonly report: Report = (event) => {
    const { mode } = this.#target;
    if (mode === "quiet") return;
    if (mode === "plain") {
      this.#plain(event);
      return;
    }
    const key = `${event.parent ?? ""}\0${event.id}`;
    const row = this.#rows.get(key);
    const endedMs = event.kind === "working" ? undefined : Date.now();
    if (row === undefined) this.#rows.set(key, { event, startedMs: Date.now(), endedMs });
    else {
      row.event = event;
      row.endedMs = endedMs;
    }
    this.#timer ??= setInterval(() => this.#draw(), redrawMs).unref();
  };

  #plain({ id, what = "", text, detail, parent, fleeting }: ProgressEvent): void {
    if (fleeting === true) return;
    const place = parent === undefined ? id : `${parent} ${id}`;
    this.#target.write(` ${place} ${what} ${text}${detail === undefined ? "" : `  ${detail}`}\n`);
  }

  /** Shows a line that is no progress, above what is being drawn. */
  print(line: string): void {
    this.#target.write(this.above(`${line}\n`));
    if (this.#timer !== undefined) this.#draw();
  }

  /** What writes whole lines in the place of what is drawn, which is drawn again below them at its next turn. */
  above(lines: string): string {
    return this.#erasure() + lines;
  }

  /** Leaves what was drawn as it stands. */
  finish(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#draw(true);
    this.#rows.clear();
    this.#drawn = 0;
  }

  /** What takes away that which was drawn: it goes out with what comes in its place, in whole lines. */
  #erasure(): string {
    const lines = this.#drawn;
    this.#drawn = 0;
    return lines === 0 ? "" : `\u001b[${lines}A\r\u001b[J`;
  }

  #draw(isLast = false): void {
    this.#frame++;
    const rows = [...this.#rows.values()];
    const parents = rows.filter(({ event }) => event.parent === undefined);
    const ended = parents.filter(({ endedMs }) => endedMs !== undefined).length;
    const lines = [this.#paint("done", `[+] ${this.#title} ${ended}/${parents.length}`)];
    // More lines than the window has cannot be drawn again: the ones that are done give way.
    const room = isLast ? rows.length : Math.max(3, this.#target.rows() - 2);
    const visible =
      rows.length > room ? rows.filter(({ endedMs }) => endedMs === undefined).slice(0, room) : rows;
    const width = Math.max(0, ...visible.map(({ event }) => label(event).length));
    for (const row of visible) lines.push(this.#line(row, width));
    this.#target.write(this.#erasure() + lines.map((line) => `${line}\n`).join(""));
    this.#drawn = lines.length;
  }

  #line({ event, startedMs, endedMs }: Row, width: number): string {
    const mark = {
      working: spinner[this.#frame % spinner.length]!,
      done: "\u2714",
      warning: "!",
      error: "\u2718",
    };
    const seconds = `${(((endedMs ?? Date.now()) - startedMs) / 1000).toFixed(1)}s`;
    const detail = event.detail === undefined ? "" : ` ${event.detail.split("\n")[0]!}`;
    const columns = this.#target.columns();
    const left = `${label(event).padEnd(width)}  ${event.text}${detail}`;
    const cut = left.slice(0, Math.max(10, columns - seconds.length - 5));
    return ` ${this.#paint(event.kind, mark[event.kind])} ${cut.padEnd(Math.max(0, columns - seconds.length - 5))} ${seconds}`;
  }

  #paint(kind: keyof typeof colour, text: string): string {
    return this.#target.colours ? `${colour[kind]}${text}${reset}` : text;
  }
}

function label({ id, what, parent }: ProgressEvent): string {
  const text = what === undefined ? id : `${id} ${what}`;
  return parent === undefined ? text : `  ${text}`;
}
