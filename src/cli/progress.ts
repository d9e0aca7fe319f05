import type { ProgressMessage } from "../wire/image.ts";
import { humanSize } from "./output/humanize.ts";

/** Where progress is drawn. */
export interface ProgressOutput {
  /** Lines may be drawn again; otherwise each message is a line of text. */
  readonly isTerminal: boolean;
  /** Width of the window; 0 when unknown. */
  readonly columns: number;
  write(text: string): void;
}

/** One line of a window that is drawn again and again. */
interface Row {
  readonly id: string;
  text: string;
}

const clearLine = "\u001b[2K\r";
const barWidth = 50;

/**
 * Draws the messages of a progress stream: a line an id, with a bar where amounts are known. Off a terminal amounts are
 * left out, as nobody wants a file full of them.
 */
export class ProgressRenderer {
  readonly #output: ProgressOutput;
  readonly #rows: Row[] = [];

  constructor(output: ProgressOutput) {
    this.#output = output;
  }

  /** Draws one message. */
  show(message: ProgressMessage): void {
    if (message.stream !== undefined) {
      this.#print(message.stream);
      return;
    }
    if (message.status === undefined) return;
    const { isTerminal } = this.#output;
    const amount = isTerminal ? progressBar(message, this.#output.columns) : "";
    if (!isTerminal && (message.progressDetail?.current ?? 0) > 0) return;
    const text = `${message.status}${amount === "" ? "" : ` ${amount}`}`;
    if (message.id === undefined || message.id === "") this.#print(`${text}\n`);
    else if (!isTerminal || message.progressDetail === undefined) this.#print(`${message.id}: ${text}\n`);
    else this.#draw(message.id, `${message.id}: ${text}`);
  }

  /** Text below everything that was drawn; rows above it stay as they are. */
  #print(text: string): void {
    this.#rows.length = 0;
    this.#output.write(text);
  }

  #draw(id: string, text: string): void {
    const line = this.#output.columns > 0 ? text.slice(0, this.#output.columns) : text;
    const index = this.#rows.findIndex((row) => row.id === id);
    if (index < 0) {
      this.#rows.push({ id, text: line });
      this.#output.write(`${line}\n`);
      return;
    }
    const row = this.#rows[index]!;
    if (row.text === line) return;
    row.text = line;
    const up = this.#rows.length - index;
    const down = up > 1 ? `\u001b[${up - 1}B` : "";
    this.#output.write(`\u001b[${up}A${clearLine}${line}\n${down}`);
  }
}

/** `[====>    ]  3.678kB/300.5kB`; empty when no amount is known. */
export function progressBar(message: ProgressMessage, columns: number): string {
  const { current = 0, total = 0 } = message.progressDetail ?? {};
  if (current <= 0 && total <= 0) return "";
  if (total <= 0 || current > total) return humanSize(current, 4).padStart(8);
  const sizes = `${humanSize(current, 4).padStart(8)}/${humanSize(total, 4)}`;
  if (columns > 0 && columns <= 110) return sizes;
  const filled = Math.floor((current / total) * barWidth);
  const head =
    filled < barWidth
      ? `${"=".repeat(Math.max(0, filled))}>`.padEnd(barWidth + 1)
      : `${"=".repeat(barWidth)}>`;
  return `[${head}] ${sizes}`;
}

/** Draws all of a stream. */
export async function showProgress(
  messages: AsyncIterable<ProgressMessage>,
  output: ProgressOutput,
): Promise<void> {
  const renderer = new ProgressRenderer(output);
  for await (const message of messages) renderer.show(message);
}
