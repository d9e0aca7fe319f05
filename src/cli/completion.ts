import type { Client } from "../client/client.ts";
import type { Command, CompletionKind } from "./command.ts";
import { commandNames, listCommands } from "./command-list.ts";
import { commands, groupFlags, groups } from "./commands.ts";
import type { FlagSpec } from "./flags.ts";
import { globalFlags } from "./global-flags.ts";

/** Something that the word under the cursor may become. */
export interface Candidate {
  readonly value: string;
  readonly help?: string;
}

/** What the shell is to offer: words, and whether names of files too. */
export interface Completion {
  readonly candidates: readonly Candidate[];
  readonly files: boolean;
}

const nothing: Completion = { candidates: [], files: false };
const onlyFiles: Completion = { candidates: [], files: true };

/**
 * Completes a command line: `words` stand behind the program's name, the last one is under the cursor (and may be
 * empty). The daemon is asked for names where names are wanted; without a daemon there are none.
 */
export async function complete(client: Client, words: readonly string[]): Promise<Completion> {
  const current = words.at(-1) ?? "";
  const before = skipFlags(words.slice(0, -1), globalFlags);
  if (before.pending !== undefined) return onlyFiles;
  const [first] = before.words;
  if (first === undefined) {
    return current.startsWith("-") ? flagsOf(globalFlags, current) : await namesOf("", current);
  }
  const isGroup = Object.hasOwn(groups, first);
  const flags = (await groupFlags[first]?.())?.default ?? [];
  const inGroup = skipFlags(before.words.slice(1), flags);
  if (inGroup.pending !== undefined) return await valuesOf(client, inGroup.pending, current);
  const [second] = inGroup.words;
  if (isGroup && second === undefined && current.startsWith("-")) return flagsOf(flags, current);
  if (isGroup && second === undefined) return await namesOf(first, current);
  const load = commands[isGroup ? `${first} ${second ?? ""}` : first];
  if (load === undefined) return nothing;
  const { default: command } = await load();
  return await completeCommand(client, {
    command,
    before: isGroup ? inGroup.words.slice(1) : before.words.slice(1),
    current,
  });
}

interface InCommand {
  readonly command: Command;
  readonly before: readonly string[];
  readonly current: string;
}

async function completeCommand(client: Client, { command, before, current }: InCommand): Promise<Completion> {
  const given = skipAllFlags(before, command);
  if (given.pending !== undefined) return await valuesOf(client, given.pending, current);
  const belongsToProgram = command.stopAtFirstArgument === true && given.positional > 0;
  if (belongsToProgram) return onlyFiles;
  const glued = /^--([^=]+)=(.*)$/s.exec(current);
  if (glued !== null) {
    const flag = command.flags.find(({ name }) => name === glued[1]);
    if (flag === undefined) return nothing;
    const { candidates, files } = await valuesOf(client, flag, glued[2]!);
    return { candidates: candidates.map(({ value }) => ({ value: `--${glued[1]!}=${value}` })), files };
  }
  if (current.startsWith("-")) return flagsOf(command.flags, current);
  const { max } = command.args;
  if (max !== undefined && given.positional >= max) return nothing;
  const kind = command.completes ?? "none";
  if (kind === "networks-then-containers")
    return await namesOfKind(client, given.positional === 0 ? "networks" : "containers", current);
  return await namesOfKind(client, kind, current);
}

/** Flags in front of the command, up to its name. */
function skipFlags(
  words: readonly string[],
  flags: readonly FlagSpec[],
): { words: readonly string[]; pending: FlagSpec | undefined } {
  let index = 0;
  while (index < words.length && words[index]!.startsWith("-")) {
    const flag = takesNext(words[index]!, flags);
    index++;
    if (flag === undefined) continue;
    if (index >= words.length) return { words: [], pending: flag };
    index++;
  }
  return { words: words.slice(index), pending: undefined };
}

function skipAllFlags(
  words: readonly string[],
  command: Command,
): { positional: number; pending: FlagSpec | undefined } {
  let positional = 0;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === "--") return { positional: positional + words.length - index - 1, pending: undefined };
    if (!word.startsWith("-") || word === "-") {
      positional++;
      if (command.stopAtFirstArgument === true) break;
      continue;
    }
    const flag = takesNext(word, command.flags);
    if (flag === undefined) continue;
    if (++index >= words.length) return { positional, pending: flag };
  }
  return { positional, pending: undefined };
}

/** The flag whose value is the next word, if this word ends with one. */
function takesNext(word: string, flags: readonly FlagSpec[]): FlagSpec | undefined {
  if (word.includes("=")) return undefined;
  const stands = (flag: FlagSpec): boolean => flag.type === "bool" || flag.optionalValue !== undefined;
  if (word.startsWith("--")) {
    const flag = flags.find(({ name }) => name === word.slice(2));
    return flag === undefined || stands(flag) ? undefined : flag;
  }
  for (const [index, letter] of Array.from(word.slice(1)).entries()) {
    const flag = flags.find(({ short }) => short === letter);
    if (flag === undefined) return undefined;
    if (!stands(flag)) return index === word.length - 2 ? flag : undefined;
  }
  return undefined;
}

