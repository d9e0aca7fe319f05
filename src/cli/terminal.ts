import { spawnSync } from "node:child_process";
import { isatty } from "node:tty";
import type { CommandContext } from "./command.ts";

/** Signals that end this program and leave the terminal to be put right. */
const endingSignals = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"] as const;

/** The window: rows and columns. */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** The size of the window that standard output goes to; undefined when it goes elsewhere. */
export function terminalSize(context: CommandContext): TerminalSize | undefined {
  // Asked of the kernel first: making the stream only to hear that it is a pipe takes longer than the question.
  if (!isatty(1)) return undefined;
  const { stdout } = context;
  const [columns, rows] = stdout.getWindowSize();
  return rows === 0 && columns === 0 ? undefined : { rows, columns };
}

/** The window's rows and columns for a request; `[0, 0]` when standard output is no terminal. */
export function consoleSize(context: CommandContext): [rows: number, columns: number] {
  const size = terminalSize(context);
  return size === undefined ? [0, 0] : [size.rows, size.columns];
}

/** Calls `onResize` whenever the window's size changes. Dispose to stop. */
export function watchResize(context: CommandContext, onResize: () => void): Disposable {
  if (!isatty(1)) return { [Symbol.dispose]: () => {} };
  const { stdout } = context;
  stdout.on("resize", onResize);
  return { [Symbol.dispose]: () => void stdout.off("resize", onResize) };
}

/**
 * Hands the keyboard to a program elsewhere: every key goes through, `^C` too, and what the program draws is not
 * changed. The terminal is put right again on dispose, at every exit, and before a signal ends this program.
 */
export function rawTerminal(context: CommandContext): Disposable {
  if (!isatty(0)) return { [Symbol.dispose]: () => {} };
  const { stdin } = context;
  stdin.setRawMode(true);
  // Raw mode of libuv still turns a line feed into carriage return and line feed, which spoils what full-screen programs draw.
  spawnSync("stty", ["-opost"], { stdio: [0, "ignore", "ignore"] });
  let isRaw = true;
  const restore = (): void => {
    if (!isRaw) return;
    isRaw = false;
    stdin.setRawMode(false);
  };
  const atEnd = restoreAtEnd(restore);
  return {
    [Symbol.dispose]: () => {
      restore();
      atEnd[Symbol.dispose]();
    },
  };
}

/**
 * Calls `restore`, which puts the terminal right, when this program exits, and before a signal ends it, which it then still
 * does. Until disposed of.
 */
export function restoreAtEnd(restore: () => void): Disposable {
  const onExit = (): void => {
    try {
      restore();
    } catch {
      // The terminal is gone.
    }
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    // Somebody else's handler (the proxy of signals) means that the program lives on.
    if (process.listenerCount(signal) > 1) return;
    onExit();
    process.off(signal, onSignal);
    process.kill(process.pid, signal);
  };
  process.on("exit", onExit);
  for (const signal of endingSignals) process.on(signal, onSignal);
  return {
    [Symbol.dispose]: () => {
      process.off("exit", onExit);
      for (const signal of endingSignals) process.off(signal, onSignal);
    },
  };
}
