/** Questions about a Dockerfile (`docker build --call=…`), answered without a build. */
import { EngineError, errorText, invalidArgument } from "../../base/errors.ts";
import { PathPatterns, parseIgnoreFile } from "../../base/path-patterns.ts";
import { type FileListing, maxDockerfileBytes } from "../../build/build.ts";
import type { CheckWarning, SourceFile } from "../../build/dockerfile/ast.ts";
import { checkDockerfile } from "../../build/dockerfile/check.ts";
import {
  type Description,
  describeChecks,
  describeOutline,
  describeRequests,
  describeTargets,
} from "../../build/dockerfile/describe.ts";
import { DockerfileError } from "../../build/dockerfile/error.ts";
import { parseDockerfile } from "../../build/dockerfile/parse.ts";
import { metaVariables, platformArgs } from "../../build/dockerfile/scope.ts";
import { neededStages, targetStage } from "../../build/dockerfile/stages.ts";
import { hostPlatform } from "../../oci/platform.ts";
import { type SolveInput, buildRequest } from "./solve-options.ts";

const version = "1.0.0";

/** Answers in BuildKit's metadata: `result.json`, `result.txt`, … Throws `EngineError`. */
export async function answerSubrequest(
  request: string,
  input: SolveInput,
): Promise<ReadonlyMap<string, Uint8Array>> {
  if (request === "frontend.subrequests.describe") return metadataOf(describeRequests());
  if (!["frontend.outline", "frontend.targets", "frontend.lint"].includes(request))
    throw new EngineError("notImplemented", `unsupported request ${request}`);
  const { source, ignore } = await readSources(input);
  if (request === "frontend.lint") return lint(source, ignore, input);
  const dockerfile = parseDockerfile(source);
  if (request === "frontend.targets") return metadataOf(describeTargets(dockerfile));
  return metadataOf(describeOutline(dockerfile, askedOf(input)));
}

function metadataOf(description: Description, more: Record<string, string> = {}): Map<string, Uint8Array> {
  const values = {
    "result.json": JSON.stringify(description.json, undefined, 2),
    "result.txt": description.text,
    ...more,
    version,
  };
  return new Map(Object.entries(values).map(([key, value]) => [key, Buffer.from(value)]));
}

function askedOf(input: SolveInput): {
  target: string;
  buildArgs: Readonly<Record<string, string>>;
  predefined: Map<string, string>;
} {
  const { target = "", buildArgs = {}, platforms = [] } = buildRequest(input);
  const host = hostPlatform();
  return {
    target,
    buildArgs,
    predefined: platformArgs({ build: host, target: platforms[0] ?? host }, target, buildArgs),
  };
}

function lint(
  source: SourceFile,
  ignore: PathPatterns | undefined,
  input: SolveInput,
): ReadonlyMap<string, Uint8Array> {
  let warnings: readonly CheckWarning[] = [];
  let fault: { message: string; range: DockerfileError["range"] } | undefined;
  try {
    const dockerfile = parseDockerfile(source);
    const asked = askedOf(input);
    const config = asked.buildArgs["BUILDKIT_DOCKERFILE_CHECK"];
    const meta = metaVariables(dockerfile, asked.predefined, asked.buildArgs);
    warnings = checkDockerfile(dockerfile, {
      ...asked,
      ...(config === undefined ? {} : { config }),
      ...(ignore === undefined ? {} : { ignore }),
      // Without a target all of the file is looked at.
      ...(asked.target === ""
        ? {}
        : { stages: neededStages(dockerfile, targetStage(dockerfile, asked.target), meta) }),
    }).warnings;
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    fault = { message: errorText(error), range: error instanceof DockerfileError ? error.range : undefined };
  }
  const statusCode = warnings.length > 0 || fault !== undefined ? "1" : "0";
  return metadataOf(describeChecks(source, warnings, fault), { "result.statuscode": statusCode });
}

/** The Dockerfile and the ignore file that goes with it, from the client's directories. */
async function readSources(
  input: SolveInput,
): Promise<{ readonly source: SourceFile; readonly ignore: PathPatterns | undefined }> {
  const { dockerfile, context } = buildRequest(input);
  const name = dockerfile?.name ?? "Dockerfile";
  const where = dockerfile?.source ?? context;
  if (where.kind !== "remote")
    throw new EngineError("notImplemented", "questions about a Dockerfile need it in a local directory");
  const open = (directory: typeof where, include: readonly string[]): Promise<FileListing> =>
    directory.open({ include, exclude: [], followPaths: include, signal: input.signal });
  const own = await readFiles(await open(where, [name, `${name}.dockerignore`]));
  const text = own.get(name);
  if (text === undefined)
    throw new EngineError("notFound", `failed to read dockerfile: open ${name}: no such file or directory`);
  let ignore = own.get(`${name}.dockerignore`);
  if (ignore === undefined && context.kind === "remote")
    ignore = (await readFiles(await open(context, [".dockerignore"]))).get(".dockerignore");
  return {
    source: { name, text },
    ignore: ignore === undefined ? undefined : new PathPatterns(parseIgnoreFile(ignore)),
  };
}

async function readFiles(listing: FileListing): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  await using files = listing;
  for await (const file of files.files) {
    if ((file.mode & 0o170000) !== 0o100000) continue;
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of files.read(file)) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxDockerfileBytes)
        throw invalidArgument(`${file.path} is larger than ${maxDockerfileBytes} bytes`);
      chunks.push(chunk);
    }
    texts.set(Buffer.from(file.path, "latin1").toString(), Buffer.concat(chunks).toString());
  }
  return texts;
}
