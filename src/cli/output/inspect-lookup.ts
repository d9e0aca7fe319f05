import { ClientError } from "../../client/errors.ts";
import type { Client } from "../../client/client.ts";
import type { CommandContext } from "../command.ts";
import { CliError } from "../errors.ts";
import type { InspectPrinter } from "./inspect.ts";

/** Kinds of things in the order in which a name is looked up among them. */
export const inspectKinds = ["container", "image", "network", "volume"] as const;

/** Later versions of the API leave out `.NetworkSettings.IPAddress` and its like, which scripts ask for. */
const lastWithAddresses = "1.51";

export type InspectKind = (typeof inspectKinds)[number];

export function isInspectKind(text: string): text is InspectKind {
  return inspectKinds.some((kind) => kind === text);
}

export interface InspectOptions {
  readonly kinds: readonly InspectKind[];
  readonly printer: InspectPrinter;
  /** Ask for the sizes of containers. */
  readonly size?: boolean;
  readonly platform?: string;
}

/** Looks every name up, prints what was found, then an error line for each name that is nothing. Returns the exit code. */
export async function inspectAll(
  context: CommandContext,
  names: readonly string[],
  options: InspectOptions,
): Promise<number> {
  const found: unknown[] = [];
  const failures: string[] = [];
  for (const name of names) {
    try {
      found.push(await lookUp(context.client, name, options));
    } catch (error) {
      if (!(error instanceof Error) || error.name === "ConnectionError") throw error;
      failures.push(
        error instanceof CliError ? error.message : `Error response from daemon: ${error.message}`,
      );
    }
  }
  // A template that fails over one of the objects is told after the others' names, with its own exit code.
  context.print(options.printer.print(found));
  for (const failure of failures) context.printError(failure);
  return failures.length === 0 ? 0 : 1;
}

async function lookUp(client: Client, name: string, options: InspectOptions): Promise<unknown> {
  for (const kind of options.kinds) {
    // Of one kind alone the daemon's own words are the best.
    if (options.kinds.length === 1) return await inspectOne(client, name, kind, options);
    try {
      return await inspectOne(client, name, kind, options);
    } catch (error) {
      // What cannot be the name of one kind may be that of another.
      if (!(error instanceof ClientError) || ![400, 404].includes(error.status)) throw error;
    }
  }
  throw new CliError(`Error: No such object: ${name}`);
}

function inspectOne(
  client: Client,
  name: string,
  kind: InspectKind,
  options: InspectOptions,
): Promise<unknown> {
  switch (kind) {
    case "container":
      return client.containerInspect(name, { size: options.size === true, newestVersion: lastWithAddresses });
    case "image":
      return client.imageInspect(name, options.platform === undefined ? {} : { platform: options.platform });
    case "network":
      return client.networkInspect(name);
    case "volume":
      return client.volumeInspect(name);
  }
}
