import { constants } from "node:os";

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
export function proxySignals(send: (signalName: string) => Promise<void>): Disposable {
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
    [Symbol.dispose]: () => {
      for (const name of caught) process.off(name, onSignal);
    },
  };
}

/** How often somebody has to ask before {@link endOnThirdSignal} obeys. */
const patience = 3;

/**
 * Without a proxy the program elsewhere is not told, and this one goes on watching it: INT and TERM end it at the third
 * time only, as in Docker's command line. Dispose to stop.
 */
export function endOnThirdSignal(printError: (line: string) => void): Disposable {
  let count = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    count += 1;
    if (count < patience) return;
    printError(`\ngot ${patience} SIGTERM/SIGINTs, forcefully exiting`);
    process.off(signal, onSignal);
    process.exitCode = 1;
    // A write to a reader that sleeps would hold an orderly exit up.
    process.kill(process.pid, signal);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    [Symbol.dispose]: () => {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}
