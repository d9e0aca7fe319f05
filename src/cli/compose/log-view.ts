/** Output of several programs, line by line, each with the name of its container in a colour of its own. */
import { FdWriter } from "../fd-writer.ts";

const colours = ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];

export interface LogViewOptions {
  readonly colours: boolean;
  /** Shows names before the lines. */
  readonly prefix: boolean;
  /** Everything goes to standard output. */
  readonly oneStream?: boolean;
  /** Writes whole lines to the terminal that this stream is, among what is drawn there; false when it is none. */
  readonly onTerminal?: (fd: 1 | 2, lines: string) => boolean;
}

/** Writes lines of containers to standard output. */
export class LogView {
  readonly #options: LogViewOptions;
  readonly #writers = { 1: new FdWriter(1), 2: new FdWriter(2) };
  readonly #colours = new Map<string, string>();
  #width = 0;
  #isSilent = false;

  constructor(options: LogViewOptions) {
    this.#options = options;
  }

  /** Makes room for a name. */
  register(name: string): void {
    if (this.#colours.has(name)) return;
    this.#colours.set(name, colours[this.#colours.size % colours.length]!);
    this.#width = Math.max(this.#width, name.length);
  }

  /** From now on lines are dropped: somebody has asked to stop. */
  silence(): void {
    this.#isSilent = true;
  }

  async line(name: string, line: string, stream: "stdout" | "stderr" = "stdout"): Promise<void> {
    if (this.#isSilent) return;
    this.register(name);
    const fd = stream === "stderr" && this.#options.oneStream !== true ? 2 : 1;
    await this.#write(fd, `${this.#prefix(name)}${line}\n`);
  }

  /** A line about a container rather than of it. */
  async status(name: string, text: string): Promise<void> {
    if (this.#isSilent) return;
    this.register(name);
    await this.#write(1, `${this.#paint(name, `${name} ${text}`)}\n`);
  }

  async #write(fd: 1 | 2, lines: string): Promise<void> {
    if (this.#options.onTerminal?.(fd, lines) !== true) await this.#writers[fd].write(Buffer.from(lines));
  }

  #prefix(name: string): string {
    if (!this.#options.prefix) return "";
    return this.#paint(name, `${name.padEnd(this.#width)}  | `);
  }

  #paint(name: string, text: string): string {
    if (!this.#options.colours) return text;
    return `\u001b[${this.#colours.get(name) ?? "0"}m${text}\u001b[0m`;
  }
}

/** Cuts a stream of pieces into lines; the last one need not end. */
class LineSplitter {
  readonly #onLine: (line: string) => Promise<void>;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(onLine: (line: string) => Promise<void>) {
    this.#onLine = onLine;
  }

  async push(data: Uint8Array): Promise<void> {
    const lines = (this.#rest + this.#decoder.decode(data, { stream: true })).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) await this.#onLine(line.replace(/\r$/, ""));
  }

  async end(): Promise<void> {
    const last = this.#rest + this.#decoder.decode();
    this.#rest = "";
    if (last !== "") await this.#onLine(last);
  }
}

/** Shows all of a program's output. */
export async function showOutput(
  view: LogView,
  name: string,
  output: AsyncIterable<{ readonly stream: string; readonly data: Buffer }>,
): Promise<void> {
  const splitters = {
    stdout: new LineSplitter((line) => view.line(name, line)),
    stderr: new LineSplitter((line) => view.line(name, line, "stderr")),
  };
  try {
    for await (const { stream, data } of output) {
      await (stream === "stderr" ? splitters.stderr : splitters.stdout).push(data);
    }
  } finally {
    await splitters.stdout.end();
    await splitters.stderr.end();
  }
}

/** The pieces of an output; tells of each that has come. */
export async function* watched<T>(output: AsyncIterable<T>, onPiece: () => void): AsyncGenerator<T> {
  for await (const piece of output) {
    onPiece();
    yield piece;
  }
}
