import { readdirSync, readFileSync } from "node:fs";
import { Pidfd } from "./pidfd.ts";

const SIGKILL = 9;

interface Kin {
  readonly parent: number;
  readonly session: number;
}

/** Parent and session of a process (proc(5), /proc/pid/stat fields 4 and 6); undefined when it has ended. */
function kinOf(pid: number): Kin | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The program's name, in brackets, may have spaces and brackets itself.
    const [state, parent, , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? undefined : { parent: Number(parent), session: Number(session) };
  } catch {
    return undefined;
  }
}

/**
 * Kills a process and, when it was started in a session of its own, all processes of that session, again until there is
 * none: one of them may be starting another meanwhile. No error when it has ended.
 */
export function killSession(pid: number): void {
  const kin = kinOf(pid);
  if (kin === undefined) return;
  // A runtime may have made the session with a process that is gone: its number is not that of `pid`.
  const isOwn = kinOf(kin.parent)?.session !== kin.session;
  const members = (): number[] =>
    isOwn
      ? readdirSync("/proc")
          .map(Number)
          .filter((candidate) => candidate > 0 && kinOf(candidate)?.session === kin.session)
      : [pid];
  const mostRounds = 10;
  for (let round = 0; round < mostRounds; round++) {
    const found = members();
    for (const member of found) {
      using process = Pidfd.open(member);
      // The number may have gone to another process since it was listed.
      if (process !== undefined && kinOf(member)?.session === kin.session) process.signal(SIGKILL);
    }
    if (found.length === 0 || !isOwn) return;
  }
}
