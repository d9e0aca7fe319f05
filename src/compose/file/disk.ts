/**
 * What loading a project asks of the disk. All of it goes through here, so that it can be written down: a project is the
 * same as long as the answers are ({@link sameAnswers}).
 */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { ComposeError } from "../errors.ts";
import { sha256 } from "../model/sha256.ts";

type Kind = "file" | "directory" | "other" | "none";

/**
 * Answers by path: what is there, or `=` and the SHA-256 of a file's text. A `>` before the path asks for the path without
 * links instead.
 */
export type DiskAnswers = Record<string, string>;

let answers: DiskAnswers | undefined;

/** Does a piece of work that does not wait, and returns with its result what it was told by the disk. */
export function noteAnswers<T>(work: () => T): { readonly result: T; readonly answers: DiskAnswers } {
  const noted: DiskAnswers = {};
  answers = noted;
  try {
    return { result: work(), answers: noted };
  } finally {
    answers = undefined;
  }
}

/** Notes an answer that was not given by the disk. */
export function noteAnswer(path: string, answer: string): void {
  if (answers !== undefined) answers[path] = answer;
}

/** True when the disk gives the same answers as it did then. */
export function sameAnswers(noted: DiskAnswers): boolean {
  try {
    return Object.entries(noted).every(([path, answer]) => {
      if (path.startsWith(">")) return answer === realpathSync(path.slice(1));
      if (answer.startsWith("=")) return answer === textAnswer(path, readFileSync(path, "utf8"));
      return answer === kindOf(path);
    });
  } catch {
    return false;
  }
}

/** What cannot be read twice, such as a pipe, has no answer that comes again. */
const textAnswer = (path: string, text: string): string =>
  kindOf(path) === "file" ? `=${sha256(text)}` : "read once";

function kindOf(path: string): Kind {
  try {
    const stat = statSync(path);
    return stat.isFile() ? "file" : stat.isDirectory() ? "directory" : "other";
  } catch {
    return "none";
  }
}

/** What is at a path, or where a link there leads to. */
export function kindAt(path: string): Kind {
  const kind = kindOf(path);
  if (answers !== undefined) answers[path] ??= kind;
  return kind;
}

/** The path without links. Throws what the system says. */
export function realPath(path: string): string {
  if (answers !== undefined) answers[path] ??= kindOf(path);
  const real = realpathSync(path);
  if (answers !== undefined) answers[`>${path}`] = real;
  return real;
}

/** The text of a file. Throws {@link ComposeError} in the words of the system's error. */
export function readText(path: string): string {
  try {
    const text = readFileSync(path, "utf8");
    if (answers !== undefined) answers[path] = textAnswer(path, text);
    return text;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "ENOENT"
        ? "no such file or directory"
        : code === "EISDIR"
          ? "is a directory"
          : (error as Error).message;
    throw new ComposeError(`open ${path}: ${why}`, { exitCode: 14, cause: error });
  }
}

let input: string | undefined;

/** The text of standard input, which can be read once: who asks again gets the same. */
export function readInput(): string {
  if (answers !== undefined) answers["-"] = "read once";
  return (input ??= readFileSync(0, "utf8"));
}
