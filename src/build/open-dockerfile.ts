/** The Dockerfile of a build: found with its ignore rules, read, planned for a platform, and checked. */
import { parseIgnoreFile } from "../base/path-patterns.ts";
import { invalidArgument, notFound } from "../base/errors.ts";
import type { Platform } from "../oci/image-spec.ts";
import { hostPlatform } from "../oci/platform.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { type BuildRequest, maxDockerfileBytes, withBuildFailure } from "./build.ts";
import type { Dockerfile, SourceFile, Stage } from "./dockerfile/ast.ts";
import { type BaseFacts, checkDockerfile, type CheckReport } from "./dockerfile/check.ts";
import { DockerfileError } from "./dockerfile/error.ts";
import { metaVariables, platformArgs } from "./dockerfile/scope.ts";
import { type FileTree, findEntry } from "./files/file-tree.ts";
import { filteredTree } from "./files/filtered-tree.ts";
import { compilePatterns, type PatternRules } from "./files/patterns.ts";
import { openContextTree, type OpeningParts } from "./open-context.ts";
import { type BuildPlan, planBuild } from "./plan.ts";
import type { Progress, VertexProgress } from "./progress.ts";

export interface OpenedDockerfile {
  readonly source: SourceFile;
  /** "Load build definition", which has the warnings. */
  readonly vertex: VertexProgress;
  readonly ignore: PatternRules;
  mainContext(): Promise<FileTree>;
}

/** Finds the Dockerfile and the ignore rules; the main context is received when a step asks for it. */
export async function openDockerfile(
  parts: OpeningParts,
  request: BuildRequest,
  progress: Progress,
): Promise<OpenedDockerfile> {
  const name = request.dockerfile?.name ?? "Dockerfile";
  const isRemote = request.context.kind === "remote";
  const vertex = progress.vertex(`dockerfile ${request.id}`, `[internal] load build definition from ${name}`);
  const openMain = (exclude: readonly string[] = []): Promise<FileTree> => {
    const loading = progress.vertex(`context ${request.id}`, "[internal] load build context");
    return loading.run(() => openContextTree(parts, request.context, loading, { exclude }));
  };
  let whole: Promise<FileTree> | undefined;
  const openWhole = (): Promise<FileTree> => (whole ??= openMain());
  const { text, ignoreText } = await vertex.run(() =>
    readDefinition(parts, { request, name, vertex, openWhole }),
  );
  const lines = ignoreText === undefined ? [] : parseIgnoreFile(ignoreText);
  const ignore = compilePatterns(lines);
  let context: Promise<FileTree> | undefined;
  return {
    source: { name, text },
    vertex,
    ignore,
    mainContext: () =>
      (context ??= (isRemote ? openMain(lines) : openWhole()).then((tree) => filteredTree(tree, ignore))),
  };
}

interface Finding {
  readonly request: BuildRequest;
  /** The Dockerfile's path. */
  readonly name: string;
  readonly vertex: VertexProgress;
  /** The main context, where it comes in one piece. */
  readonly openWhole: () => Promise<FileTree>;
}

/** The text of the Dockerfile, and that of the ignore file that is nearest to it. Throws `notFound`. */
async function readDefinition(
  parts: OpeningParts,
  finding: Finding,
): Promise<{ readonly text: string; readonly ignoreText: string | undefined }> {
  const { request, name, vertex } = finding;
  const ownRules = `${name}.dockerignore`;
  // A Dockerfile from elsewhere has its own rules beside it; the general ones are the context's. Both are asked for at once.
  const contextRules =
    request.dockerfile?.source !== undefined && request.context.kind === "remote"
      ? openContextTree(parts, request.context, vertex, { include: [".dockerignore"] })
      : undefined;
  contextRules?.catch(() => {});
  const include = contextRules === undefined ? [name, ownRules, ".dockerignore"] : [name, ownRules];
  const tree = await openAround(parts, finding, include);
  const beside =
    tree === undefined ? undefined : (readText(tree, ownRules) ?? readText(tree, ".dockerignore"));
  const rules = await contextRules;
  const ignoreText = beside ?? (rules === undefined ? undefined : readText(rules, ".dockerignore"));
  const text = request.dockerfile?.text ?? (tree === undefined ? undefined : readText(tree, name));
  if (text === undefined)
    throw notFound(`failed to read dockerfile: open ${name}: no such file or directory`, {
      hint: "Name the file with --file.",
    });
  return { text, ignoreText };
}

