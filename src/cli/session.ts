import type { Readable, Writable } from "node:stream";
import { isatty } from "node:tty";
import { createDetachFilter, parseDetachKeys } from "../base/detach-keys.ts";
import type { StdioStream } from "../client/streams.ts";
import type { CommandContext } from "./command.ts";
import { CliError } from "./errors.ts";
import { OutputWriters } from "./fd-writer.ts";
import { rawTerminal, terminalSize, watchResize } from "./terminal.ts";

/** How a session with a program's streams ended. */
export type SessionEnd = "output ended" | "detached";

export interface SessionOptions {
  readonly stdio: StdioStream;
  /** The program has a terminal. */
  readonly tty: boolean;
  /** Which streams are connected. */
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** The bytes that detach. */
  readonly detachKeys: Buffer;
}

/**
 * Connects this program's streams with those of a program elsewhere until its output ends, all of which has been
 * written then. With a terminal on both sides the keyboard is raw for that time.
 */
export async function runSession(context: CommandContext, options: SessionOptions): Promise<SessionEnd> {
  const { stdio, tty } = options;
  using _terminal = tty && options.stdin ? rawTerminal(context) : undefined;
  // A daemon that goes away says so by the end of its output.
  stdio.input.on("error", () => {});
  // Input that cannot be read any more (a terminal that is gone) has ended.
  const input = options.stdin
    ? forwardInput(context.stdin, stdio.input, tty ? options.detachKeys : undefined).catch(() =>
        endInput(stdio.input),
      )
    : endInput(stdio.input);
  const writers = new OutputWriters(options);
  const output = writers.copy(stdio.output()).then((): SessionEnd => "output ended");
  const detached = input.then((end) => (end === "detached" ? end : output));
  const hasOutput = options.stdout || options.stderr;
  try {
    return await (hasOutput ? Promise.race([output, detached]) : input.then((end) => end));
  } finally {
    output.catch(() => {});
    detached.catch(() => {});
    stdio.close();
  }
}

async function endInput(input: Writable): Promise<SessionEnd> {
  input.end();
  return "output ended";
}

/** Passes input on to its end, and then closes the other side's; without waiting for output. Throws what reading throws. */
async function forwardInput(from: Readable, to: Writable, keys: Buffer | undefined): Promise<SessionEnd> {
  const filter = keys === undefined || keys.length === 0 ? undefined : createDetachFilter(keys);
  for await (const chunk of from as AsyncIterable<Buffer>) {
    const { forward, detached } = filter?.(chunk) ?? { forward: chunk, detached: false };
    if (to.destroyed || to.writableEnded) break;
    if (forward.length > 0 && !to.write(forward)) await writable(to);
    if (detached) return "detached";
  }
  to.end();
  return "output ended";
}

/** Resolves when the stream takes more, and also when it is closed. */
function writable(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      stream.off("drain", settle);
      stream.off("close", settle);
      resolve();
    };
    stream.on("drain", settle);
    stream.on("close", settle);
  });
}

/** Tells the daemon the window's size now and whenever it changes. Dispose to stop. */
export function followWindowSize(
  context: CommandContext,
  resize: (rows: number, columns: number) => Promise<void>,
): Disposable {
  const tell = (): void => {
    const size = terminalSize(context);
    // A program that has just ended has no terminal any more: nobody is to be told.
    if (size !== undefined) resize(size.rows, size.columns).catch(() => {});
  };
  tell();
  return watchResize(context, tell);
}

/** The keys that detach: the flag's, the settings file's, or the default. Throws `CliError` for what is no key. */
export function detachKeysOf(context: CommandContext, flag: string): Buffer {
  const text = flag === "" ? (context.config().detachKeys ?? "") : flag;
  const keys = parseDetachKeys(text);
  if (keys === undefined) {
    throw new CliError(
      `invalid detach keys (${text}): use one character, or ctrl- and a letter, separated by commas`,
    );
  }
  return keys;
}

/** Refuses a terminal for a program whose input is none here. */
export function checkInputTerminal(attachStdin: boolean, tty: boolean): void {
  if (attachStdin && tty && !isatty(0)) throw new CliError("the input device is not a TTY");
}
