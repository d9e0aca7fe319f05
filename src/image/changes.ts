/** `--change` of import (and commit): Dockerfile instructions that change an image's configuration. */
import { parseDuration } from "../base/duration.ts";
import { invalidArgument } from "../base/errors.ts";
import { parseSignal } from "../base/signals.ts";
import type { ImageConfig } from "../oci/image-spec.ts";
import { expandVariables, keyValuePairs, splitWords } from "./change-words.ts";

type Apply = (config: ImageConfig, rest: string, env: ReadonlyMap<string, string>) => void;

const onlyOne = new Set(["user", "workdir", "stopsignal"]);
const defaultShell = ["/bin/sh", "-c"];

/** The configuration with the changes applied in order. Throws `invalidArgument`. */
export function applyChanges(config: ImageConfig, changes: readonly string[]): ImageConfig {
  const changed = structuredClone(config);
  let isCommandSet = false;
  for (const line of changes.flatMap((change) => change.split("\n"))) {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) continue;
    const [, word = "", rest = ""] = /^(\S+)\s*(.*)$/s.exec(text) ?? [];
    const apply = instructions[word.toLowerCase()];
    if (apply === undefined) throw invalidArgument(`${word} is not a valid change command`);
    if (rest === "") {
      const count = onlyOne.has(word.toLowerCase()) ? "exactly" : "at least";
      throw invalidArgument(`${word.toUpperCase()} requires ${count} one argument`);
    }
    apply(changed, rest, environment(changed));
    if (apply === instructions["cmd"]) isCommandSet = true;
    // The arguments of another program are none of this one's.
    else if (apply === instructions["entrypoint"] && !isCommandSet) delete changed.Cmd;
  }
  return changed;
}

function environment(config: ImageConfig): Map<string, string> {
  return new Map(
    (config.Env ?? []).map((entry): [string, string] => {
      const equals = entry.indexOf("=");
      return equals === -1 ? [entry, ""] : [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
}

/** A JSON list of strings, when the text is one. */
function jsonList(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined;
  } catch {
    return undefined;
  }
}

/** JSON form, or the shell form, which the image's shell runs. */
function commandOf(config: ImageConfig, text: string): string[] {
  return jsonList(text) ?? [...(config.Shell ?? defaultShell), text];
}

function single(name: string, text: string, env: ReadonlyMap<string, string>): string {
  const words = splitWords(expandVariables(text, env));
  if (words.length !== 1) throw invalidArgument(`${name} requires exactly one argument`);
  return words[0]!;
}

/** A null prototype: a label may be called `constructor`. */
const instructions: Readonly<Record<string, Apply>> = Object.assign(
  Object.create(null) as Record<string, Apply>,
  {
    cmd: (config, rest) => {
      config.Cmd = commandOf(config, rest);
    },
    entrypoint: (config, rest) => {
      config.Entrypoint = commandOf(config, rest);
    },
    env: (config, rest, env) => {
      for (const [key, value] of keyValuePairs("ENV", rest, env)) {
        const others = (config.Env ?? []).filter((entry) => !entry.startsWith(`${key}=`));
        const at = (config.Env ?? []).findIndex((entry) => entry.startsWith(`${key}=`));
        others.splice(at === -1 ? others.length : at, 0, `${key}=${value}`);
        config.Env = others;
      }
    },
    label: (config, rest, env) => {
      config.Labels = { ...config.Labels, ...Object.fromEntries(keyValuePairs("LABEL", rest, env)) };
    },
    expose: (config, rest, env) => {
      for (const word of splitWords(expandVariables(rest, env)))
        for (const port of ports(word)) config.ExposedPorts = { ...config.ExposedPorts, [port]: {} };
    },
    volume: (config, rest, env) => {
      const paths = jsonList(rest) ?? splitWords(expandVariables(rest, env));
      if (paths.length === 0) throw invalidArgument("VOLUME requires at least one argument");
      for (const path of paths) {
        if (path.trim() === "") throw invalidArgument("VOLUME specified can not be an empty string");
        config.Volumes = { ...config.Volumes, [path]: {} };
      }
    },
    user: (config, rest, env) => {
      config.User = single("USER", rest, env);
    },
    workdir: (config, rest, env) => {
      const path = single("WORKDIR", rest, env);
      const base = path.startsWith("/") ? path : `${config.WorkingDir ?? ""}/${path}`;
      const parts: string[] = [];
      for (const part of base.split("/"))
        if (part === "..") parts.pop();
        else if (part !== "" && part !== ".") parts.push(part);
      config.WorkingDir = `/${parts.join("/")}`;
    },
    stopsignal: (config, rest, env) => {
      const signal = single("STOPSIGNAL", rest, env);
      if (parseSignal(signal) === undefined) throw invalidArgument(`invalid signal: ${signal}`);
      config.StopSignal = signal;
    },
    onbuild: (config, rest) => {
      const word = /^\S+/.exec(rest)![0].toUpperCase();
      if (word === "ONBUILD") throw invalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
      if (word === "FROM" || word === "MAINTAINER")
        throw invalidArgument(`${word} isn't allowed as an ONBUILD trigger`);
      config.OnBuild = [...(config.OnBuild ?? []), rest];
    },
    healthcheck: (config, rest) => {
      config.Healthcheck = healthcheck(rest);
    },
  } satisfies Record<string, Apply>,
);

function ports(word: string): string[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(word);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first < 1 || last > 65535 || last < first)
    throw invalidArgument(`invalid containerPort: ${word}`);
  const protocol = (match[3] ?? "tcp").toLowerCase();
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}

/** A Go duration in ns; 0 or at least 1 ms. */
function durationNs(option: string, text: string): number {
  const ns = parseDuration(text);
  if (ns === undefined || ns < 0)
    throw invalidArgument(`invalid duration ${JSON.stringify(text)} for --${option}`);
  if (ns !== 0 && ns < 1e6) throw invalidArgument(`--${option} cannot be less than 1ms`);
  return ns;
}

function healthcheck(text: string): NonNullable<ImageConfig["Healthcheck"]> {
  const check: NonNullable<ImageConfig["Healthcheck"]> = {};
  let rest = text;
  for (
    let match = /^--([a-z-]+)=(\S+)\s*/.exec(rest);
    match !== null;
    match = /^--([a-z-]+)=(\S+)\s*/.exec(rest)
  ) {
    const [whole, option = "", value = ""] = match;
    rest = rest.slice(whole.length);
    if (option === "interval") check.Interval = durationNs(option, value);
    else if (option === "timeout") check.Timeout = durationNs(option, value);
    else if (option === "start-period") check.StartPeriod = durationNs(option, value);
    else if (option === "start-interval") check.StartInterval = durationNs(option, value);
    else if (option === "retries" && /^\d{1,9}$/.test(value)) check.Retries = Number(value);
    else throw invalidArgument(`HEALTHCHECK has the unknown or malformed option --${option}=${value}`);
  }
  const [, word = "", command = ""] = /^(\S*)\s*(.*)$/s.exec(rest) ?? [];
  if (word.toUpperCase() === "NONE") {
    if (command !== "" || Object.keys(check).length > 0)
      throw invalidArgument("HEALTHCHECK NONE takes no arguments");
    return { Test: ["NONE"] };
  }
  if (word.toUpperCase() !== "CMD")
    throw invalidArgument(`Unknown type ${JSON.stringify(word)} in HEALTHCHECK (try CMD)`);
  if (command === "") throw invalidArgument("Missing command after HEALTHCHECK CMD");
  const list = jsonList(command);
  check.Test = list === undefined ? ["CMD-SHELL", command] : ["CMD", ...list];
  return check;
}
