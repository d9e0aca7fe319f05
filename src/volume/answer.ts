/** Whether what is mounted somewhere answers: found out without the daemon waiting for it. */
import { EngineError } from "../base/errors.ts";
import { runProcess } from "../linux/spawn.ts";

/** For how long whoever wants to use a volume waits for its server. */
export const answerTimeoutMs = 15_000;

export interface Question {
  readonly path: string;
  /** Put before the reason of a failure. */
  readonly what: string;
  /** Who is to answer, for the reason. */
  readonly server: string;
  readonly hint?: string;
  readonly timeoutMs: number;
}

/**
 * By path, those who look and have not ended. Whoever waits inside the kernel for a file system in user space that has
 * taken the request is not ended by a signal either: one that hangs is enough.
 */
const looks = new Map<string, Promise<boolean>>();

/** True when the file system of `path` said anything, an error too. */
function look({ path, timeoutMs }: Question): Promise<boolean> {
  const looking = runProcess({
    path: "/usr/bin/env",
    argv: ["env", "find", "-H", path, "-maxdepth", "0", "-empty"],
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    timeoutMs,
  })
    .then(({ signal }) => signal === undefined)
    .finally(() => looks.delete(path));
  looks.set(path, looking);
  return looking;
}

/** True when there was an answer before `late` resolves. */
async function isAnswered(question: Question, late: Promise<"late">): Promise<boolean> {
  for (let other = looks.get(question.path); other !== undefined; other = looks.get(question.path)) {
    const said = await Promise.race([other, late]);
    if (said !== false) return said === true;
    // That one began before, with a server that may be back since.
  }
  return (await Promise.race([look(question), late])) === true;
}

/**
 * Looks at `path` in a process of its own: whoever uses it next may be the daemon, which would wait as long as the server is
 * away. Throws `unavailable`. What it answers is for those who use it.
 */
export async function requireAnswerAt(question: Question): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<"late">();
  const timer = setTimeout(() => resolve("late"), question.timeoutMs);
  try {
    if (await isAnswered(question, late)) return;
  } finally {
    clearTimeout(timer);
  }
  const { what, server, hint, timeoutMs } = question;
  throw new EngineError(
    "unavailable",
    `${what}no answer from ${server} within ${timeoutMs / 1000} seconds`,
    hint === undefined ? {} : { hint },
  );
}
