/** Commands that do for a service's container what another command of gantry does for any. */
import type { Command, CommandContext } from "../command.ts";
import { parseArguments } from "../parser.ts";
import type { ComposeApp } from "./app.ts";

/** Runs another command with these words behind its name, in the same context unless another is given. */
export async function delegate(
  app: ComposeApp,
  load: () => Promise<{ readonly default: Command }>,
  words: readonly string[],
  context: CommandContext = app.context,
): Promise<number> {
  const { default: command } = await load();
  const parsed = parseArguments(words, command.flags, {
    stopAtFirstArgument: command.stopAtFirstArgument === true,
  });
  return await command.run(context, parsed);
}

/** `--name=value` for each of a flag's values. */
export function flagWords(name: string, values: readonly string[]): string[] {
  return values.map((value) => `--${name}=${value}`);
}

/** `--name` when it is wanted. */
export function boolWords(name: string, isWanted: boolean): string[] {
  return isWanted ? [`--${name}`] : [];
}
