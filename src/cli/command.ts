import type { Client } from "../client/client.ts";
import type { Endpoint } from "./endpoint.ts";
import type { FlagSpec } from "./flags.ts";
import type { ManifestRegistry } from "./manifest/access.ts";
import type { ParsedArguments } from "./parser.ts";
import type { Maintenance } from "./system/maintenance.ts";

/** Names that a word of a command line is completed with. */
export type CompletionKind =
  | "none"
  | "files"
  | "containers"
  | "running-containers"
  | "stopped-containers"
  | "images"
  | "networks"
  /** First a network, then containers. */
  | "networks-then-containers"
  | "containers-and-images"
  | "services";

/** Heading under which `gantry --help` lists a command. */
export type Section = "common" | "management" | "other";

/** What a command works with: the daemon, and the streams and the environment of the process. */
export interface CommandContext {
  /** Made at its first use: a command that never asks never connects. */
  readonly client: Client;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** The command line as it was typed, without the program's name. */
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Name of the context in use; `default` when flags, environment or the default socket say where the daemon is. */
  contextName(): string;
  /** What `default` names, also while another context is in use. */
  defaultHost(): string;
  /** Where the daemon is. Throws `CliError` for a context that is not there. */
  endpoint(): Endpoint;
  /** Writes text to standard output at once, without waiting for a stream to start. For results of one piece. */
  print(text: string): void;
  /** Writes a line to standard error. */
  printError(line: string): void;
  /** Directory of the client's own settings, as `--config` or the environment says. */
  readonly configDirectory: string;
  /** The client's own settings (`config.json` of `--config`, `DOCKER_CONFIG` or `~/.docker`), read at the first call. */
  config(): ClientConfig;
  /** Becomes the daemon; resolves with the exit code once it has stopped. */
  runDaemon(parsed: ParsedArguments): Promise<number>;
  /** The registry client, for commands that ask registries themselves. */
  manifestRegistry(): Promise<ManifestRegistry>;
  /** What is done with this machine itself, also while no daemon runs. */
  maintenance(): Promise<Maintenance>;
  /** Becomes a registry, or collects the garbage of one; resolves with the exit code. */
  runRegistry(command: "serve" | "gc", parsed: ParsedArguments): Promise<number>;
}

/** Settings of `config.json` that the command line looks at. */
export interface ClientConfig {
  readonly psFormat?: string;
  readonly imagesFormat?: string;
  readonly detachKeys?: string;
  readonly currentContext?: string;
}

/** What stood between a group's name and its command: `-f compose.yaml` in `gantry compose -f compose.yaml up`. */
export interface GroupArguments {
  /** The group as it was typed: `compose` or `fig`. */
  readonly name: string;
  readonly parsed: ParsedArguments;
}

/** One command, in a file of its own that is its module's default export. */
export interface Command {
  /** The shortest name: `run`, or `image bootstrap` where there is no short one. */
  readonly path: string;
  /** Other full names: `container run`. */
  readonly aliases?: readonly string[];
  /** What follows the path: `[OPTIONS] IMAGE [COMMAND] [ARG...]`. */
  readonly usage: string;
  /** One line for lists of commands, without a full stop. */
  readonly short: string;
  /** A paragraph for the command's own help; `short` when there is none. */
  readonly long?: string;
  /** Command lines worth showing, each with what it does. */
  readonly examples?: readonly (readonly [commandLine: string, meaning: string])[];
  readonly section?: Section;
  readonly hidden?: boolean;
  readonly flags: readonly FlagSpec[];
  /** How many arguments are taken; no `max` means any number. */
  readonly args: { readonly min: number; readonly max?: number };
  /** Flags after the first argument belong to the program in the container. */
  readonly stopAtFirstArgument?: boolean;
  /** What its arguments are completed with. */
  readonly completes?: CompletionKind;
  /** Does the work and returns the exit code. May throw CliError, ClientError or ConnectionError. */
  run(context: CommandContext, parsed: ParsedArguments, group?: GroupArguments): Promise<number>;
}

/** A command is loaded when it is called, or its help is asked for. */
export type CommandLoader = () => Promise<{ readonly default: Command }>;
