/** Which stages a build needs, and how its steps are counted. */
import { invalidArgument, notFound } from "../base/errors.ts";
import type { Dockerfile, Instruction, Stage } from "./dockerfile/ast.ts";
import { DockerfileError } from "./dockerfile/error.ts";
import { expandText } from "./dockerfile/expand.ts";
import { nearest } from "./dockerfile/suggest.ts";
import { parseGitUrl } from "./git-sources.ts";
import { isHttpUrl } from "./remote-sources.ts";

/** What a name in FROM or `--from` means. */
export type Origin =
  | { readonly kind: "stage"; readonly stage: Stage }
  | { readonly kind: "context"; readonly name: string }
  | { readonly kind: "image"; readonly reference: string }
  | { readonly kind: "scratch" };

export interface BuildPlan {
  readonly target: Stage;
  /** In the order of the file. */
  readonly stages: readonly Stage[];
}

/** The stage that was asked for: by name, by number, or the last. Throws `notFound` with BuildKit's words. */
export function targetStage({ stages }: Dockerfile, target: string): Stage {
  if (target === "") return stages.at(-1)!;
  const named = stages.findLast(({ name }) => name === target.toLowerCase());
  const numbered = /^\d+$/.test(target) ? stages[Number(target)] : undefined;
  const found = named ?? numbered;
  if (found !== undefined) return found;
  const names = stages.flatMap(({ name }) => (name === undefined ? [] : [name]));
  const guess = nearest(target.toLowerCase(), names);
  throw notFound(
    `target stage "${target}" could not be found`,
    guess === undefined ? {} : { hint: `Did you mean ${guess}?` },
  );
}

/**
 * What a name in a stage means: a context of that name, an earlier stage, else an image. Throws {@link DockerfileError}
 * for a stage that is not earlier.
 */
export function originOf(
  name: string,
  from: { readonly stage: Stage; readonly isBase: boolean },
  build: { readonly dockerfile: Dockerfile; readonly contexts: ReadonlySet<string> },
): Origin {
  const { dockerfile, contexts } = build;
  const { stage, isBase } = from;
  if (contexts.has(name)) return { kind: "context", name };
  if (isBase && name === "scratch") return { kind: "scratch" };
  const earlier = dockerfile.stages.slice(0, stage.index);
  const named = earlier.findLast((other) => other.name === name.toLowerCase());
  if (named !== undefined) return { kind: "stage", stage: named };
  if (!isBase && /^\d+$/.test(name)) {
    const numbered = dockerfile.stages[Number(name)];
    if (numbered === undefined)
      throw invalidArgument(`invalid stage index ${name}: there are ${dockerfile.stages.length} stages`);
    if (numbered.index >= stage.index)
      throw invalidArgument(`circular dependency detected on stage: ${name}`);
    return { kind: "stage", stage: numbered };
  }
  if (
    !isBase &&
    dockerfile.stages.some((other) => other.index >= stage.index && other.name === name.toLowerCase())
  )
    throw invalidArgument(`circular dependency detected on stage: ${name}`);
  return { kind: "image", reference: name };
}

/** Names that a stage's instructions take files from. */
function namesUsed(instruction: Instruction): string[] {
  if (instruction.kind === "copy") return instruction.from === undefined ? [] : [instruction.from];
  if (instruction.kind === "run")
    return instruction.mounts.flatMap(({ from }) => (from === undefined ? [] : [from]));
  return [];
}

/** Whether a stage takes files from the build context; what its base adds (ONBUILD) and variables may say is not known here. */
export function readsContext({ instructions }: Stage): boolean {
  const isLocal = (source: string): boolean =>
    !source.startsWith("$") && !isHttpUrl(source) && parseGitUrl(source) === undefined;
  return instructions.some(
    (instruction) =>
      (instruction.kind === "copy" && instruction.from === undefined && instruction.sources.length > 0) ||
      (instruction.kind === "add" && instruction.sources.some(isLocal)) ||
      (instruction.kind === "run" &&
        instruction.mounts.some(({ type, from }) => type === "bind" && from === undefined)),
  );
}

/** Only what the target needs, directly or not. */
export function planBuild(
  dockerfile: Dockerfile,
  options: {
    readonly target: string;
    readonly meta: ReadonlyMap<string, string>;
    readonly contexts: ReadonlySet<string>;
  },
): BuildPlan {
  const target = targetStage(dockerfile, options.target);
  const needed = new Set<number>();
  const visit = (stage: Stage): void => {
    if (needed.has(stage.index)) return;
    needed.add(stage.index);
    const base = baseName(stage, dockerfile, options.meta);
    const uses = [{ name: base, isBase: true, range: stage.range }];
    for (const instruction of stage.instructions)
      for (const name of namesUsed(instruction)) uses.push({ name, isBase: false, range: instruction.range });
    for (const { name, isBase, range } of uses) {
      const origin = located(dockerfile, range, () =>
        originOf(name, { stage, isBase }, { dockerfile, contexts: options.contexts }),
      );
      if (origin.kind === "stage") visit(origin.stage);
    }
  };
  visit(target);
  return { target, stages: dockerfile.stages.filter(({ index }) => needed.has(index)) };
}

function located<T>(dockerfile: Dockerfile, range: Stage["range"], work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof DockerfileError) throw error;
    throw new DockerfileError(error.message, { range, source: dockerfile.source }, { cause: error });
  }
}

/** The base of a stage, values filled in. Throws {@link DockerfileError}. */
export function baseName(
  stage: Stage,
  { source, directives }: Dockerfile,
  meta: ReadonlyMap<string, string>,
): string {
  const name = expandText(stage.base, meta, directives.escape);
  if (name === "")
    throw new DockerfileError(`base name (${stage.base}) should not be blank`, {
      range: stage.range,
      source,
    });
  return name;
}

/** Steps with files: what BuildKit counts in `[build 2/5]`, after FROM. */
export const isFileStep = ({ kind }: Instruction): boolean =>
  kind === "run" || kind === "copy" || kind === "add" || kind === "workdir";
