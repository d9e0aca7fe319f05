/** Build checks over the instructions of a stage, with the variables that they see. */
import { type PathPatterns, cleanPath } from "../../base/path-patterns.ts";
import type { Dockerfile, Instruction, Stage } from "./ast.ts";
import type { Findings } from "./check-rules.ts";
import { expandInstruction } from "./expand.ts";
import { type BuildArgs, builderArgs, type StageScope } from "./scope.ts";
import { nearest } from "./suggest.ts";

/** Carried on from stage to stage. */
export interface StageState {
  readonly scope: StageScope;
  /** Whether a WORKDIR has been there. */
  workdir: boolean;
  /** Whether somebody has chosen the shell that CMD and ENTRYPOINT of the shell form run in. */
  hasShell: boolean;
  /** Whether the base image's ENV is known. */
  readonly known: boolean;
}

interface Around {
  readonly dockerfile: Dockerfile;
  readonly meta: ReadonlyMap<string, string>;
  readonly buildArgs: BuildArgs;
  readonly ignore: PathPatterns | undefined;
  readonly findings: Findings;
}

const secretWord =
  /(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)/i;
const harmlessWord = /(?:_|^)(?:public|file|version)(?:_|$)/i;

/** Goes through a stage and leaves its variables in `state`. */
export function checkInstructions(stage: Stage, state: StageState, around: Around): void {
  const once = new Map<string, Instruction>();
  for (const instruction of stage.instructions) {
    const onUnset = (name: string): void => reportUnset(name, instruction, state, around.findings);
    if (instruction.kind === "arg") {
      for (const { key } of instruction.entries) checkSecret("ARG", key, instruction, around.findings);
      state.scope.declare(instruction, { ...around, onUnset, isPartial: !state.known });
      continue;
    }
    const expanded = expandInstruction(instruction, {
      variables: state.scope.variables,
      escape: around.dockerfile.directives.escape,
      source: around.dockerfile.source,
      onUnset,
      isPartial: !state.known,
    });
    checkOne(expanded, state, around);
    if (["cmd", "entrypoint", "healthcheck"].includes(instruction.kind)) {
      const before = once.get(instruction.kind);
      // The earlier one is told: it is the one without effect.
      if (before !== undefined)
        around.findings.add(
          "MultipleInstructionsDisallowed",
          `Multiple ${instruction.name} instructions should not be used in the same stage because only the last one will be used`,
          { range: before.range, comments: instruction.comments },
        );
      once.set(instruction.kind, instruction);
    }
  }
}

function reportUnset(name: string, instruction: Instruction, state: StageState, findings: Findings): void {
  if (!state.known || builderArgs.has(name) || state.scope.args.some(({ key }) => key === name)) return;
  const near = nearest(name, state.scope.variables.keys());
  findings.add(
    "UndefinedVar",
    `Usage of undefined variable '$${name}'${near === undefined ? "" : ` (did you mean $${near}?)`}`,
    instruction,
  );
}

function checkSecret(kind: string, key: string, instruction: Instruction, findings: Findings): void {
  if (secretWord.test(key) && !harmlessWord.test(key))
    findings.add(
      "SecretsUsedInArgOrEnv",
      `Do not use ARG or ENV instructions for sensitive data (${kind} ${JSON.stringify(key)})`,
      instruction,
    );
}

function checkOne(instruction: Instruction, state: StageState, { findings, ignore }: Around): void {
  const { name } = instruction;
  switch (instruction.kind) {
    case "env":
    case "label":
      for (const { key, value, delimited } of instruction.entries) {
        if (!delimited)
          findings.add(
            "LegacyKeyValueFormat",
            `"${name} key=value" should be used instead of legacy "${name} key value" format`,
            instruction,
          );
        if (instruction.kind === "label") continue;
        checkSecret("ENV", key, instruction, findings);
        state.scope.setEnv(key, value);
      }
      return;
    case "cmd":
    case "entrypoint":
      if (instruction.command.form === "shell" && instruction.command.words.length > 0 && !state.hasShell)
        findings.add(
          "JSONArgsRecommended",
          `JSON arguments recommended for ${name} to prevent unintended behavior related to OS signals`,
          instruction,
        );
      return;
    case "workdir":
      if (!state.workdir && !instruction.path.startsWith("/"))
        findings.add(
          "WorkdirRelativePath",
          `Relative workdir ${JSON.stringify(instruction.path)} can have unexpected results if the base image changes`,
          instruction,
        );
      state.workdir = true;
      return;
    case "shell":
      state.hasShell = instruction.words.length > 0;
      return;
    case "expose":
      for (const port of instruction.ports) checkPort(port, instruction, findings);
      return;
    case "copy":
      if (instruction.from !== undefined) return;
      checkSources("Copy", instruction.sources, { instruction, ignore, findings });
      return;
    case "add":
      checkSources("Add", instruction.sources, { instruction, ignore, findings });
      return;
    default:
  }
}

function checkPort(port: string, instruction: Instruction, findings: Findings): void {
  const [address = "", protocol = ""] = port.split("/", 2);
  if (protocol !== protocol.toLowerCase())
    findings.add(
      "ExposeProtoCasing",
      `Defined protocol '${port}' in EXPOSE instruction should be lowercase`,
      instruction,
    );
  if (address.includes(":"))
    findings.add(
      "ExposeInvalidFormat",
      `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`,
      instruction,
    );
}

function checkSources(
  word: "Copy" | "Add",
  sources: readonly string[],
  {
    instruction,
    ignore,
    findings,
  }: { instruction: Instruction; ignore: PathPatterns | undefined; findings: Findings },
): void {
  // With exceptions in the ignore file nobody can tell without the files themselves.
  if (ignore === undefined || ignore.isEmpty || ignore.hasExceptions) return;
  for (const source of sources) {
    if (/^(https?|git|ssh):\/\/|^git@/.test(source)) continue;
    const path = ignoredSource(ignore, source);
    if (path !== undefined)
      findings.add(
        "CopyIgnoredFile",
        `Attempting to ${word} file ${JSON.stringify(path)} that is excluded by .dockerignore`,
        instruction,
      );
  }
}

/** The path of a COPY's source, when the ignore file takes it out of the context; undefined when it does not. */
function ignoredSource(ignore: PathPatterns, source: string): string | undefined {
  const path = cleanPath(source);
  if ((path === "." || path === "/") && !ignore.includesText("*", "**", "**/*")) return undefined;
  return ignore.matches(path) ? path : undefined;
}
