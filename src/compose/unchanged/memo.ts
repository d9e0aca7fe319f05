/**
 * What the last `up -d` of a command line went by when there was nothing to do. Next time the same words in the same
 * environment need no files parsed: as long as disk and daemon give the same answers, there is nothing to do again.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import type { DiskAnswers } from "../file/disk.ts";
import { sha256 } from "../model/sha256.ts";
import type { Wanted } from "../act/observe.ts";
import type { ProgressEvent } from "../progress.ts";

/** Everything in a memo has been looked up again before it is believed, but for what its name is made of. */
export interface Memo {
  /** The daemon's socket (`unix://…`), and the version of the API that it speaks. */
  readonly host: string;
  readonly apiVersion: string;
  readonly disk: DiskAnswers;
  readonly wanted: Wanted;
  /** What the daemon said of {@link Memo.wanted}, by `factsOf`. */
  readonly facts: string;
  /** How the outcome was shown, and what. */
  readonly view: MemoView;
  readonly events: readonly ProgressEvent[];
}

export interface MemoView {
  readonly isTerminal: boolean;
  readonly mode: "tty" | "plain" | "quiet";
  readonly colours: boolean;
}

/** What tells one command line from another. */
export interface Typed {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Replaced by the build script: other sources may read files otherwise. */
const build: string = "__GANTRY_BUILD__";

/** Memos are for the program as it is built. */
const isBuilt = !build.startsWith("__");

/** A command line is seldom typed in more than a few places: the oldest go. */
const mostMemos = 64;

/** `$XDG_CACHE_HOME/gantry/compose` (XDG Base Directory Specification); undefined without a home. */
function memoDirectory(env: Typed["env"]): string | undefined {
  const { XDG_CACHE_HOME: given = "", HOME: home = "" } = env;
  if (isAbsolute(given)) return join(given, "gantry/compose");
  return isAbsolute(home) ? join(home, ".cache/gantry/compose") : undefined;
}

/** A memo's name is a hash: it tells nothing of the variables that went into it. */
const memoName = ({ words, env, cwd }: Typed): string =>
  `${sha256(JSON.stringify([build, cwd, words, env]))}.json`;

/** The memo of a command line, if there is one. */
export function readMemo(typed: Typed): Memo | undefined {
  const directory = memoDirectory(typed.env);
  if (!isBuilt || directory === undefined) return undefined;
  try {
    return JSON.parse(readFileSync(join(directory, memoName(typed)), "utf8")) as Memo;
  } catch {
    // None, or one that a loss of power cut off.
    return undefined;
  }
}

/** Keeps a memo for the owner alone. A disk that takes none is no failure: the next time takes longer. */
export function writeMemo(typed: Typed, memo: Memo): void {
  const directory = memoDirectory(typed.env);
  if (!isBuilt || directory === undefined) return;
  const path = join(directory, memoName(typed));
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(temporary, JSON.stringify(memo), { mode: 0o600 });
    renameSync(temporary, path);
    removeOldest(directory);
  } catch {
    rmSync(temporary, { force: true });
  }
}

function removeOldest(directory: string): void {
  const names = readdirSync(directory);
  if (names.length <= mostMemos) return;
  const dated = names.map((name) => {
    const path = join(directory, name);
    return { path, changedMs: statSync(path).mtimeMs };
  });
  dated.sort((a, b) => b.changedMs - a.changedMs);
  for (const { path } of dated.slice(mostMemos)) rmSync(path, { force: true });
}
