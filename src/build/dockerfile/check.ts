/** BuildKit's build checks over a Dockerfile: what is likely a mistake, though it builds. */
import type { PathPatterns } from "../../base/path-patterns.ts";
import type { CheckWarning, Dockerfile, Stage } from "./ast.ts";
import { Findings, parseCheckConfig } from "./check-rules.ts";
import { checkFrom, checkStageNames, checkText } from "./check-text.ts";
import { checkInstructions, type StageState } from "./check-stage.ts";
import { expandText } from "./expand.ts";
import { type BuildArgs, StageScope, metaVariables } from "./scope.ts";

/** What the checks want to know of a base image. */
export interface BaseFacts {
  /** `NAME=value`. */
  readonly env: readonly string[];
  /** Whether it sets a SHELL. */
  readonly hasShell?: boolean;
  /** Set when it is for another platform than the stage. */
  readonly mismatch?: { readonly expected: string; readonly actual: string };
}

export interface CheckOptions {
  readonly buildArgs: BuildArgs;
  /** The predefined arguments (`platformArgs`). */
  readonly predefined: ReadonlyMap<string, string>;
  /** Stages whose instructions are looked at; all when undefined. */
  readonly stages?: ReadonlySet<Stage>;
  /** The `.dockerignore` that holds for the context. */
  readonly ignore?: PathPatterns;
  /** What is known of a stage's base image. Undefined for nothing: then unknown variables of that stage are not told. */
  readonly baseOf?: (stage: Stage) => BaseFacts | undefined;
  /** What `--build-arg BUILDKIT_DOCKERFILE_CHECK=` says, which counts more than the file's directive. */
  readonly config?: string;
}

export interface CheckReport {
  readonly warnings: readonly CheckWarning[];
  /** Set when findings are to fail the build (`error=true`). */
  readonly failure: string | undefined;
  /** Whether findings fail the build, if there are any. */
  readonly isStrict: boolean;
}

/** Throws `invalidArgument` for options that are none, and {@link DockerfileError} for words that cannot be expanded. */
export function checkDockerfile(dockerfile: Dockerfile, options: CheckOptions): CheckReport {
  const findings = new Findings(parseCheckConfig(options.config ?? dockerfile.directives.check?.value ?? ""));
  checkText(dockerfile, findings);
  checkStageNames(dockerfile, findings);
  const meta = metaVariables(dockerfile, options.predefined, options.buildArgs);
  checkFrom(dockerfile, { meta, predefined: options.predefined }, findings);
  const states = new Map<string, StageState>();
  for (const stage of dockerfile.stages) {
    const base = expandText(stage.base, meta, dockerfile.directives.escape);
    const below = states.get(base.toLowerCase());
    const image = below === undefined ? imageBase(base, stage, options) : undefined;
    const silent = options.stages !== undefined && !options.stages.has(stage);
    if (image?.mismatch !== undefined && !silent) checkBasePlatform(stage, base, image.mismatch, findings);
    const state = {
      scope: below === undefined ? StageScope.onImage(image?.env ?? []) : StageScope.onStage(below.scope),
      workdir: below?.workdir ?? false,
      hasShell: below?.hasShell ?? image?.hasShell === true,
      known: below?.known ?? image !== undefined,
    };
    if (stage.name !== undefined) states.set(stage.name, state);
    // Their variables count for stages above also when they are not looked at themselves.
    checkInstructions(stage, state, {
      dockerfile,
      meta,
      buildArgs: options.buildArgs,
      ignore: options.ignore,
      findings: silent ? new Findings(parseCheckConfig("skip=all")) : findings,
    });
  }
  return { warnings: findings.warnings, failure: findings.failure, isStrict: findings.isStrict };
}

function checkBasePlatform(
  stage: Stage,
  base: string,
  { expected, actual }: NonNullable<BaseFacts["mismatch"]>,
  findings: Findings,
): void {
  findings.add(
    "InvalidBaseImagePlatform",
    `Base image ${base} was pulled with platform ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)} for current build`,
    stage,
  );
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function imageBase(base: string, stage: Stage, options: CheckOptions): BaseFacts | undefined {
  if (base === "scratch") return { env: [defaultPath] };
  const image = options.baseOf?.(stage);
  if (image === undefined) return undefined;
  return {
    ...image,
    env: image.env.some((entry) => entry.startsWith("PATH=")) ? image.env : [...image.env, defaultPath],
  };
}
