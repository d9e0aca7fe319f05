import type { StopQuery } from "../client/containers.ts";
import { CliError } from "./errors.ts";
import type { FlagSpec } from "./flags.ts";
import type { ParsedArguments } from "./parser.ts";

/** Flags of `stop` and `restart`. */
export const stopFlags: readonly FlagSpec[] = [
  { name: "signal", short: "s", type: "string", help: "Signal that asks the program to stop" },
  { name: "time", type: "int", help: "Old spelling of --timeout", aliasOf: "timeout", hidden: true },
  { name: "timeout", short: "t", type: "int", help: "Seconds to wait before SIGKILL; -1 waits for ever" },
];

/** What {@link stopFlags} ask for. */
export function stopQuery(parsed: ParsedArguments): StopQuery {
  const signal = parsed.string("signal");
  const timeoutSeconds = parsed.number("timeout");
  if (!Number.isSafeInteger(timeoutSeconds)) throw new CliError(`invalid timeout: ${timeoutSeconds}`);
  return {
    ...(signal === "" ? {} : { stopSignal: signal }),
    ...(parsed.changed("timeout") ? { timeoutSeconds } : {}),
  };
}
