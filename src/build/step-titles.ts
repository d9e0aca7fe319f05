/** What a build's steps are called: in its progress, and by number in the classic stream. */
import { redactCredentials } from "../base/redact-url.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { Instruction, Stage } from "./dockerfile/ast.ts";
import { stepName } from "./dockerfile/expand.ts";
import { isFileStep } from "./plan.ts";
import type { SessionParts, StageState } from "./session-parts.ts";

type TitleParts = Pick<SessionParts, "dockerfile" | "isMultiPlatform" | "platform">;

/** A place in the Dockerfile's order, for the classic stream. */
export interface StepCounter {
  readonly total: number;
  indexOf(stage: Stage, instruction: number): number;
}

export function countSteps({ plan, dockerfile }: Pick<SessionParts, "plan" | "dockerfile">): StepCounter {
  const starts = new Map<number, number>();
  let next = dockerfile.metaArgs.length + 1;
  for (const stage of plan.stages) {
    starts.set(stage.index, next);
    next += stage.instructions.length + 1;
  }
  return { total: next - 1, indexOf: (stage, instruction) => starts.get(stage.index)! + instruction + 1 };
}

/** A text about an instruction as it may be shown: ADD names addresses, and ONBUILD may hold an ADD. */
const shown = ({ kind }: Instruction, text: string): string =>
  kind === "add" || kind === "onbuild" ? redactCredentials(text) : text;

/** An instruction as it may be shown. */
export const shownCode = (instruction: Instruction): string => shown(instruction, instruction.code);

/** `[build 2/5] RUN make`. */
export function stepTitle(
  parts: TitleParts,
  stage: Stage,
  instruction: Instruction,
  place: { readonly state: StageState; readonly step: number; readonly of: number },
): string {
  const { dockerfile, isMultiPlatform, platform } = parts;
  const words = [
    ...(isMultiPlatform ? [formatPlatform(platform)] : []),
    ...(stage.writtenName !== undefined
      ? [stage.name ?? stage.writtenName]
      : dockerfile.stages.length > 1
        ? [`stage-${stage.index}`]
        : []),
    // As wide for the first as for the last.
    `${String(place.step).padStart(String(place.of).length)}/${place.of}`,
  ];
  const { escape } = dockerfile.directives;
  const name = stepName(instruction, place.state.scope.variables, escape);
  return `[${words.join(" ")}] ${shown(instruction, name)}`;
}

/** `[build 1/5] FROM …`. */
export function fromTitle(parts: TitleParts, stage: Stage, name: string): string {
  const { dockerfile, isMultiPlatform, platform } = parts;
  const of = stage.instructions.filter(isFileStep).length + 1;
  const words = [
    ...(isMultiPlatform ? [formatPlatform(platform)] : []),
    ...(stage.name !== undefined
      ? [stage.name]
      : dockerfile.stages.length > 1
        ? [`stage-${stage.index}`]
        : []),
    `${"1".padStart(String(of).length)}/${of}`,
  ];
  return `[${words.join(" ")}] FROM ${name}`;
}