function flagsOf(flags: readonly FlagSpec[], current: string): Completion {
  const candidates: Candidate[] = [];
  for (const { name, help, hidden, refused } of flags) {
    if (hidden === true || refused !== undefined) continue;
    candidates.push({ value: `--${name}`, help: help.split("\n")[0]! });
  }
  candidates.push({ value: "--help", help: "Tell more" });
  return { candidates: matching(candidates, current), files: false };
}

async function namesOf(group: string, current: string): Promise<Completion> {
  const lines = await listCommands(group);
  const names = new Set(commandNames(group));
  const candidates = lines
    .filter(({ name }) => names.has(name))
    .map(({ name, short }) => ({ value: name, help: short }));
  return { candidates: matching(candidates, current), files: false };
}

function matching(candidates: readonly Candidate[], current: string): Candidate[] {
  return candidates.filter(({ value }) => value.startsWith(current));
}

const words = (text: string): Candidate[] => text.split(" ").map((value) => ({ value }));

/** Values of flags that are one of a few words. */
const knownValues: Readonly<Record<string, readonly Candidate[]>> = {
  cgroupns: words("host private"),
  ipc: words("host none private shareable"),
  "log-driver": words("json-file local journald syslog none"),
  "log-level": words("debug info warn error fatal"),
  pid: words("host"),
  pull: words("always missing never"),
  restart: words("always no on-failure unless-stopped"),
  signal: words("HUP INT KILL QUIT TERM USR1 USR2"),
  "stop-signal": words("HUP INT KILL QUIT TERM USR1 USR2"),
  type: words("container image network volume"),
  uts: words("host"),
};

const fileFlags = new Set(
  "cidfile config device env-file file project-directory input label-file mount output security-opt volume".split(
    " ",
  ),
);

async function valuesOf(client: Client, flag: FlagSpec, current: string): Promise<Completion> {
  const name = flag.aliasOf ?? flag.name;
  if (fileFlags.has(name)) return onlyFiles;
  const known = knownValues[name];
  if (known !== undefined) return { candidates: matching(known, current), files: false };
  switch (name) {
    case "format":
      return { candidates: matching(words("json table"), current), files: false };
    case "link":
    case "volumes-from":
      return await namesOfKind(client, "containers", current);
    case "network":
      return await namesOfKind(client, "networks", current);
    default:
      return nothing;
  }
}

/** What the daemon answers, or nothing when it cannot. */
async function fromDaemon<T>(ask: () => Promise<T[]>): Promise<T[]> {
  try {
    return await ask();
  } catch {
    return [];
  }
}

async function namesOfKind(client: Client, kind: CompletionKind, current: string): Promise<Completion> {
  switch (kind) {
    case "none":
      return nothing;
    case "files":
      return onlyFiles;
    case "services": {
      const { serviceNames } = await import("./compose/service-names.ts");
      return { candidates: matching(serviceNames(), current), files: false };
    }
    case "images":
      return { candidates: matching(await imageNames(client), current), files: false };
    case "networks": {
      const networks = await fromDaemon(() => client.networkList());
      const names = networks.map(({ Name, Driver }) => ({ value: Name, help: Driver }));
      return { candidates: matching(names, current), files: false };
    }
    case "containers-and-images": {
      const both = [...(await containerNames(client, kind)), ...(await imageNames(client))];
      return { candidates: matching(both, current), files: false };
    }
    default:
      return { candidates: matching(await containerNames(client, kind), current), files: false };
  }
}

async function containerNames(client: Client, kind: CompletionKind): Promise<Candidate[]> {
  const stopped = { status: ["created", "exited", "dead"] };
  const query =
    kind === "running-containers"
      ? {}
      : kind === "stopped-containers"
        ? { all: true, filters: stopped }
        : { all: true };
  const containers = await fromDaemon(() => client.containerList(query));
  return containers.flatMap(({ Names, Image, Status }) =>
    Names.map((name) => name.replace(/^\//, ""))
      // A name with a slash inside is one that another container gave by a link.
      .filter((name) => !name.includes("/"))
      .map((value) => ({ value, help: `${Image}, ${Status}` })),
  );
}

async function imageNames(client: Client): Promise<Candidate[]> {
  const images = await fromDaemon(() => client.imageList());
  return images
    .flatMap(({ RepoTags }) => RepoTags ?? [])
    .filter((tag) => !tag.startsWith("<none>"))
    .flatMap((tag) =>
      tag.endsWith(":latest")
        ? [{ value: tag.slice(0, -":latest".length) }, { value: tag }]
        : [{ value: tag }],
    );
}
