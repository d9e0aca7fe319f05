/**
 * What an OCI runtime says when it fails, in the words that Docker's clients know: `docker run` exits with 127 when the
 * text has `executable file not found` or `no such file or directory`, with 126 for `permission denied` and `is a
 * directory`. crun and runc word the same thing differently; Docker's texts are runc's.
 */
import { EngineError, errorText, isKind, type ErrorKind } from "../base/errors.ts";
import type { RuntimeBinary } from "./monitor.ts";

/** The words of the errno sentences that crun prints, as Go (and so runc and Docker) writes them. */
const errnoWords: readonly [RegExp, string][] = [
  [/^No such file or directory$/, "no such file or directory"],
  [/^Permission denied$/, "permission denied"],
  // crun answers this for a directory in the program's place; Docker says it cannot be executed.
  [/^Operation not permitted$/, "permission denied"],
  [/^Is a directory$/, "is a directory"],
  [/^Not a directory$/, "not a directory"],
];

const cannotRun =
  /executable file not found|no such file or directory|permission denied|is a directory|not a directory/;

/** A limit that the kernel does not take: a number too large for it, a processor that is not there. */
const refusedByKernel = /: (invalid argument|numerical result out of range)$/i;
/** A limit that cannot be had at this moment: memory that is in use. */
const inUse = /: device or resource busy$/i;

/** crun's and runc's words for a pause that came between asking and starting. */
const pausedMeanwhile = /^the container `[0-9a-f]+` is paused$|^cannot exec in a paused container/;

function kindOf(verb: RuntimeFailure["verb"], sentence: string): ErrorKind {
  if (verb !== "create" && verb !== "exec" && verb !== "update") return "internal";
  if (verb === "exec" && pausedMeanwhile.test(sentence)) return "conflict";
  if (refusedByKernel.test(sentence)) return "invalidArgument";
  if (verb === "update") return inUse.test(sentence) ? "conflict" : "internal";
  return cannotRun.test(sentence) ? "invalidArgument" : "internal";
}

function goWords(text: string): string {
  for (const [pattern, words] of errnoWords) if (pattern.test(text)) return words;
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** The last message of a runtime's output: text, runc's logfmt (`level=error msg="…"`) or JSON lines. */
export function lastRuntimeMessage(output: string): string {
  let found = "";
  for (const line of output.split("\n")) {
    const text = line.trim();
    if (text === "") continue;
    const logfmt = /level=(\w+) msg=("(?:[^"\\]|\\.)*"?|\S+)/.exec(text);
    if (logfmt !== null) {
      if (!["error", "fatal"].includes(logfmt[1]!)) continue;
      found = unquote(logfmt[2]!);
    } else if (text.startsWith("{")) {
      found = (/"msg":\s*("(?:[^"\\]|\\.)*")/.exec(text)?.[1] ?? text).replace(/^".*"$/, unquote);
    } else {
      // crun puts its time before the message when it logs, not when it prints.
      found = text.replace(/^\d{4}-\d\d-\d\dT\S+:\s*/, "").replace(/^error:\s*/i, "");
    }
  }
  return found;
}

function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    return String(JSON.parse(text.endsWith('"') ? text : `${text}"`));
  } catch {
    return text.replace(/^"|"$/g, "");
  }
}

/** crun's sentence about the program it could not run, in runc's form; other sentences unchanged. */
function inRuncWords(message: string, program: string): string {
  const notFound = /^executable file `(.*)` not found in \$PATH/.exec(message);
  if (notFound !== null) {
    const name = notFound[1]!;
    return name.includes("/")
      ? `exec: "${name}": stat ${name}: no such file or directory`
      : `exec: "${name}": executable file not found in $PATH`;
  }
  const open = /^open executable: (.*)$/.exec(message);
  // crun takes the directory for the program.
  if (open !== null && program === "") return 'exec: "": executable file not found in $PATH';
  if (open !== null) {
    const words = goWords(open[1]!);
    return `exec: "${program}": ${words === "not a directory" ? `stat ${program}: ${words}` : words}`;
  }
  const chdir = /^chdir `(.*)`: (.*)$/.exec(message);
  if (chdir !== null) return `chdir to cwd ("${chdir[1]}") set in config.json failed: ${goWords(chdir[2]!)}`;
  const colon = message.lastIndexOf(": ");
  return colon < 0 ? message : `${message.slice(0, colon + 2)}${goWords(message.slice(colon + 2))}`;
}

export interface RuntimeFailure {
  readonly verb: "create" | "start" | "exec" | "kill" | "delete" | "pause" | "resume" | "update" | "ps";
  readonly runtimeName: string;
  /** Everything that the runtime printed. */
  readonly output: string;
  /** First word of the container's command, which crun's messages leave out. */
  readonly program: string;
}

/**
 * The error for a runtime that failed. Kind `invalidArgument` when the container's command cannot be run (Docker
 * answers those with 400) or the kernel does not take a limit, `conflict` when a limit is below what is in use, else
 * `internal`.
 */
export function runtimeError(failure: RuntimeFailure): EngineError {
  const { verb, runtimeName, program } = failure;
  const message = lastRuntimeMessage(failure.output) || "the runtime ended, or was killed, without a message";
  if (verb !== "create" && saysNoCgroup(message))
    return new EngineError(
      "conflict",
      `cannot ${verb} in the container: its control group is gone, since it is ending, or somebody removed the group or moved its processes`,
      { hint: "Restart the container." },
    );
  const own = /^(?:\w+ (?:create|run|start) failed|exec failed): /;
  let sentence = message.replace(own, "").replace(/^unable to start container process: /, "");
  const isProcess =
    sentence !== message || verb === "exec" || /^(?:executable file|open executable)/.test(message);
  sentence = inRuncWords(sentence, program);
  const kind = kindOf(verb, sentence);
  if (isProcess || sentence.startsWith("exec: ") || sentence.startsWith("chdir "))
    sentence = `unable to start container process: ${sentence}`;
  const text =
    verb === "create"
      ? `failed to create task for container: failed to create shim task: OCI runtime create failed: ${runtimeName} create failed: ${sentence}: unknown`
      : verb === "exec"
        ? `OCI runtime exec failed: exec failed: ${sentence}: unknown`
        : `OCI runtime ${verb} failed: ${runtimeName} ${verb} failed: ${sentence}: unknown`;
  return new EngineError(kind, text);
}

/** The error for a runtime that could not even be started. */
export function runtimeUnavailable({ name, path }: RuntimeBinary, error: unknown): EngineError {
  const what = `the runtime ${name} cannot be started`;
  // Not in the system's words: Docker's command line takes those for the program's that is to run.
  if (isKind(error, "notFound"))
    return new EngineError("unavailable", `${what}: ${path} has been removed`, {
      hint: "Install it again, or take it out of the daemon's configuration.",
      cause: error,
    });
  const hint = error instanceof EngineError ? error.hint : undefined;
  return new EngineError("unavailable", `${what}: ${errorText(error)}`, { hint, cause: error });
}

/** True when a runtime says that it knows no such container. */
export function saysNoSuchContainer(output: string): boolean {
  return /does not exist|error opening file .*\/status`?: No such file|cannot open directory/.test(output);
}

/** True when a runtime did not find the container's control group. */
function saysNoCgroup(message: string): boolean {
  return /\/sys\/fs\/cgroup\/.*(?:no such file or directory|no such device)/i.test(message);
}

/** True when a runtime says that the container's process has ended. */
export function saysNotRunning(output: string): boolean {
  return /not running|process already finished|No such process|no such process/.test(output);
}
