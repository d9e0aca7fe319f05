import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { askFrontend, errorSources, runBuild, workersOf } from "../../client/buildkit/solve.ts";
import { EngineError } from "../../base/errors.ts";
import { buildFlags } from "../image-build/flags.ts";
import { nameLayouts } from "../image-build/layouts.ts";
import { type BuildPlan, planBuild } from "../image-build/options.ts";
import { failureText, openProgress, type ProgressMode, warningsText } from "../image-build/progress.ts";
import type { Command, CommandContext } from "../command.ts";
import { CliError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";

/** Names of questions, and the frontend's own. */
const questions: Readonly<Record<string, string>> = {
  check: "frontend.lint",
  lint: "frontend.lint",
  outline: "frontend.outline",
  targets: "frontend.targets",
  "subrequests.describe": "frontend.subrequests.describe",
};

const command: Command = {
  path: "build",
  aliases: ["image build", "builder build", "buildx build", "buildx b"],
  usage: "[OPTIONS] PATH | URL | -",
  short: "Build an image from a Dockerfile",
  section: "common",
  flags: buildFlags,
  args: { min: 1, max: 1 },
  completes: "files",
  examples: [
    ["gantry build -t app .", "Builds the directory's Dockerfile and calls the image app"],
    ["gantry build --target test --output out .", "Builds the stage test and writes its files to out/"],
    ["gantry build --check .", "Tells what is likely wrong with the Dockerfile"],
  ],
  async run(context, parsed) {
    const call = parsed.bool("check") ? "check" : parsed.string("call");
    const read = await planBuild(context, parsed);
    try {
      const plan = await withHostGateway(context, read);
      return call === "" || call === "build"
        ? await build(context, parsed, plan)
        : await ask(context, call, plan);
    } finally {
      await read.close();
    }
  },
};

/** Writes the host's address where `host-gateway` stands for it. */
async function withHostGateway(context: CommandContext, plan: BuildPlan): Promise<BuildPlan> {
  const hosts = plan.attributes.get("add-hosts") ?? "";
  if (!hosts.includes("=host-gateway")) return plan;
  const workers = await workersOf(context.client.transport);
  const address = workers.flatMap(
    ({ Labels }) => Labels.get("org.mobyproject.buildkit.worker.moby.host-gateway-ip") ?? [],
  )[0];
  if (address === undefined) throw new CliError("unable to derive the IP value for host-gateway");
  const written = hosts.replaceAll(/=host-gateway(?=,|$)/g, `=${address}`);
  return { ...plan, attributes: new Map([...plan.attributes, ["add-hosts", written]]) };
}

async function build(context: CommandContext, parsed: ParsedArguments, plan: BuildPlan): Promise<number> {
  const isQuiet = parsed.bool("quiet") || parsed.string("progress") === "quiet";
  const mode = isQuiet ? "quiet" : (parsed.string("progress") as ProgressMode);
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const view = openProgress(context, mode);
  let result;
  try {
    using shown = view;
    result = await runBuild(context.client.transport, {
      ...plan,
      onStatus: shown.show,
      signal: abort.signal,
    });
  } catch (error) {
    if (abort.signal.aborted) throw new CliError("ERROR: failed to build: canceled", 130, { cause: error });
    throw buildFailure(error, failureText(view.model, errorSources(error)));
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
  const { response } = result;
  nameLayouts(plan.layouts, response);
  if (!isQuiet && mode !== "rawjson") context.printError(warningsText(view.model).trimEnd() || "");
  const id = response.get("containerimage.config.digest") ?? response.get("containerimage.digest") ?? "";
  if (parsed.string("iidfile") !== "") writeFileSync(parsed.string("iidfile"), id);
  if (parsed.string("metadata-file") !== "")
    writeFileSync(parsed.string("metadata-file"), `${JSON.stringify(metadataOf(result), undefined, 2)}\n`);
  if (isQuiet) context.print(`${id}\n`);
  return 0;
}

/** The daemon's words after what was shown of the step and the file. */
function buildFailure(error: unknown, shown: string): unknown {
  if (!(error instanceof EngineError)) return error;
  return new CliError(`${shown}ERROR: failed to solve: ${error.message}`, 1, { cause: error });
}

/** As buildx writes it: values that are JSON in base64 are that JSON. */
function metadataOf(result: {
  readonly ref: string;
  readonly response: ReadonlyMap<string, string>;
}): unknown {
  const decoded = [...result.response].map(([key, value]): [string, unknown] => {
    if (!/^[A-Za-z0-9+/]+=*$/.test(value)) return [key, value];
    try {
      const parsed: unknown = JSON.parse(Buffer.from(value, "base64").toString());
      return [key, typeof parsed === "object" && parsed !== null ? parsed : value];
    } catch {
      return [key, value];
    }
  });
  return {
    "buildx.build.ref": `default/default/${result.ref || randomBytes(13).toString("hex")}`,
    ...Object.fromEntries(decoded),
  };
}

async function ask(context: CommandContext, call: string, plan: BuildPlan): Promise<number> {
  const [name = "", ...options] = call.split(",");
  const question = questions[name] ?? (name.startsWith("frontend.") ? name : undefined);
  if (question === undefined)
    throw new CliError(`unknown method ${JSON.stringify(name)}: want build, check, outline or targets`);
  let answer;
  try {
    answer = await askFrontend(context.client.transport, question, { ...plan, onStatus: () => {} });
  } catch (error) {
    throw buildFailure(
      error,
      errorSources(error).length > 0
        ? failureText(openProgress(context, "quiet").model, errorSources(error))
        : "",
    );
  }
  const text = (key: string): string => Buffer.from(answer.get(key) ?? []).toString();
  if (options.includes("format=json")) {
    context.print(`${text("result.json")}\n`);
  } else if (question === "frontend.lint") {
    context.print(lintText(text("result.txt"), text("result.json")));
  } else context.print(text("result.txt"));
  return Number(text("result.statuscode") || 0);
}

function lintText(found: string, json: string): string {
  const { warnings = [], buildError } = JSON.parse(json || "{}") as {
    warnings?: unknown[];
    buildError?: { message?: string };
  };
  const error = buildError?.message === undefined ? "" : `\nERROR: ${buildError.message}\n`;
  if (warnings.length === 0 && error === "") return "Check complete, no warnings found.\n";
  const head = `Check complete, ${warnings.length} warning${warnings.length === 1 ? " has" : "s have"} been found!\n`;
  return head + found + error;
}

export default command;
