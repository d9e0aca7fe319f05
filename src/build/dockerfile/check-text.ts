/** Build checks that need no stage's variables: names, casing, FROM. */
import { isKind } from "../../base/errors.ts";
import { parsePlatform } from "../../oci/platform.ts";
import { parseReference } from "../../oci/reference.ts";
import type { ArgInstruction, Dockerfile, Stage } from "./ast.ts";
import type { Findings } from "./check-rules.ts";
import { metaVariables } from "./scope.ts";
import { didYouMean } from "./suggest.ts";
import { type WordResult, processWord } from "./word.ts";

/** What reading alone shows: in BuildKit these are told while the file is parsed. */
export function checkText(dockerfile: Dockerfile, findings: Findings): void {
  for (const range of dockerfile.emptyContinuations)
    findings.add("NoEmptyContinuation", "Empty continuation line", { range });
  for (const arg of dockerfile.metaArgs) checkDescription(arg, findings);
  for (const stage of dockerfile.stages) {
    checkStageHead(stage, findings);
    for (const instruction of stage.instructions) {
      if (instruction.kind === "maintainer")
        findings.add(
          "MaintainerDeprecated",
          "Maintainer instruction is deprecated in favor of using label",
          instruction,
        );
      if (instruction.kind === "arg") checkDescription(instruction, findings);
    }
  }
}

function checkStageHead(stage: Stage, findings: Findings): void {
  const { name, writtenName, keyword, asKeyword } = stage;
  if (name === undefined || asKeyword === undefined) return;
  if (name !== writtenName)
    findings.add("StageNameCasing", `Stage name '${writtenName}' should be lowercase`, stage);
  const lower = keyword === keyword.toLowerCase();
  const upper = keyword === keyword.toUpperCase();
  const fitting = lower ? asKeyword.toLowerCase() : asKeyword.toUpperCase();
  if ((lower || upper) && asKeyword !== fitting)
    findings.add("FromAsCasing", `'${asKeyword}' and '${keyword}' keywords' casing do not match`, stage);
  checkComment("FROM", [name], stage, findings);
}

function checkDescription(instruction: ArgInstruction, findings: Findings): void {
  checkComment(
    "ARG",
    instruction.entries.map(({ key }) => key),
    instruction,
    findings,
  );
}

function checkComment(
  instruction: string,
  names: readonly string[],
  where: Pick<Stage, "range" | "comments">,
  findings: Findings,
): void {
  const last = where.comments.at(-1);
  if (last === undefined || names.includes(last.split(" ")[0]!)) return;
  const example = names.length > 1 ? "<arg_key>" : names[0];
  findings.add(
    "InvalidDefinitionDescription",
    `Comment for ${instruction} should follow the format: \`# ${example} <description>\``,
    where,
  );
}

/** Names that are taken or given twice, and instructions that are not written as most of them are. */
export function checkStageNames(dockerfile: Dockerfile, findings: Findings): void {
  const seen = new Set<string>();
  for (const stage of dockerfile.stages) {
    const { name } = stage;
    if (name === undefined) continue;
    if (name === "context" || name === "scratch")
      findings.add(
        "ReservedStageName",
        `Stage name should not use the same name as reserved stage ${JSON.stringify(name)}`,
        stage,
      );
    if (seen.has(name))
      findings.add(
        "DuplicateStageName",
        `Duplicate stage name ${JSON.stringify(name)}, stage names should be unique`,
        stage,
      );
    seen.add(name);
  }
  checkCasing(dockerfile, findings);
}

function checkCasing(dockerfile: Dockerfile, findings: Findings): void {
  const written = dockerfile.stages.flatMap((stage) => [
    { name: stage.keyword, range: stage.range, comments: stage.comments },
    ...stage.instructions,
  ]);
  const count = (form: (name: string) => string): number =>
    written.filter(({ name }) => name === form(name)).length;
  const lower = count((name) => name.toLowerCase()) > count((name) => name.toUpperCase());
  for (const instruction of written) {
    const { name } = instruction;
    if (name === (lower ? name.toLowerCase() : name.toUpperCase())) continue;
    findings.add(
      "ConsistentInstructionCasing",
      `Command '${name}' should match the case of the command majority (${lower ? "lowercase" : "uppercase"})`,
      instruction,
    );
  }
}

interface FromVariables {
  readonly meta: ReadonlyMap<string, string>;
  readonly predefined: ReadonlyMap<string, string>;
}

/** Base and platform of each FROM. */
export function checkFrom(dockerfile: Dockerfile, variables: FromVariables, findings: Findings): void {
  const { escape } = dockerfile.directives;
  checkDefaultBases(dockerfile, variables, findings);
  const declared = new Set([
    ...variables.meta.keys(),
    ...dockerfile.metaArgs.flatMap(({ entries }) => entries.map(({ key }) => key)),
  ]);
  const undeclared = (result: WordResult, stage: Stage): void => {
    for (const name of result.unmatched)
      if (!declared.has(name))
        findings.add(
          "UndefinedArgInFrom",
          `FROM argument '${name}' is not declared${didYouMean(name, declared)}`,
          stage,
        );
  };
  for (const stage of dockerfile.stages) {
    undeclared(processWord(stage.base, variables.meta, { escape }), stage);
    if (stage.platform === undefined) continue;
    const platform = processWord(stage.platform, variables.meta, { escape });
    undeclared(platform, stage);
    checkPlatform(stage, platform, variables, findings);
  }
}

function checkPlatform(
  stage: Stage,
  platform: WordResult,
  variables: FromVariables,
  findings: Findings,
): void {
  const { matched, unmatched, text } = platform;
  if (matched.size === 1 && unmatched.size === 0 && matched.has("TARGETPLATFORM")) {
    if (text === variables.meta.get("TARGETPLATFORM"))
      findings.add(
        "RedundantTargetPlatform",
        `Setting platform to predefined ${stage.platform} in FROM is redundant as this is the default behavior`,
        stage,
      );
  }
  if (matched.size > 0 || unmatched.size > 0) return;
  try {
    const { os, architecture } = parsePlatform(text);
    const name = stage.name ?? "";
    if (name.includes(os) || name.includes(architecture)) return;
  } catch (error) {
    // Not a platform: the build itself says so.
    if (isKind(error, "invalidArgument")) return;
    throw error;
  }
  findings.add(
    "FromPlatformFlagConstDisallowed",
    `FROM --platform flag should not use constant value ${JSON.stringify(text)}`,
    stage,
  );
}

/** Bases must be references also when nobody gives build arguments. */
function checkDefaultBases(dockerfile: Dockerfile, variables: FromVariables, findings: Findings): void {
  const { escape } = dockerfile.directives;
  const defaults = metaVariables(dockerfile, variables.predefined, {});
  for (const stage of dockerfile.stages) {
    const base = processWord(stage.base, defaults, { escape }).text;
    try {
      parseReference(base);
    } catch (error) {
      if (!isKind(error, "invalidArgument")) throw error;
      findings.add(
        "InvalidDefaultArgInFrom",
        `Default value for ARG ${stage.base} results in empty or invalid base image name`,
        stage,
      );
    }
  }
}
