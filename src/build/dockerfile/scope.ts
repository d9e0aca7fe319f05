/** Which variables a stage's instructions see (Dockerfile reference, "ARG", "Scope" and "Predefined ARGs"). */
import { errorText } from "../../base/errors.ts";
import type { Platform } from "../../oci/image-spec.ts";
import { formatPlatform } from "../../oci/platform.ts";
import type { ArgInstruction, Dockerfile, SourceFile } from "./ast.ts";
import { DockerfileError } from "./error.ts";
import { processWord } from "./word.ts";

export type BuildArgs = Readonly<Record<string, string>>;

/** Known without ARG, given to RUN, and never in history or the cache key. */
const proxyArgs = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];
/** They are for the builder alone and never in the environment. */
export const builderArgs: ReadonlySet<string> = new Set([
  "BUILDKIT_SBOM_SCAN_CONTEXT",
  "BUILDKIT_SBOM_SCAN_STAGE",
]);

/** Own properties only: a build argument may be called `constructor`. */
function given(buildArgs: BuildArgs, key: string): string | undefined {
  return Object.hasOwn(buildArgs, key) ? buildArgs[key] : undefined;
}

/** BUILDPLATFORM, TARGETARCH and their kin; they are there for FROM, and in a stage after `ARG NAME`. */
export function platformArgs(
  platforms: { readonly build: Platform; readonly target: Platform },
  targetStage: string,
  buildArgs: BuildArgs,
): Map<string, string> {
  const { build, target } = platforms;
  const values: [string, string][] = [
    ["BUILDPLATFORM", formatPlatform(build)],
    ["BUILDOS", build.os],
    ["BUILDOSVERSION", build["os.version"] ?? ""],
    ["BUILDARCH", build.architecture],
    ["BUILDVARIANT", build.variant ?? ""],
    ["TARGETPLATFORM", formatPlatform(target)],
    ["TARGETOS", target.os],
    ["TARGETOSVERSION", target["os.version"] ?? ""],
    ["TARGETARCH", target.architecture],
    ["TARGETVARIANT", target.variant ?? ""],
    ["TARGETSTAGE", targetStage === "" ? "default" : targetStage],
  ];
  return new Map(values.map(([key, value]) => [key, given(buildArgs, key) ?? value]));
}

/**
 * What FROM sees, and what `ARG NAME` without a value takes over: the predefined arguments and the ARGs before the first
 * FROM. Throws {@link DockerfileError}.
 */
export function metaVariables(
  dockerfile: Dockerfile,
  predefined: ReadonlyMap<string, string>,
  buildArgs: BuildArgs,
): Map<string, string> {
  const variables = new Map(predefined);
  for (const instruction of dockerfile.metaArgs)
    for (const { key, value } of instruction.entries) {
      const asked = given(buildArgs, key);
      if (asked !== undefined) variables.set(key, asked);
      else if (value !== undefined)
        variables.set(key, argDefault(value, variables, instruction, dockerfile).text);
    }
  return variables;
}

function argDefault(
  value: string,
  variables: ReadonlyMap<string, string>,
  instruction: ArgInstruction,
  dockerfile: {
    readonly source: SourceFile;
    readonly directives: Dockerfile["directives"];
    readonly isPartial?: boolean;
  },
): ReturnType<typeof processWord> {
  try {
    const { directives, isPartial = false } = dockerfile;
    return processWord(value, variables, { escape: directives.escape, isPartial });
  } catch (error) {
    throw new DockerfileError(
      errorText(error),
      { range: instruction.range, source: dockerfile.source },
      { cause: error },
    );
  }
}

export interface DeclaredArg {
  readonly key: string;
  /** Undefined for one that nobody gave a value. */
  readonly value: string | undefined;
}

/** A stage's variables, instruction by instruction. */
export class StageScope {
  readonly #variables: Map<string, string>;
  readonly #args: DeclaredArg[];

