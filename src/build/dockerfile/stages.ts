/** Which stages a target needs. */
import { invalidArgument } from "../../base/errors.ts";
import type { Dockerfile, Stage } from "./ast.ts";
import { DockerfileError } from "./error.ts";
import { expandText } from "./expand.ts";
import { didYouMean } from "./suggest.ts";

/** The stage of a name or number before `before`, without regard to case; later stages of a name win. */
function findStage(
  stages: readonly Stage[],
  name: string,
  before: number = stages.length,
): Stage | undefined {
  const wanted = name.toLowerCase();
  const named = stages.findLast((stage) => stage.index < before && stage.name === wanted);
  if (named !== undefined) return named;
  return /^\d+$/.test(name) && Number(name) < before ? stages[Number(name)] : undefined;
}

/** The stage that is asked for; the last when `target` is empty. Throws `invalidArgument`, with the nearest name. */
export function targetStage(dockerfile: Dockerfile, target: string): Stage {
  const { stages } = dockerfile;
  if (target === "") return stages.at(-1)!;
  const stage = findStage(stages, target);
  if (stage !== undefined) return stage;
  const names = stages.map(({ name, index }) => name ?? `stage-${index}`);
  throw invalidArgument(
    `target stage ${JSON.stringify(target)} could not be found${didYouMean(target, names)}`,
  );
}

/** The stages that an instruction of `stage` takes files of, with the instruction. */
function dependencies(stage: Stage, stages: readonly Stage[]): [Stage, Stage["instructions"][number]][] {
  const found: [Stage, Stage["instructions"][number]][] = [];
  for (const instruction of stage.instructions) {
    const names =
      instruction.kind === "copy" && instruction.from !== undefined
        ? [instruction.from]
        : instruction.kind === "run"
          ? instruction.mounts.flatMap(({ from }) => from ?? [])
          : [];
    for (const name of names) {
      // A later stage of that name may be meant too: then it is the circle that is told.
      const other = findStage(stages, name, stage.index) ?? findStage(stages, name);
      if (other !== undefined) found.push([other, instruction]);
    }
  }
  return found;
}

/**
 * `target` and all that it needs, in the order of the file. `meta` are the variables that FROM sees. Throws
 * {@link DockerfileError} for stages that need each other.
 */
export function neededStages(
  dockerfile: Dockerfile,
  target: Stage,
  meta: ReadonlyMap<string, string>,
): Set<Stage> {
  const { stages, source, directives } = dockerfile;
  const needed = new Set<Stage>();
  const path: Stage[] = [];
  const visit = (stage: Stage): void => {
    if (needed.has(stage)) return;
    path.push(stage);
    const base = findStage(stages, expandText(stage.base, meta, directives.escape), stage.index);
    if (base?.name !== undefined) visit(base);
    for (const [other, instruction] of dependencies(stage, stages)) {
      if (path.includes(other))
        throw new DockerfileError(
          `circular dependency detected on stage: ${other.name ?? `stage-${other.index}`}`,
          { range: instruction.range, source },
        );
      visit(other);
    }
    path.pop();
    needed.add(stage);
  };
  visit(target);
  return new Set(stages.filter((stage) => needed.has(stage)));
}
