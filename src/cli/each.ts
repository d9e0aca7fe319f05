import { ClientError } from "../client/errors.ts";
import type { CommandContext } from "./command.ts";
import { CliError } from "./errors.ts";

/** How many requests are under way at the same time, as in Docker's command line. */
const parallelRequests = 50;

/** How the error of one of several names is shown. */
export function errorLine(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Without a status it came inside of a stream, whose messages Docker's command line shows as they are.
  return error instanceof ClientError && error.status !== 0
    ? `Error response from daemon: ${error.message}`
    : error.message;
}

/**
 * Does `action` for each name, side by side, and prints what it returns in the order of the names; failures are shown
 * at the end. Returns the exit code: 1 when one failed.
 */
export async function forEachName(
  context: CommandContext,
  names: readonly string[],
  action: (name: string) => Promise<string | undefined>,
): Promise<number> {
  const pending: Promise<Outcome>[] = [];
  const errors: string[] = [];
  for (const [index, name] of names.entries()) {
    const turn = index < parallelRequests ? undefined : pending[index - parallelRequests];
    pending.push(settle(turn, () => action(name)));
  }
  for (const promise of pending) {
    const outcome = await promise;
    if ("error" in outcome) errors.push(errorLine(outcome.error));
    else if (outcome.text !== undefined) context.print(`${outcome.text}\n`);
  }
  for (const line of errors) context.printError(line);
  return errors.length === 0 ? 0 : 1;
}

type Outcome = { readonly text: string | undefined } | { readonly error: unknown };

async function settle(
  turn: Promise<Outcome> | undefined,
  action: () => Promise<string | undefined>,
): Promise<Outcome> {
  await turn;
  try {
    return { text: await action() };
  } catch (error) {
    return { error };
  }
}

/** A name without the slash that Docker's older lists put in front. Throws `CliError` for an empty one. */
export function containerName(text: string): string {
  const name = text.trim().replace(/^\/+|\/+$/g, "");
  if (name === "") throw new CliError("container name cannot be empty");
  return name;
}
