/** Putting values in the place of variables (Dockerfile reference, "Environment replacement"). */
import { errorText, isKind } from "../../base/errors.ts";
import type { Heredoc, Instruction, KeyValue, RunInstruction, SourceFile } from "./ast.ts";
import { DockerfileError } from "./error.ts";
import { heredocSummary } from "./heredoc.ts";
import { parseMount } from "./mount.ts";
import { processWord } from "./word.ts";

export interface Expansion {
  /** ENV and ARG values at this point of the stage. */
  readonly variables: ReadonlyMap<string, string>;
  readonly escape: "\\" | "`";
  readonly source: SourceFile;
  /** Called with each variable that has no value; the build checks listen. */
  readonly onUnset?: (name: string) => void;
  /** Not all variables are known, so that none is missed that must be set. */
  readonly isPartial?: boolean;
}

/**
 * The instruction with values for variables, and quotes and escapes gone. ARG is not expanded here: whether its default
 * counts is the scope's matter (scope.ts). Throws {@link DockerfileError}.
 */
export function expandInstruction<T extends Instruction>(instruction: T, expansion: Expansion): T {
  const { variables, escape, source, onUnset, isPartial = false } = expansion;
  const word = (text: string): string => {
    const result = processWord(text, variables, { escape, isPartial });
    for (const name of result.unmatched) onUnset?.(name);
    return result.text;
  };
  try {
    return expandWith(instruction, word, expansion) as T;
  } catch (error) {
    if (error instanceof DockerfileError || !(error instanceof Error)) throw error;
    throw new DockerfileError(errorText(error), { range: instruction.range, source }, { cause: error });
  }
}

/** A text outside of an instruction, such as the base of FROM. Throws `invalidArgument`. */
export function expandText(text: string, variables: ReadonlyMap<string, string>, escape: "\\" | "`"): string {
  return processWord(text, variables, { escape }).text;
}

function expandWith(
  instruction: Instruction,
  word: (text: string) => string,
  expansion: Expansion,
): Instruction {
  const maybe = <Key extends string>(key: Key, text: string | undefined): { [K in Key]?: string } =>
    text === undefined ? {} : ({ [key]: word(text) } as { [K in Key]?: string });
  switch (instruction.kind) {
    case "env":
    case "label":
      return { ...instruction, entries: instruction.entries.map((entry) => expandEntry(entry, word)) };
    case "copy":
      return {
        ...instruction,
        ...maybe("chown", instruction.chown),
        ...maybe("chmod", instruction.chmod),
        sources: instruction.sources.map(word),
        destination: word(instruction.destination),
        heredocs: instruction.heredocs.map((document) => expandHeredoc(document, expansion)),
      };
    case "add":
      return {
        ...instruction,
        ...maybe("chown", instruction.chown),
        ...maybe("chmod", instruction.chmod),
        ...maybe("checksum", instruction.checksum),
        sources: instruction.sources.map(word),
        destination: word(instruction.destination),
        heredocs: instruction.heredocs.map((document) => expandHeredoc(document, expansion)),
      };
    case "run":
      return { ...instruction, mounts: instruction.mountFlags.map((flag) => parseMount(flag, word)) };
    case "expose":
      return { ...instruction, ports: instruction.ports.flatMap((port) => expandWords(port, expansion)) };
    case "volume":
      return { ...instruction, paths: instruction.paths.map(word) };
    case "user":
      return { ...instruction, user: word(instruction.user) };
    case "workdir":
      return { ...instruction, path: word(instruction.path) };
    case "stopsignal":
      return { ...instruction, signal: word(instruction.signal) };
    default:
      return instruction;
  }
}

function expandEntry(entry: KeyValue, word: (text: string) => string): KeyValue {
  return { ...entry, key: word(entry.key), value: word(entry.value) };
}

function expandWords(
  text: string,
  { variables, escape, onUnset, isPartial = false }: Expansion,
): readonly string[] {
  const result = processWord(text, variables, { escape, isPartial });
  for (const name of result.unmatched) onUnset?.(name);
  return result.words;
}

/** Quotes are text in a document; its escape character is the backslash whatever the file's is. */
function expandHeredoc(document: Heredoc, { variables, onUnset, isPartial = false }: Expansion): Heredoc {
  if (!document.expand) return document;
  const result = processWord(document.data, variables, { escape: "\\", plainQuotes: true, isPartial });
  for (const name of result.unmatched) onUnset?.(name);
  return { ...document, data: result.text };
}

/**
 * A step's name as BuildKit's clients show it: the instruction on one line with values for the variables that have one,
 * quotes kept, and the first line of what its here-document runs. Values of secrets are never shown.
 */
export function stepName(
  instruction: Instruction,
  variables: ReadonlyMap<string, string>,
  escape: "\\" | "`",
): string {
  let text = instruction.code;
  let shown = variables;
  if (instruction.kind === "run") {
    const [document] = instruction.command.heredocs;
    if (document !== undefined && startsAlone(instruction)) text += ` (${heredocSummary(document.data)})`;
    const secret = instruction.mounts.filter(({ type, env }) => type === "secret" && env !== undefined);
    if (secret.length > 0)
      shown = new Map([...variables, ...secret.map(({ env }): [string, string] => [env!, "****"])]);
  }
  try {
    text = processWord(text, shown, { escape, rawQuotes: true, keepUnset: true }).text;
  } catch (error) {
    // The shell's own syntax may be none of ours: then the text stays as it is.
    if (!isKind(error, "invalidArgument")) throw error;
  }
  return text.replace(/^\S+/, (name) => name.toUpperCase());
}

/** `RUN <<EOF` and nothing else. */
function startsAlone(instruction: RunInstruction): boolean {
  return /^\d*<<-?\s*[^<]*$/.test(instruction.command.words.join(" "));
}
