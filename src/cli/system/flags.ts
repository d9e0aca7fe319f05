/** Flags of the commands that look at this machine. */
import { defaultConfigFile, defaultDataRoot, defaultExecRoot } from "../../base/paths.ts";
import { CliError } from "../errors.ts";
import type { FlagSpec } from "../flags.ts";
import type { ParsedArguments } from "../parser.ts";
import type { Places } from "./maintenance.ts";

export const maintenanceFlags: readonly FlagSpec[] = [
  {
    name: "data-root",
    type: "string",
    placeholder: "DIR",
    help: `Look there, without a daemon (${defaultDataRoot})`,
  },
  { name: "exec-root", type: "string", placeholder: "DIR", help: `Its run-time state (${defaultExecRoot})` },
  {
    name: "config-file",
    type: "string",
    placeholder: "FILE",
    help: `The daemon's configuration (${defaultConfigFile})`,
  },
];

export function placesOf(parsed: ParsedArguments): Places {
  const given = (name: string): string | undefined =>
    parsed.changed(name) ? parsed.string(name) : undefined;
  return { configFile: given("config-file"), dataRoot: given("data-root"), execRoot: given("exec-root") };
}

export const outputFormatFlag: FlagSpec = {
  name: "format",
  short: "f",
  type: "string",
  help: "`json`, or text when it is not given",
};

/** Throws {@link CliError} for another format. */
export function outputFormat(parsed: ParsedArguments): "json" | "text" {
  const format = parsed.string("format");
  if (format === "json") return "json";
  if (format === "" || format === "text") return "text";
  throw new CliError(`--format ${format}: want json, or leave it out`);
}
