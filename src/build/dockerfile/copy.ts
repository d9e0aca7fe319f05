/** COPY and ADD (Dockerfile reference). */
import type { AddInstruction, CopyInstruction, Heredoc } from "./ast.ts";
import type { FlagValues } from "./flags.ts";
import { chompTabs, heredocStart } from "./heredoc.ts";
import { type InstructionText, common, readFlags } from "./request.ts";
import { jsonWords, splitAtBlanks } from "./split.ts";

const sharedFlags = {
  chown: "string",
  chmod: "string",
  link: "boolean",
  exclude: "strings",
} as const;

interface Paths {
  readonly sources: readonly string[];
  readonly heredocs: readonly Heredoc[];
  readonly destination: string;
}

function paths(instruction: string, text: InstructionText): Paths {
  const words = jsonWords(text.rest) ?? splitAtBlanks(text.rest);
  const destination = words.pop();
  if (destination === undefined || words.length === 0)
    throw new Error(
      `${instruction} requires at least two arguments, but only one was provided. Destination could not be determined`,
    );
  if (heredocStart(destination) !== undefined)
    throw new Error(`${instruction} cannot accept a heredoc as a destination`);
  const sources: string[] = [];
  const heredocs: Heredoc[] = [];
  for (const word of words) {
    const start = heredocStart(word);
    const document = start && text.heredocs.find(({ name }) => name === start.name);
    if (start === undefined || document === undefined) sources.push(word);
    else
      heredocs.push({
        ...document,
        ...start,
        data: start.chomp ? chompTabs(document.data) : document.data,
      });
  }
  return { sources, heredocs, destination };
}

function shared(flags: FlagValues): Pick<CopyInstruction, "chown" | "chmod" | "link" | "excludes"> {
  const chown = flags.text("chown");
  const chmod = flags.text("chmod");
  return {
    ...(chown === undefined ? {} : { chown }),
    ...(chmod === undefined ? {} : { chmod }),
    link: flags.flag("link") ?? false,
    excludes: flags.texts("exclude"),
  };
}

export function parseCopy(text: InstructionText): CopyInstruction {
  const where = paths("COPY", text);
  const flags = readFlags(text, { ...sharedFlags, from: "string", parents: "boolean" });
  const from = flags.text("from");
  return {
    ...common(text),
    kind: "copy",
    ...where,
    ...shared(flags),
    parents: flags.flag("parents") ?? false,
    ...(from === undefined ? {} : { from }),
  };
}

export function parseAdd(text: InstructionText): AddInstruction {
  const where = paths("ADD", text);
  const flags = readFlags(text, {
    ...sharedFlags,
    "keep-git-dir": "boolean",
    checksum: "string",
    unpack: "boolean",
    parents: "boolean",
  });
  const checksum = flags.text("checksum");
  const keepGitDir = flags.flag("keep-git-dir");
  const unpack = flags.flag("unpack");
  return {
    ...common(text),
    kind: "add",
    ...where,
    ...shared(flags),
    parents: flags.flag("parents") ?? false,
    ...(checksum === undefined ? {} : { checksum }),
    ...(keepGitDir === undefined ? {} : { keepGitDir }),
    ...(unpack === undefined ? {} : { unpack }),
  };
}
