/** User namespaces (user_namespaces(7)) for containers whose root is nobody on the host. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { EngineError, errorText } from "../base/errors.ts";

/** One range: `size` ids from 0 on inside are those from `first` on outside. */
export interface IdRange {
  readonly first: number;
  readonly size: number;
}

export interface IdMap {
  readonly uids: IdRange;
  readonly gids: IdRange;
}

/** A process that does nothing but be in a new user namespace, and a network namespace that belongs to it. */
export interface NamespaceHolder extends AsyncDisposable {
  readonly pid: number;
}

const mapText = ({ first, size }: IdRange): string => `0 ${first} ${size}\n`;

/** An id that no file has: what the host's root makes on a mount with mapped owners is this one's. */
const hostRootOnDisk = 2_000_000_000;

/**
 * Makes the namespaces. They live on when the holder is disposed, as long as a file is bound to them. Takes about 5 ms.
 * `withHostRoot` maps the host's own root too, for mounts on which it makes files (overlayfs does, for itself).
 * Throws `unavailable` when this kernel or its settings do not let it.
 */
export async function holdNamespaces(map: IdMap, withHostRoot = false): Promise<NamespaceHolder> {
  const more = withHostRoot ? `${hostRootOnDisk} 0 1\n` : "";
  const script = "echo ready; read -r _";
  const child = spawn("unshare", ["--user", "--net", "--", "/bin/sh", "-c", script], {
    stdio: ["pipe", "pipe", "pipe"],
    env: {},
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const dispose = async (): Promise<void> => {
    child.stdin.destroy();
    child.kill("SIGKILL");
    await ended;
  };
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  try {
    await Promise.race([once(child.stdout, "data"), ended, once(child, "error")]);
    if (child.pid === undefined || child.exitCode !== null) throw new Error(said.trim() || "unshare ended");
    writeFileSync(`/proc/${child.pid}/uid_map`, mapText(map.uids) + more);
    writeFileSync(`/proc/${child.pid}/gid_map`, mapText(map.gids) + more);
    return { pid: child.pid, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw new EngineError("unavailable", `cannot make a user namespace: ${errorText(error)}`, {
      cause: error,
    });
  }
}

/** The first range of a user in the text of /etc/subuid or /etc/subgid (subuid(5)): by name or by number. */
export function subordinateRange(text: string, names: readonly string[]): IdRange | undefined {
  for (const line of text.split("\n")) {
    const [name = "", first = "", size = ""] = line.trim().split(":");
    if (names.includes(name) && /^\d+$/.test(first) && /^[1-9]\d*$/.test(size))
      return { first: Number(first), size: Number(size) };
  }
  return undefined;
}

/** A range of 65,536 ids behind all others of the file, for a user that has none. */
export function freeRange(text: string): IdRange {
  let first = 100_000;
  for (const line of text.split("\n")) {
    const [, start = "", size = ""] = line.trim().split(":");
    if (/^\d+$/.test(start) && /^\d+$/.test(size)) first = Math.max(first, Number(start) + Number(size));
  }
  return { first, size: 65_536 };
}
