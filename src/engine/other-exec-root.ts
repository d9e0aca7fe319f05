/** Containers that run and were started with another exec root, or whose exec root was emptied under them. */
import { existsSync, readFileSync } from "node:fs";
import { conflict } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import { processStartTicks } from "../linux/pidfd.ts";
import type { EngineContext } from "./context.ts";
import { containerPaths } from "./paths.ts";

/** So many are named. */
const mostNamed = 5;

/**
 * Throws `conflict` when a container runs of which this exec root knows nothing. It would be taken for one that a reboot
 * has ended: with `--rm` its files were deleted, with a restart policy it was started beside itself, on the same layer.
 */
export function requireOwnTasks({ config, containers }: EngineContext): void {
  const strangers = containers
    .list()
    .filter(({ state }) => state.status === "running" || state.status === "paused")
    .filter((container) => !existsSync(containerPaths(config, container.id).bundle) && isAlive(container));
  if (strangers.length === 0) return;
  const list = strangers.slice(0, mostNamed).map(({ name, state }) => `${name} (process ${state.pid})`);
  if (strangers.length > mostNamed) list.push(`and ${strangers.length - mostNamed} more`);
  const place = strangers.map(execRootOf).find((path) => path !== undefined);
  throw conflict(
    `cannot start the daemon: containers run of which the exec root ${config.execRoot} knows nothing: ${list.join(", ")}`,
    {
      hint:
        `${place === undefined ? "Start the daemon with the --exec-root that they were started with" : `They were started with --exec-root ${place}: start the daemon with that`}. ` +
        "If its files are lost, end these processes (kill -9), then start the daemon again. Nothing was changed.",
    },
  );
}

/** By the control group of its process, or the words of its monitor: since the last boot its pid may be another's. */
function isAlive({ id, state: { pid, monitorPid } }: ContainerRecord): boolean {
  if (pid <= 0 || processStartTicks(pid) === undefined) return false;
  return textOf(`/proc/${pid}/cgroup`).includes(id) || textOf(`/proc/${monitorPid}/cmdline`).includes(id);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // It ended meanwhile.
    return "";
  }
}

/** What its monitor was told. */
function execRootOf({ state }: ContainerRecord): string | undefined {
  const words = textOf(`/proc/${state.monitorPid}/cmdline`).split("\0");
  const at = words.indexOf("--exit-dir");
  return at < 0 ? undefined : words[at + 1]?.replace(/\/exits$/, "");
}