/** Where the Dockerfile is; undefined when its text was given and there is no context. */
async function openAround(
  parts: OpeningParts,
  { request, vertex, openWhole }: Finding,
  include: readonly string[],
): Promise<FileTree | undefined> {
  const { dockerfile, context } = request;
  if (dockerfile?.source !== undefined)
    return await openContextTree(parts, dockerfile.source, vertex, { include });
  if (context.kind === "remote") return await openContextTree(parts, context, vertex, { include });
  if (dockerfile?.text !== undefined && context.kind === "empty") return undefined;
  return await openWhole();
}

/** A small text file of a tree; undefined when it is not there. */
export function readText(tree: FileTree, path: string): string | undefined {
  const entry = findEntry(tree, byteStringOf(path));
  if (entry === undefined || entry.type !== "file") return undefined;
  if (entry.sizeBytes > maxDockerfileBytes)
    throw invalidArgument(`${path} is larger than ${maxDockerfileBytes} bytes`);
  const pieces: Buffer[] = [];
  for (const piece of tree.read(entry)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces).toString();
}

/** What a request makes of a Dockerfile for one platform. */
export interface PlatformPlan {
  /** Arguments that nobody has to declare. */
  readonly predefined: ReadonlyMap<string, string>;
  /** Variables of the lines before the first FROM. */
  readonly meta: ReadonlyMap<string, string>;
  readonly plan: BuildPlan;
}

/** Throws {@link DockerfileError}. */
export function planPlatform(
  dockerfile: Dockerfile,
  request: BuildRequest,
  platform: Platform,
): PlatformPlan {
  const buildArgs = request.buildArgs ?? {};
  const target = request.target ?? "";
  const predefined = platformArgs({ build: hostPlatform(), target: platform }, target, buildArgs);
  const meta = metaVariables(dockerfile, predefined, buildArgs);
  const contexts = new Set(Object.keys(request.namedContexts ?? {}));
  return { predefined, meta, plan: planBuild(dockerfile, { target, meta, contexts }) };
}

interface Checking {
  readonly request: BuildRequest;
  readonly platform: Platform;
  /** What the images are that the stages stand on; none are known before they were looked for. */
  readonly bases?: ReadonlyMap<Stage, BaseFacts>;
}

/** What the build checks find. Throws what {@link checkDockerfile} throws. */
export function findWarnings(
  { ignore }: OpenedDockerfile,
  dockerfile: Dockerfile,
  { request, platform, bases }: Checking,
): CheckReport {
  const { predefined, plan } = planPlatform(dockerfile, request, platform);
  const buildArgs = request.buildArgs ?? {};
  const config = buildArgs["BUILDKIT_DOCKERFILE_CHECK"];
  return checkDockerfile(dockerfile, {
    buildArgs,
    predefined,
    stages: new Set(plan.stages),
    ignore: ignore.patterns,
    ...(config === undefined ? {} : { config }),
    ...(bases === undefined ? {} : { baseOf: (stage) => bases.get(stage) }),
  });
}

/** Tells what the build checks have found. Throws when the Dockerfile wants that to fail the build. */
export function tellWarnings(
  { source, vertex }: OpenedDockerfile,
  { warnings, failure }: Pick<CheckReport, "warnings" | "failure">,
): void {
  for (const { rule, message, description, url, range } of warnings)
    vertex.warn({
      short: `${rule}: ${message} (line ${range.start.line})`,
      detail: [description],
      url,
      source,
      ranges: [range],
    });
  if (failure !== undefined) throw invalidArgument(failure);
}

/** Runs what looks at the Dockerfile; its failure says where in it. */
export function withPlace<T>(source: SourceFile, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
    throw withBuildFailure(error, {
      source,
      ranges: error.range === undefined ? [] : [error.range],
      vertex: undefined,
      exitCode: undefined,
      command: undefined,
      lastLines: [],
    });
  }
}
