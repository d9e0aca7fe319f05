import type { Command, CommandContext, GroupArguments } from "./command.ts";
import { commands, groupFlags, groups, unservedCommands } from "./commands.ts";
import { processContext, type ContextOptions } from "./context.ts";
import { errorLine } from "./each.ts";
import { CliError, exitUsage, UsageError } from "./errors.ts";
import { globalFlags } from "./global-flags.ts";
import { parseArguments, type ParsedArguments } from "./parser.ts";

export interface RunCliOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Makes the context of the command; the process's own by default. */
  readonly makeContext?: (options: ContextOptions) => CommandContext;
  /** Runs the daemon; see {@link ContextOptions}. */
  readonly runDaemon?: (parsed: ParsedArguments) => Promise<number>;
  /** Runs a registry; see {@link ContextOptions}. */
  readonly runRegistry?: ContextOptions["runRegistry"];
  /** Speaks to registries; see {@link ContextOptions}. */
  readonly manifestRegistry?: ContextOptions["manifestRegistry"];
  /** Looks at this machine without a daemon; see {@link ContextOptions}. */
  readonly maintenance?: ContextOptions["maintenance"];
}

/** Runs one command line (without the program's name) to its end, and returns the exit code. Prints all errors. */
export async function runCli(words: readonly string[], options: RunCliOptions): Promise<number> {
  const makeContext = options.makeContext ?? processContext;
  let context: CommandContext | undefined;
  let isDebug = false;
  try {
    const globals = parseGlobals(words);
    isDebug = globals.bool("debug");
    const hosts = globals.list("host");
    if (hosts.length > 1) throw new CliError("Specify only one -H");
    context = makeContext({
      words,
      env: options.env,
      runDaemon: options.runDaemon,
      runRegistry: options.runRegistry,
      manifestRegistry: options.manifestRegistry,
      maintenance: options.maintenance,
      endpoint: {
        host: hosts[0],
        context: globals.string("context"),
        tls: {
          tls: globals.bool("tls"),
          verify: globals.changed("tlsverify") ? globals.bool("tlsverify") : undefined,
          ca: globals.string("tlscacert"),
          cert: globals.string("tlscert"),
          key: globals.string("tlskey"),
        },
      },
      // Completing a word must not start anything.
      noDaemonStart: globals.positional[0] === "__complete",
      configDirectory: globals.changed("config") ? globals.string("config") : undefined,
    });
    return await dispatch(context, globals);
  } catch (error) {
    context ??= makeContext({ env: options.env });
    return report(context, error, isDebug);
  }
}

function parseGlobals(words: readonly string[]): ParsedArguments {
  try {
    return parseArguments(words, globalFlags, { stopAtFirstArgument: true });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new CliError(
      `${error.message}\n\nUsage:  gantry [OPTIONS] COMMAND [ARG...]\n\nRun 'gantry --help' for more information`,
      exitUsage,
    );
  }
}

async function dispatch(context: CommandContext, globals: ParsedArguments): Promise<number> {
  const words = globals.positional;
  if (globals.bool("version")) {
    const { gantryVersion } = await import("./version-number.ts");
    context.print(`gantry version ${gantryVersion}\n`);
    return 0;
  }
  const isHelp = words[0] === "help";
  const { asked, group } = await takeGroupFlags(isHelp ? words.slice(1) : words);
  if (asked.length === 0) return await showRootHelp(context);
  const found = findCommand(asked);
  if (found === undefined) {
    if (Object.hasOwn(groups, asked[0]!)) return await inGroup(context, asked[0]!, asked.slice(1));
    throw await unknownCommand(asked, "");
  }
  if (isHelp || globals.helpWanted) return await showCommandHelp(context, found);
  return await runCommand(context, found, group);
}

/** Takes the flags between a group and its command out of the words. */
async function takeGroupFlags(
  words: readonly string[],
): Promise<{ readonly asked: readonly string[]; readonly group?: GroupArguments }> {
  const [name, ...rest] = words;
  if (name === undefined || !Object.hasOwn(groupFlags, name)) return { asked: words };
  const { default: flags } = await groupFlags[name]!();
  try {
    const parsed = parseArguments(rest, flags, { stopAtFirstArgument: true });
    const { positional } = parsed;
    const inner = positional[0] === "help" ? [...positional.slice(1), "--help"] : positional;
    const asked = parsed.helpWanted ? [name] : parsed.bool("version") ? [name, "version"] : [name, ...inner];
    return { asked, group: { name, parsed } };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new CliError(
      `${error.message}\n\nRun 'gantry ${name} --help' for more information`,
      error.exitCode,
      { cause: error },
    );
  }
}

/** A command and what was typed: `container ls` and the words after it. */
interface Found {
  readonly path: string;
  readonly rest: readonly string[];
}

function findCommand(words: readonly string[]): Found | undefined {
  const first = words[0]!;
  if (Object.hasOwn(groups, first)) {
    const path = `${first} ${words[1] ?? ""}`;
    return Object.hasOwn(commands, path) ? { path, rest: words.slice(2) } : undefined;
  }
  return Object.hasOwn(commands, first) ? { path: first, rest: words.slice(1) } : undefined;
}

