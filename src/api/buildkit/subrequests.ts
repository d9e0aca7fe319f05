/** Questions about a Dockerfile (`docker build --call=…`), answered without a build. */
import { EngineError, errorText, invalidArgument } from "../../base/errors.ts";
import { PathPatterns, parseIgnoreFile } from "../../base/path-patterns.ts";
import { factsOf } from "../../build/base-platform.ts";
import {
  type Builder,
  type BuildRequest,
  type ContextSource,
  type FileListing,
  maxDockerfileBytes,
} from "../../build/build.ts";
import type { CheckWarning, Dockerfile, SourceFile, Stage } from "../../build/dockerfile/ast.ts";
import { type BaseFacts, checkDockerfile } from "../../build/dockerfile/check.ts";
import {
  type Description,
  describeChecks,
  describeOutline,
  describeRequests,
  describeTargets,
} from "../../build/dockerfile/describe.ts";
import { DockerfileError } from "../../build/dockerfile/error.ts";
import { expandText } from "../../build/dockerfile/expand.ts";
import { parseDockerfile } from "../../build/dockerfile/parse.ts";
import { metaVariables, platformArgs } from "../../build/dockerfile/scope.ts";
import { neededStages, targetStage } from "../../build/dockerfile/stages.ts";
import { readText } from "../../build/open-dockerfile.ts";
import type { ImageConfigFile } from "../../oci/image-spec.ts";
import { hostPlatform, parsePlatform } from "../../oci/platform.ts";
import { type SolveInput, buildRequest } from "./solve-options.ts";

const version = "1.0.0";

/** Answers in BuildKit's metadata: `result.json`, `result.txt`, … Throws `EngineError`. */
export async function answerSubrequest(
  builder: Builder,
  request: string,
  input: SolveInput,
): Promise<ReadonlyMap<string, Uint8Array>> {
  if (request === "frontend.subrequests.describe") return metadataOf(describeRequests());
  if (!["frontend.outline", "frontend.targets", "frontend.lint"].includes(request))
    throw new EngineError("notImplemented", `unsupported request ${request}`);
  const asked = buildRequest(input);
  const { source, ignore } = await readSources(builder, asked);
  if (request === "frontend.lint") return lint(builder, { source, ignore }, asked);
  const dockerfile = parseDockerfile(source);
  if (request === "frontend.targets") return metadataOf(describeTargets(dockerfile));
  return metadataOf(describeOutline(dockerfile, askedOf(asked)));
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

interface Asked {
  readonly target: string;
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly predefined: ReadonlyMap<string, string>;
}

function askedOf({ target = "", buildArgs = {}, platforms = [] }: BuildRequest): Asked {
  const host = hostPlatform();
  return {
    target,
    buildArgs,
    predefined: platformArgs({ build: host, target: platforms[0] ?? host }, target, buildArgs),
  };
}

interface Sources {
  readonly source: SourceFile;
  readonly ignore: PathPatterns | undefined;
}

async function lint(
  builder: Builder,
  { source, ignore }: Sources,
  request: BuildRequest,
): Promise<ReadonlyMap<string, Uint8Array>> {
  let warnings: readonly CheckWarning[] = [];
  let fault: { message: string; range: DockerfileError["range"] } | undefined;
  try {
    const dockerfile = parseDockerfile(source);
    const asked = askedOf(request);
    const config = asked.buildArgs["BUILDKIT_DOCKERFILE_CHECK"];
    const meta = metaVariables(dockerfile, asked.predefined, asked.buildArgs);
    // Without a target all of the file is looked at.
    const stages =
      asked.target === "" ? undefined : neededStages(dockerfile, targetStage(dockerfile, asked.target), meta);
    const looked = { dockerfile, meta, request, stages };
    const bases = await basesOf(builder, looked);
    warnings = checkDockerfile(dockerfile, {
      ...asked,
      baseOf: (stage) => bases.get(stage),
      ...(config === undefined ? {} : { config }),
      ...(ignore === undefined ? {} : { ignore }),
      ...(stages === undefined ? {} : { stages }),
    }).warnings;
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    fault = { message: errorText(error), range: error instanceof DockerfileError ? error.range : undefined };
  }
  const statusCode = warnings.length > 0 || fault !== undefined ? "1" : "0";
  return metadataOf(describeChecks(source, warnings, fault), { "result.statuscode": statusCode });
}

/** The images that stages stand on. Checks go without one that cannot be had: the build itself says why. */
async function basesOf(
  builder: Builder,
  {
    dockerfile,
    meta,
    request,
    stages,
  }: {
    readonly dockerfile: Dockerfile;
    readonly meta: ReadonlyMap<string, string>;
    readonly request: BuildRequest;
    readonly stages: ReadonlySet<Stage> | undefined;
  },
): Promise<ReadonlyMap<Stage, BaseFacts>> {
  const { escape } = dockerfile.directives;
  const facts = new Map<Stage, BaseFacts>();
  const contexts = new Set(Object.keys(request.namedContexts ?? {}));
  const isImage = (base: string, { index }: Stage): boolean =>
    base !== "scratch" &&
    !contexts.has(base) &&
    !dockerfile.stages.slice(0, index).some(({ name }) => name === base.toLowerCase());
  await Promise.allSettled(
    dockerfile.stages.map(async (stage) => {
      const base = expandText(stage.base, meta, escape);
      if (!isImage(base, stage) || stages?.has(stage) === false) return;
      const written = stage.platform === undefined ? "" : expandText(stage.platform, meta, escape);
      const asked = {
        platform: written === "" ? (request.platforms?.[0] ?? hostPlatform()) : parsePlatform(written),
        isAsked: written !== "" || (request.platforms ?? []).length > 0,
      };
      const { config } = await builder.imageConfig(base, asked.platform, request);
      const image = JSON.parse(Buffer.from(config).toString()) as ImageConfigFile;
      facts.set(stage, factsOf(image, asked, true));
    }),
  );
  return facts;
}

/** The Dockerfile and the ignore file that goes with it. */
async function readSources(builder: Builder, request: BuildRequest): Promise<Sources> {
  const { dockerfile, context } = request;
  const name = dockerfile?.name ?? "Dockerfile";
  const where = dockerfile?.source ?? context;
  const isApart = dockerfile?.source !== undefined && context.kind === "remote";
  const paths = [name, `${name}.dockerignore`, ...(isApart ? [] : [".dockerignore"])];
  const own = await readTexts(builder, request, where, paths);
  const text = own.get(name);
  if (text === undefined)
    throw new EngineError("notFound", `failed to read dockerfile: open ${name}: no such file or directory`);
  let ignore = own.get(`${name}.dockerignore`) ?? own.get(".dockerignore");
  if (ignore === undefined && isApart)
    ignore = (await readTexts(builder, request, context, [".dockerignore"])).get(".dockerignore");
  return {
    source: { name, text },
    ignore: ignore === undefined ? undefined : new PathPatterns(parseIgnoreFile(ignore)),
  };
}

/** Small files of a source, by their paths. */
async function readTexts(
  builder: Builder,
  request: BuildRequest,
  source: ContextSource,
  paths: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (source.kind === "remote") {
    const options = { include: paths, exclude: [], followPaths: paths, signal: request.signal };
    return readFiles(await source.open(options));
  }
  await using files = await builder.openFiles(source, request);
  return new Map(
    paths.flatMap((path) => {
      const text = readText(files.tree, path);
      return text === undefined ? [] : [[path, text] as const];
    }),
  );
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