  private constructor(variables: Map<string, string>, args: DeclaredArg[]) {
    this.#variables = variables;
    this.#args = args;
  }

  /** A stage on an image, whose configuration has `env` (`NAME=value`). */
  static onImage(env: readonly string[]): StageScope {
    const variables = env.map((entry): [string, string] => {
      const at = entry.indexOf("=");
      return at === -1 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
    });
    return new StageScope(new Map(variables), []);
  }

  /** A stage on another stage, whose ENV and ARG it takes over. */
  static onStage(base: StageScope): StageScope {
    return new StageScope(new Map(base.#variables), [...base.#args]);
  }

  /** What expansions see and what RUN has in its environment, in the order in which it was set. */
  get variables(): ReadonlyMap<string, string> {
    return this.#variables;
  }

  /** The ARGs of this stage and those below, in order, for history. */
  get args(): readonly DeclaredArg[] {
    return this.#args;
  }

  setEnv(key: string, value: string): void {
    this.#variables.set(key, value);
  }

  /**
   * Declares an ARG instruction's arguments: a value from the command line counts more than a default, and one without
   * default takes over what was declared before the first FROM. Answers them as history shows them. Throws
   * {@link DockerfileError}.
   */
  declare(
    instruction: ArgInstruction,
    outside: {
      readonly dockerfile: Pick<Dockerfile, "source" | "directives">;
      readonly meta: ReadonlyMap<string, string>;
      readonly buildArgs: BuildArgs;
      readonly onUnset?: (name: string) => void;
      readonly isPartial?: boolean;
    },
  ): DeclaredArg[] {
    return instruction.entries.map(({ key, value: written }) => {
      let value = given(outside.buildArgs, key);
      if (value === undefined && written === undefined) value = outside.meta.get(key);
      if (value === undefined && written !== undefined) {
        const { source, directives } = outside.dockerfile;
        const { isPartial = false } = outside;
        const result = argDefault(written, this.#variables, instruction, { source, directives, isPartial });
        for (const name of result.unmatched) outside.onUnset?.(name);
        value = result.text;
      }
      if (value !== undefined && !builderArgs.has(key)) this.#variables.set(key, value);
      const declared = { key, value };
      this.#args.push(declared);
      return declared;
    });
  }

  /** `|2 A=1 B=2 `: what history puts before a RUN's command; empty without ARG. */
  historyPrefix(): string {
    const values = new Map<string, string>();
    for (const { key, value } of this.#args) values.set(key, this.#variables.get(key) ?? value ?? "");
    if (values.size === 0) return "";
    return `|${values.size} ${[...values].map(([key, value]) => `${key}=${value} `).join("")}`;
  }
}

/** What RUN's environment has of the proxy arguments, in both spellings. */
export function proxyEnvironment(buildArgs: BuildArgs): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const key of Object.keys(buildArgs).sort()) {
    const name = key.toLowerCase();
    if (!proxyArgs.includes(name) || buildArgs[key] === "") continue;
    environment[name] = buildArgs[key]!;
    environment[name.toUpperCase()] = buildArgs[key]!;
  }
  return environment;
}

/** Build arguments that no ARG names and that are not predefined. */
export function unknownBuildArgs(dockerfile: Dockerfile, buildArgs: BuildArgs): string[] {
  const known = new Set(
    [
      ...dockerfile.metaArgs,
      ...dockerfile.stages.flatMap(({ instructions }) => instructions.filter(({ kind }) => kind === "arg")),
    ].flatMap((instruction) => (instruction as ArgInstruction).entries.map(({ key }) => key)),
  );
  const predefined = /^(?:(?:BUILD|TARGET)(?:PLATFORM|OS|OSVERSION|ARCH|VARIANT|STAGE)|BUILDKIT_.*)$/;
  return Object.keys(buildArgs).filter(
    (key) =>
      !known.has(key) &&
      !predefined.test(key) &&
      key !== "SOURCE_DATE_EPOCH" &&
      !proxyArgs.includes(key.toLowerCase()),
  );
}
