/**
 * What the engine says to the flags of `run`: each is given with a value, the command line makes the create request of
 * it, and the engine's own check says whether it is served. Nothing is created.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "../src/base/errors.ts";
import runCommand from "../src/cli/commands/run.ts";
import { parseArguments } from "../src/cli/parser.ts";
import { createRequest } from "../src/cli/run/request.ts";
import { validateCreate } from "../src/container/validate.ts";

/** A value for each flag. */
const samples = JSON.parse(
  readFileSync(join(import.meta.dirname, "../test/fixtures/run-flag-samples.json"), "utf8"),
) as Readonly<Record<string, string>>;

/** Settings that stand beside a served flag's other values and are known not to be served. */
const refusedSettings: readonly string[] = ["--log-driver=gelf", "--mount=type=cluster,src=a,dst=/b"];

/** The engine's words when it does not serve a setting of `run`; undefined when it does. Throws for a bad setting. */
function refusal(setting: string): string | undefined {
  // Aliases are for networks of a user's: the default one has none, with Docker as here.
  const beside = /^--net(work)?-alias=/.test(setting) ? ["--network=own"] : [];
  const parsed = parseArguments([setting, ...beside, "image"], runCommand.flags, {
    stopAtFirstArgument: true,
  });
  try {
    const request = createRequest(parsed, { command: "run", env: {}, consoleSize: [0, 0] });
    const { HostConfig: hostConfig, NetworkingConfig: _networks, ...config } = request;
    validateCreate(config, hostConfig ?? {});
  } catch (error) {
    if (error instanceof EngineError && error.kind === "notImplemented") return error.message;
    // What this machine's kernel cannot do is no matter of the page.
    if (!(error instanceof EngineError)) throw error;
  }
  return undefined;
}

/** Flags of `run` that are read and then refused. Throws when a flag has no sample value. */
export async function probeRunFlags(): Promise<{ readonly flag: string; readonly message: string }[]> {
  const found: { flag: string; message: string }[] = [];
  for (const flag of runCommand.flags) {
    if (flag.refused !== undefined) continue;
    const sample = samples[flag.name];
    if (sample === undefined) throw new Error(`test/fixtures/run-flag-samples.json has no --${flag.name}`);
    const message = refusal(`--${flag.name}=${sample}`);
    if (message !== undefined) found.push({ flag: flag.name, message });
  }
  return found;
}

/** Values that the engine refuses although it serves their flag, with its words. */
export function refusedValues(): { readonly words: string; readonly message: string }[] {
  return refusedSettings.map((words) => {
    const message = refusal(words);
    if (message === undefined) throw new Error(`${words} is served now: take it out of the list`);
    return { words, message };
  });
}