async function inGroup(context: CommandContext, group: string, words: readonly string[]): Promise<number> {
  const [first] = words;
  if (first !== undefined && !first.startsWith("-")) throw await unknownCommand(words, group);
  // Flags of the group itself: --help is all there is.
  parseArguments(words, []);
  const { helpWidth } = await import("./text-layout.ts");
  const { groupHelp } = await import("./help.ts");
  const { listCommands } = await import("./command-list.ts");
  context.print(
    groupHelp(
      { name: group, short: groups[group]!, flags: (await groupFlags[group]?.())?.default ?? [] },
      await listCommands(group),
      helpWidth(context.stdout.columns),
    ),
  );
  return 0;
}

async function unknownCommand(words: readonly string[], group: string): Promise<CliError> {
  const word = words[0]!;
  const full = group === "" ? `gantry ${word}` : `gantry ${group} ${word}`;
  const see = `Run 'gantry${group === "" ? "" : ` ${group}`} --help' for more information`;
  if (unservedCommands[group]?.includes(word) === true) {
    const { unservedWords } = await import("./unserved.ts");
    const said = group === "" ? unservedWords(word, words[1] ?? "", words.slice(2)) : undefined;
    return new CliError(
      said ?? `gantry: '${full}' is a command of Docker's that gantry does not serve.\n${see}`,
    );
  }
  const { nearest } = await import("./suggest.ts");
  const { commandNames } = await import("./command-list.ts");
  const near = nearest(word, commandNames(group));
  const prefix = group === "" ? "gantry" : `gantry ${group}`;
  const hint =
    near.length === 0
      ? ""
      : `\n\nDid you mean this?\n${near.map((name) => `\t${prefix} ${name}\n`).join("")}`;
  return new CliError(`gantry: unknown command: ${full}${hint}\n${hint === "" ? "\n" : ""}${see}`);
}

async function showRootHelp(context: CommandContext): Promise<number> {
  const { helpWidth } = await import("./text-layout.ts");
  const { rootHelp } = await import("./help.ts");
  const { listCommands } = await import("./command-list.ts");
  context.print(rootHelp(await listCommands(""), globalFlags, helpWidth(context.stdout.columns)));
  return 0;
}

async function showCommandHelp(context: CommandContext, found: Found): Promise<number> {
  const { default: command } = await commands[found.path]!();
  const { helpWidth } = await import("./text-layout.ts");
  const { commandHelp } = await import("./help.ts");
  context.print(commandHelp(command, found.path, helpWidth(context.stdout.columns)));
  return 0;
}

async function runCommand(
  context: CommandContext,
  found: Found,
  group: GroupArguments | undefined,
): Promise<number> {
  const { default: command } = await commands[found.path]!();
  try {
    const parsed = parseArguments(found.rest, command.flags, {
      stopAtFirstArgument: command.stopAtFirstArgument === true,
    });
    if (!parsed.helpWanted) checkCount(command, found.path, parsed.positional.length);
    if (parsed.helpWanted) return await showCommandHelp(context, found);
    return await command.run(context, parsed, group);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const { usageLine } = await import("./help.ts");
    throw new CliError(
      `${error.message}\n\n${usageLine(command, found.path)}\n\nRun 'gantry ${found.path} --help' for more information`,
      error.exitCode,
    );
  }
}

/** Refuses a wrong number of arguments, in Docker's words. */
function checkCount(command: Command, path: string, count: number): void {
  const { min, max } = command.args;
  if (count >= min && (max === undefined || count <= max)) return;
  const plural = (n: number): string => `${n} argument${n === 1 ? "" : "s"}`;
  const name = `'gantry ${path}'`;
  let wanted: string;
  if (max === 0) wanted = "accepts no arguments";
  else if (max === min) wanted = `requires ${plural(min)}`;
  else if (max === undefined) wanted = `requires at least ${plural(min)}`;
  else if (min === 0) wanted = `requires at most ${plural(max)}`;
  else if (count < min) wanted = `requires at least ${plural(min)}`;
  else wanted = `requires at most ${plural(max)}`;
  throw new UsageError(`gantry: ${name} ${wanted}`, 1);
}

function report(context: CommandContext, error: unknown, isDebug: boolean): number {
  const thrown = error instanceof Error ? error : new Error(String(error));
  if (thrown instanceof CliError) {
    if (thrown.message !== "") context.printError(thrown.message);
  } else if (thrown.name === "ClientError") {
    context.printError(errorLine(thrown));
  } else {
    // What was foreseen says it all; anything else is a fault of this program.
    const isForeseen = ["ConnectionError", "EngineError", "Error"].includes(thrown.name);
    context.printError(isForeseen ? thrown.message : `gantry: ${thrown.message}`);
    // By its name: the engine's bundle has a class of its own.
    const { hint } = thrown as { readonly hint?: unknown };
    if (thrown.name === "EngineError" && typeof hint === "string") context.printError(hint);
  }
  if (isDebug && thrown.stack !== undefined) context.printError(thrown.stack);
  return thrown instanceof CliError ? thrown.exitCode : 1;
}
