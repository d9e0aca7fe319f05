import { constants } from "node:os";
import { CliError } from "./errors.ts";

/** Neither can be caught, or is this program's own business, or tells of a fault of its own. */
const notProxied = new Set([
  "SIGKILL",
  "SIGSTOP",
  "SIGCHLD",
  "SIGPIPE",
  "SIGURG",
  "SIGSEGV",
  "SIGBUS",
  "SIGFPE",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGIOT",
  "SIGSYS",
  "SIGPROF",
  "SIGVTALRM",
  "SIGSTKFLT",
  "SIGUNUSED",
]);

/**
 * Catches every signal that this program may pass on (all but CHLD, PIPE and URG) and calls `send` with its name
 * without SIG, one after the other. Dispose to stop.
 */
export function proxySignals(send: (signalName: string) => Promise<void>): SignalWatch {
  const names = [...new Set(Object.keys(constants.signals))].filter((name) => !notProxied.has(name));
  let last: Promise<void> = Promise.resolve();
  const onSignal = (name: NodeJS.Signals): void => {
    // A program that has just ended cannot be sent anything: nobody is to be told.
    last = last.then(() => send(name.slice("SIG".length))).catch(() => {});
  };
  const caught: NodeJS.Signals[] = [];
  for (const name of names as NodeJS.Signals[]) {
    try {
      process.on(name, onSignal);
      caught.push(name);
    } catch {
      // Not a signal of this kernel.
    }
  }
  return {
    ended: new Promise(() => {}),
    [Symbol.dispose]: () => {
      for (const name of caught) process.off(name, onSignal);
    },
  };
}

/** How often somebody has to ask before {@link endOnThirdSignal} obeys. */
const patience = 3;

/** A watch over signals; disposed of when the watched work is done. */
export interface SignalWatch extends Disposable {
  /** Rejects when the program is to end at once. */
  readonly ended: Promise<never>;
}

/**
 * Without a proxy the program elsewhere is not told, and this one goes on watching it: INT and TERM end it at the third
 * time only, as in Docker's command line.
 */
export function endOnThirdSignal(): SignalWatch {
  const { promise: ended, reject } = Promise.withResolvers<never>();
  ended.catch(() => {});
  let count = 0;
  const stop = (): void => void process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  const onSignal = (): void => {
    count += 1;
    if (count < patience) return;
    // One more signal ends the program even when an orderly end hangs on a reader that sleeps.
    stop();
    reject(new CliError(`\ngot ${patience} SIGTERM/SIGINTs, forcefully exiting`));
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return { ended, [Symbol.dispose]: stop };
}
