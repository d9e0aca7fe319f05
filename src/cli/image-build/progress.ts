/** Which view of a build's progress is shown, and what is said at its end. */
import { isatty } from "node:tty";
import type { BuildStatus, ErrorSource } from "../../client/buildkit/solve.ts";
import type { CommandContext } from "../command.ts";
import { BuildModel, type Step } from "./model.ts";
import { PlainView } from "./plain-view.ts";
import { TerminalView } from "./terminal-view.ts";

export const progressModes = ["auto", "plain", "tty", "rawjson", "quiet"] as const;
export type ProgressMode = (typeof progressModes)[number];

/** Lines of the failed step that are shown again. */
const shownLines = 20;
const defaultScreen = { columns: 80, rows: 24 };

export interface ProgressView extends Disposable {
  readonly model: BuildModel;
  readonly show: (status: BuildStatus) => void;
}

/** Progress goes to standard error; standard output is the result's. */
export function openProgress(context: CommandContext, mode: ProgressMode): ProgressView {
  const model = new BuildModel();
  const isTerminal = isatty(2);
  const write = (text: string): void => void context.stderr.write(text);
  const chosen = mode === "auto" ? (isTerminal ? "tty" : "plain") : mode;
  if (chosen === "tty") {
    const view = new TerminalView(model, {
      write,
      colours: isTerminal && context.env["NO_COLOR"] === undefined,
      screen: () => {
        const { columns, rows } = context.stderr;
        return columns > 0 && rows > 0 ? { columns, rows } : defaultScreen;
      },
    });
    return {
      model,
      show: (status) => void model.apply(status),
      [Symbol.dispose]: () => view[Symbol.dispose](),
    };
  }
  if (chosen === "plain") {
    const view = new PlainView(write);
    return {
      model,
      show: (status) => view.show(model.apply(status)),
      [Symbol.dispose]: () => view[Symbol.dispose](),
    };
  }
  return {
    model,
    show: (status) => {
      model.apply(status);
      if (chosen === "rawjson") write(`${JSON.stringify(rawStatus(status))}\n`);
    },
    [Symbol.dispose]: () => {},
  };
}

/** As BuildKit's clients write it (client.SolveStatus). */
function rawStatus(status: BuildStatus): unknown {
  const time = (
    value: { readonly seconds: bigint; readonly nanos: number } | undefined,
  ): string | undefined =>
    value === undefined
      ? undefined
      : new Date(Number(value.seconds) * 1000)
          .toISOString()
          .replace(/\.\d+Z$/, `.${String(value.nanos).padStart(9, "0")}Z`);
  const list = <T>(values: readonly T[]): readonly T[] | undefined =>
    values.length === 0 ? undefined : values;
  return {
    vertexes: list(
      status.vertexes.map(({ digest, inputs, name, cached, started, completed, error }) => ({
        digest,
        inputs: list(inputs),
        name,
        started: time(started),
        completed: time(completed),
        cached: cached || undefined,
        error: error || undefined,
      })),
    ),
    statuses: list(
      status.statuses.map(({ ID, vertex, name, current, total, timestamp, started, completed }) => ({
        id: ID,
        vertex,
        name: name || undefined,
        total: total || undefined,
        current,
        timestamp: time(timestamp),
        started: time(started),
        completed: time(completed),
      })),
    ),
    logs: list(
      status.logs.map(({ vertex, stream, msg, timestamp }) => ({
        vertex,
        stream,
        data: Buffer.from(msg).toString("base64"),
        timestamp: time(timestamp),
      })),
    ),
    warnings: list(
      status.warnings.map(({ vertex, level, short, detail, url }) => ({
        vertex,
        level,
        short: Buffer.from(short).toString("base64"),
        detail: detail.map((line) => Buffer.from(line).toString("base64")),
        url,
      })),
    ),
  };
}

/** What the checks found, after a build that came to its end. */
export function warningsText(model: BuildModel): string {
  const { warnings } = model;
  if (warnings.length === 0) return "";
  const lines = warnings.map(({ short, line }) =>
    line === undefined || short.includes("(line ") ? ` - ${short}` : ` - ${short} (line ${line})`,
  );
  return `\n ${warnings.length} warning${warnings.length === 1 ? "" : "s"} found:\n${lines.join("\n")}\n`;
}

/** The failed step's last words and the lines of the Dockerfile that they belong to. */
export function failureText(model: BuildModel, sources: readonly ErrorSource[]): string {
  const step = model.failed;
  return (step === undefined ? "" : lastWords(step)) + sources.map(excerptText).join("");
}

function lastWords({ name, log }: Step): string {
  const lines = log.slice(-shownLines).map(({ seconds, text }) => `${seconds.toFixed(3)} ${text}\n`);
  return `------\n > ${name}:\n${lines.join("")}------\n`;
}

function excerptText({ filename, text, ranges }: ErrorSource): string {
  if (ranges.length === 0) return "";
  const lines = text.split("\n");
  const first = Math.min(...ranges.map(({ start }) => start.line));
  const last = Math.min(
    Math.max(...ranges.map(({ start, end }) => Math.max(start.line, end.line))),
    lines.length,
  );
  if (first < 1 || first > lines.length) return "";
  const around = first === last ? 2 : 1;
  const ruler = "-".repeat(20);
  const shown = [];
  for (let line = Math.max(first - around, 1); line <= Math.min(last + around, lines.length); line++) {
    const isMeant = ranges.some(
      ({ start, end }) => start.line <= line && line <= Math.max(start.line, end.line),
    );
    shown.push(
      `${String(line).padStart(4)} | ${isMeant ? ">>>" : "   "} ${lines[line - 1]!.replace(/\r$/, "")}`,
    );
  }
  return `${[`${filename}:${first}`, ruler, ...shown, ruler].join("\n")}\n`;
}
