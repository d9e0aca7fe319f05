import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { defaultExecRoot, defaultSocketPath } from "../base/paths.ts";
import { CliError } from "./errors.ts";

/** How long a daemon may take until it listens; it may have many containers of a crash to look after. */
const startTimeoutMs = 30_000;

/** How long to wait for another daemon that was started at the same moment, after ours has left it the field. */
const otherDaemonTimeoutMs = 2000;

const logPath = `${defaultExecRoot}/daemon.log`;

/**
 * Starts the daemon with its default options as a process of its own, and resolves as soon as it listens.
 *
 * It outlives this program and its terminal, and logs to a file. Throws {@link CliError} with the end of that log when
 * the daemon cannot start. Several callers at once get one daemon: the others leave, because its data root is locked.
 */
export async function startDaemon(): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new CliError(
      `No daemon runs at unix://${defaultSocketPath}, and starting one takes root. Start it with "sudo gantry daemon", or name another one with -H or GANTRY_HOST.`,
    );
  }
  mkdirSync(defaultExecRoot, { recursive: true, mode: 0o711 });
  const log = openSync(logPath, "a", 0o640);
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...daemonFlags(), process.argv[1]!, "daemon"], {
      cwd: "/",
      detached: true,
      stdio: ["ignore", log, log],
    });
  } finally {
    closeSync(log);
  }
  const exit = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(`exit ${code ?? signal}`));
  });
  child.unref();
  const outcome = await Promise.race([exit, listening(startTimeoutMs)]);
  if (outcome === true) return;
  if (typeof outcome === "string" && (await listening(otherDaemonTimeoutMs))) return;
  const why = outcome === false ? `it does not listen after ${startTimeoutMs / 1000} s` : outcome;
  throw new CliError(
    `The daemon cannot be started: ${why}. Its log is ${logPath}:\n${lastLines(logPath, 5)}`,
  );
}

/** Node's flags for a daemon: those of this program without the room for new objects, which is for short commands. */
function daemonFlags(): string[] {
  return process.execArgv.filter((flag) => flag !== "--" && !flag.startsWith("--min-semi-space-size"));
}

/** True once the socket takes connections; false after `timeoutMs`. */
async function listening(timeoutMs: number): Promise<boolean> {
  const end = Date.now() + timeoutMs;
  while (Date.now() < end) {
    if (await canConnect()) return true;
    await sleep(10);
  }
  return false;
}

function canConnect(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(defaultSocketPath, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function lastLines(path: string, count: number): string {
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n").slice(-count).join("\n");
  } catch {
    return "";
  }
}
