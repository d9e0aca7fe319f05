/** From an instruction's text to its node in the syntax tree. Faults are plain `Error`s; parse.ts adds the place. */
import type { ArgInstruction, CommandLine, Instruction, KeyValue, RunInstruction } from "./ast.ts";
import { parseAdd, parseCopy } from "./copy.ts";
import { parseHealthcheck } from "./healthcheck.ts";
import { checkMount, parseDevice, parseMount } from "./mount.ts";
import {
  type InstructionText,
  commandWords,
  common,
  descriptionOf,
  needsOne,
  needsSome,
  readFlags,
} from "./request.ts";
import { jsonWords, splitAtBlanks, splitName, splitOnce, splitWords } from "./split.ts";

/** FROM apart: it begins a stage. */
const parsers: Readonly<Record<string, (text: InstructionText) => Instruction>> = {
  ADD: parseAdd,
  ARG: parseArg,
  CMD: (text) => ({ ...common(text), kind: "cmd", command: command(text) }),
  COPY: parseCopy,
  ENTRYPOINT: (text) => ({ ...common(text), kind: "entrypoint", command: command(text) }),
  ENV: (text) => ({ ...common(text), kind: "env", entries: keyValues("ENV", text) }),
  EXPOSE: parseExpose,
  HEALTHCHECK: parseHealthcheck,
  LABEL: (text) => ({ ...common(text), kind: "label", entries: keyValues("LABEL", text) }),
  MAINTAINER: (text) => {
    readFlags(text);
    return { ...common(text), kind: "maintainer", maintainer: needsOne("MAINTAINER", text.rest) };
  },
  ONBUILD: parseOnbuild,
  RUN: parseRun,
  SHELL: parseShell,
  STOPSIGNAL: (text) => ({ ...common(text), kind: "stopsignal", signal: needsOne("STOPSIGNAL", text.rest) }),
  USER: (text) => {
    readFlags(text);
    return { ...common(text), kind: "user", user: needsOne("USER", text.rest) };
  },
  VOLUME: parseVolume,
  WORKDIR: (text) => {
    readFlags(text);
    return { ...common(text), kind: "workdir", path: needsOne("WORKDIR", text.rest) };
  },
};

export const instructionNames: readonly string[] = [...Object.keys(parsers), "FROM"];

/** Undefined for a name that is none, and for FROM. */
export function parserOf(name: string): ((text: InstructionText) => Instruction) | undefined {
  const key = name.toUpperCase();
  return Object.hasOwn(parsers, key) ? parsers[key] : undefined;
}

/** True when here-documents may follow the instruction. */
export function takesHeredocs(name: string, rest: string): boolean {
  const key = name.toUpperCase();
  if (key === "ONBUILD") {
    const inner = splitName(rest);
    return inner.name.toUpperCase() !== "ONBUILD" && takesHeredocs(inner.name, inner.rest);
  }
  return ["RUN", "COPY", "ADD"].includes(key) && jsonWords(rest) === undefined;
}

function command(text: InstructionText): CommandLine {
  readFlags(text);
  return { ...commandWords(text.rest), heredocs: [] };
}

function parseRun(text: InstructionText): RunInstruction {
  const flags = readFlags(text, {
    mount: "strings",
    network: "string",
    security: "string",
    device: "strings",
  });
  const network = flags.text("network") ?? "default";
  if (network !== "default" && network !== "none" && network !== "host")
    throw new Error(`invalid network mode ${JSON.stringify(network)}`);
  const security = flags.text("security") ?? "sandbox";
  if (security !== "sandbox" && security !== "insecure")
    throw new Error(`security ${JSON.stringify(security)} is not valid`);
  const mountFlags = flags.texts("mount");
  for (const flag of mountFlags) checkMount(flag);
  const devices = flags.texts("device");
  for (const device of devices) parseDevice(device);
  const line = commandWords(text.rest);
  if (text.heredocs.length > 0 && line.form === "exec")
    throw new Error(`parsing produced an invalid run command: [${line.words.join(" ")}]`);
  return {
    ...common(text),
    kind: "run",
    command: { ...line, heredocs: text.heredocs },
    // Those without variables are whole already, and the graph asks where they come from.
    mounts: mountFlags
      .filter((flag) => !flag.includes("$"))
      .map((flag) => parseMount(flag, (value) => value)),
    mountFlags,
    network,
    security,
    devices,
  };
}

/** `key=value …`, or the old form `key the whole rest`. */
function keyValues(instruction: string, text: InstructionText): KeyValue[] {
  readFlags(text);
  const words = needsSome(instruction, splitWords(text.rest, text.escape));
  if (!words[0]!.includes("=")) {
    const [key, value] = splitOnce(text.rest);
    if (value === undefined) throw new Error(`${instruction} must have two arguments`);
    return [{ key, value, delimited: false }];
  }
  return words.map((word) => {
    const at = word.indexOf("=");
    if (at === -1)
      throw new Error(
        `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`,
      );
    if (at === 0) throw new Error(`${instruction} names can not be blank`);
    return { key: word.slice(0, at), value: word.slice(at + 1), delimited: true };
  });
}

function parseArg(text: InstructionText): ArgInstruction {
  const words = needsSome("ARG", splitWords(text.rest, text.escape));
  return {
    ...common(text),
    kind: "arg",
    entries: words.map((word) => {
      const at = word.indexOf("=");
      if (at === 0) throw new Error("ARG names can not be blank");
      const key = at === -1 ? word : word.slice(0, at);
      const description = descriptionOf(key, text.comments);
      return {
        key,
        ...(at === -1 ? {} : { value: word.slice(at + 1) }),
        ...(description === undefined ? {} : { description }),
      };
    }),
  };
}

function parseExpose(text: InstructionText): Instruction {
  readFlags(text);
  const ports = [...needsSome("EXPOSE", splitAtBlanks(text.rest))].sort();
  return { ...common(text), kind: "expose", ports };
}

function parseVolume(text: InstructionText): Instruction {
  readFlags(text);
  const words = needsSome("VOLUME", jsonWords(text.rest) ?? splitAtBlanks(text.rest));
  const paths = words.map((word) => word.trim());
  if (paths.includes("")) throw new Error("VOLUME specified can not be an empty string");
  return { ...common(text), kind: "volume", paths };
}

function parseShell(text: InstructionText): Instruction {
  readFlags(text);
  const { form, words } = commandWords(text.rest);
  needsSome("SHELL", words);
  if (form !== "exec") throw new Error("SHELL requires the arguments to be in JSON form");
  return { ...common(text), kind: "shell", words };
}

function parseOnbuild(text: InstructionText): Instruction {
  if (text.rest === "") throw new Error("ONBUILD requires at least one argument");
  readFlags(text);
  const trigger = splitName(text.rest).name.toUpperCase();
  if (trigger === "ONBUILD") throw new Error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === "MAINTAINER" || trigger === "FROM")
    throw new Error(`${trigger} isn't allowed as an ONBUILD trigger`);
  const expression =
    text.code.replace(/^\s*ONBUILD\s*/i, "") +
    text.heredocs.map(({ data, name }) => `\n${data}${name}`).join("");
  return { ...common(text), kind: "onbuild", expression };
}
