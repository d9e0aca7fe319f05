/** The daemon's directories: made, told apart and locked before anything lies in them. */
import { chmodSync, mkdirSync, realpathSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { EngineError, invalidArgument } from "./base/errors.ts";
import type { DaemonOptions } from "./daemon-config.ts";
import { lockFile } from "./linux/flock.ts";

/**
 * Makes the data root and the exec root and locks both for the life of this process. Throws `invalidArgument` when they
 * are one directory, `conflict` when another daemon has one of them.
 */
export function claimRoots(options: DaemonOptions): void {
  using undo = new DisposableStack();
  for (const [directory, mode] of [
    [options.dataRoot, 0o710],
    [options.execRoot, 0o711],
  ] as const)
    if (mkdirSync(directory, { recursive: true, mode }) !== undefined)
      undo.defer(() => removeIfEmpty(directory));
  requireTwoRoots(options);
  claim("data root", options.dataRoot);
  claim("exec root", options.execRoot);
  undo.move();
  makeDirectories(options);
}

/** What a daemon that does not start has made. */
function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // There is something in it, such as the lock of the one that has it.
  }
}

/** Locks a directory for the life of this process: what another daemon has there would be taken for leftovers. */
function claim(what: string, directory: string): void {
  if (lockFile(join(directory, "lock")) !== undefined) return;
  throw new EngineError("conflict", `cannot start the daemon: another one uses the ${what} ${directory}`, {
    hint: "Stop it, or give this one a --data-root, --exec-root, --bridge and --host of its own.",
  });
}

/** Throws `invalidArgument` when one directory was given twice, by whatever names. */
function requireTwoRoots({ dataRoot, execRoot }: DaemonOptions): void {
  if (realpathSync(dataRoot) !== realpathSync(execRoot)) return;
  throw invalidArgument(
    `the data root and the exec root are one directory, ${dataRoot}: the first is kept over a reboot, the second must not be`,
    { hint: "Give --exec-root a directory of its own, best on a tmpfs such as /run/gantry." },
  );
}

function makeDirectories(options: DaemonOptions): void {
  // The root of containers with ids of their own is a stranger here: it may pass through, not look around.
  if (options.userNamespaceRemap !== "")
    for (const name of ["", "containers", "volumes", "snapshots"]) {
      mkdirSync(join(options.dataRoot, name), { recursive: true, mode: 0o711 });
      chmodSync(join(options.dataRoot, name), 0o711);
    }
  mkdirSync(join(options.execRoot, "build"), { recursive: true, mode: 0o700 });
  mkdirSync(dirname(options.pidfile), { recursive: true });
}
