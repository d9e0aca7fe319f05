/** What instructions without files do to an image's configuration, and the words they leave in its history. */
import { formatDuration } from "../base/duration.ts";
import { invalidArgument } from "../base/errors.ts";
import { parseSignal } from "../base/signals.ts";
import type { HistoryEntry, ImageConfig } from "../oci/image-spec.ts";
import type { CommandLine, HealthcheckInstruction, Instruction } from "./dockerfile/ast.ts";
import { runScript } from "./dockerfile/heredoc.ts";

/** What BuildKit's Dockerfile frontend writes into each entry. */
const historyComment = "buildkit.dockerfile.v0";
const defaultShell = ["/bin/sh", "-c"];

export interface ConfigDraft {
  config: ImageConfig;
  author: string | undefined;
  readonly history: HistoryEntry[];
  /** A CMD of this stage: an ENTRYPOINT then leaves it. */
  hasOwnCmd: boolean;
}

/** Adds an entry. Those of steps with files end with `# buildkit`, as BuildKit's do. */
export function addHistory(
  draft: Pick<ConfigDraft, "history">,
  createdBy: string,
  options: { readonly isStep: boolean; readonly hasLayer: boolean; readonly created?: string },
): void {
  draft.history.push({
    ...(options.created === undefined ? {} : { created: options.created }),
    created_by: options.isStep ? `${createdBy} # buildkit` : createdBy,
    comment: historyComment,
    ...(options.hasLayer ? {} : { empty_layer: true }),
  });
}

/** Go's `%q` of a list of texts. */
const quoted = (words: readonly string[]): string =>
  `[${words.map((word) => JSON.stringify(word)).join(" ")}]`;

/** Program and arguments of a command line in a stage. */
export function commandWords(command: CommandLine, config: ImageConfig): string[] {
  if (command.form === "exec") return [...command.words];
  const script = runScript(command);
  return [...shellOf(config), script.kind === "text" ? script.text : `/dev/pipes/${script.name}`];
}

const shellOf = (config: ImageConfig): readonly string[] =>
  config.Shell && config.Shell.length > 0 ? config.Shell : defaultShell;

/** Sets a variable where it is, or at the end. */
function withEnv(env: readonly string[], key: string, value: string): string[] {
  const entry = `${key}=${value}`;
  const at = env.findIndex((existing) => existing.startsWith(`${key}=`));
  return at < 0 ? [...env, entry] : env.with(at, entry);
}

/**
 * Does what an instruction says, values filled in. False for those that are not of the configuration alone: FROM, ARG,
 * RUN, COPY, ADD, WORKDIR. Throws `invalidArgument`.
 */
export function applyInstruction(draft: ConfigDraft, instruction: Instruction): boolean {
  const { config } = draft;
  const note = (createdBy: string): true => {
    addHistory(draft, createdBy, { isStep: false, hasLayer: false });
    return true;
  };
  switch (instruction.kind) {
    case "env":
      for (const { key, value } of instruction.entries) config.Env = withEnv(config.Env ?? [], key, value);
      return note(`ENV ${instruction.entries.map(({ key, value }) => `${key}=${value}`).join(" ")}`);
    case "label":
      for (const { key, value } of instruction.entries) config.Labels = { ...config.Labels, [key]: value };
      return note(`LABEL ${instruction.entries.map(({ key, value }) => `${key}=${value}`).join(" ")}`);
    case "expose": {
      const ports = instruction.ports.flatMap(exposedPorts);
      config.ExposedPorts = {
        ...config.ExposedPorts,
        ...Object.fromEntries(ports.map((port) => [port, {}])),
      };
      return note(
        `EXPOSE map[${[...new Set(ports)]
          .sort()
          .map((port) => `${port}:{}`)
          .join(" ")}]`,
      );
    }
    case "volume":
      for (const path of instruction.paths) {
        if (path.trim() === "") throw invalidArgument("VOLUME specified can not be an empty string");
        config.Volumes = { ...config.Volumes, [path]: {} };
      }
      return note(`VOLUME [${instruction.paths.join(" ")}]`);
    case "user":
      config.User = instruction.user;
      return note(`USER ${instruction.user}`);
    case "cmd": {
      const words = commandWords(instruction.command, config);
      config.Cmd = words;
      config.ArgsEscaped = true;
      draft.hasOwnCmd = true;
      return note(`CMD ${quoted(words)}`);
    }
    case "entrypoint": {
      const words = commandWords(instruction.command, config);
      config.Entrypoint = words;
      if (!draft.hasOwnCmd) delete config.Cmd;
      return note(`ENTRYPOINT ${quoted(words)}`);
    }
    case "shell":
      config.Shell = [...instruction.words];
      return note(`SHELL [${instruction.words.join(" ")}]`);
    case "stopsignal":
      if (parseSignal(instruction.signal) === undefined)
        throw invalidArgument(`invalid signal: ${instruction.signal}`);
      config.StopSignal = instruction.signal;
      return note(`STOPSIGNAL ${instruction.signal}`);
    case "healthcheck":
      config.Healthcheck = { ...instruction.check, Test: [...instruction.check.Test] };
      return note(`HEALTHCHECK ${healthcheckWords(instruction.check)}`);
    case "onbuild":
      config.OnBuild = [...(config.OnBuild ?? []), instruction.expression];
      return true;
    case "maintainer":
      draft.author = instruction.maintainer;
      return note(`MAINTAINER ${instruction.maintainer}`);
    default:
      return false;
  }
}

/** `8000-8002/udp` as single ports; a host's address or port in front says nothing to an image. */
function exposedPorts(text: string): string[] {
  const match = /^(?:.*:)?(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first > last || last > 65535 || last < 1)
    throw invalidArgument(`Invalid containerPort: ${text}`);
  const protocol = (match[3] ?? "tcp").toLowerCase();
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}

/** Go's `%q` of the check's structure: texts and durations in quotes, the number as a character. */
function healthcheckWords(check: HealthcheckInstruction["check"]): string {
  const times = [check.Interval, check.Timeout, check.StartPeriod, check.StartInterval];
  const retries = String.fromCodePoint(check.Retries ?? 0);
  return `&{${quoted(check.Test)} ${times.map((ns) => `"${formatDuration(ns ?? 0)}"`).join(" ")} '${goRune(retries)}'}`;
}

function goRune(character: string): string {
  const code = character.codePointAt(0)!;
  const named = new Map([
    [7, "\\a"],
    [8, "\\b"],
    [9, "\\t"],
    [10, "\\n"],
    [11, "\\v"],
    [12, "\\f"],
    [13, "\\r"],
    [39, "\\'"],
    [92, "\\\\"],
  ]);
  return (
    named.get(code) ?? (code < 32 || code === 127 ? `\\x${code.toString(16).padStart(2, "0")}` : character)
  );
}

/**
 * The history with a time in each entry: one that was not noted has the time of the first new layer, or of the entry
 * before it; as BuildKit's exporter does.
 */
export function datedHistory(history: readonly HistoryEntry[]): HistoryEntry[] {
  let created: string | undefined;
  let isMissing = false;
  for (const entry of history)
    if (entry.created === undefined) isMissing = true;
    else {
      created = entry.created;
      if (isMissing) break;
    }
  isMissing = false;
  return history.map((entry) => {
    if (entry.created !== undefined) {
      if (isMissing) created = entry.created;
      return entry;
    }
    isMissing = true;
    return created === undefined ? entry : { created, ...entry };
  });
}
