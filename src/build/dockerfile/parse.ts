/** Reads a Dockerfile into its syntax tree. */
import { errorText } from "../../base/errors.ts";
import type { ArgInstruction, Dockerfile, Heredoc, Instruction, SourceFile, Stage } from "./ast.ts";
import { DockerfileError } from "./error.ts";
import { heredocStarts } from "./heredoc.ts";
import { instructionNames, parserOf, takesHeredocs } from "./instruction.ts";
import { LineReader, type LogicalLine } from "./lines.ts";
import { type InstructionText, descriptionOf, readFlags } from "./request.ts";
import { splitAtBlanks, splitName, takeFlags } from "./split.ts";
import { didYouMean } from "./suggest.ts";

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
type OpenStage = Mutable<Stage> & { instructions: Instruction[] };

const stageNameForm = /^[a-z][a-z0-9-_.]*$/;
/** Images of the frontend whose language this is; its versions only ever added to it. */
const ownFrontend =
  /^(?:(?:index\.)?docker\.io\/)?docker\/dockerfile(?:-upstream)?(?::[\w][\w.-]*)?(?:@sha256:[0-9a-f]{64})?$/;

/**
 * Reads a whole Dockerfile. Throws {@link DockerfileError} with the place of the fault; also for a `# syntax=` that asks
 * for a frontend other than `docker/dockerfile`, of which any version is understood here and none is pulled.
 */
export function parseDockerfile(source: SourceFile): Dockerfile {
  if (source.text === "") throw new DockerfileError("the Dockerfile cannot be empty", { source });
  const reader = new LineReader(source);
  const metaArgs: ArgInstruction[] = [];
  const stages: OpenStage[] = [];
  const emptyContinuations: Dockerfile["emptyContinuations"][number][] = [];
  let instructions = 0;
  for (let line = reader.next(); line !== undefined; line = reader.next()) {
    if (instructions++ === 0) checkSyntax(reader);
    if (line.emptyContinuation !== undefined) emptyContinuations.push(line.emptyContinuation);
    const text = readText(reader, line);
    const parsed = readInstruction(reader, text, stages.length);
    const stage = stages.at(-1);
    if (parsed.kind === "from") stages.push(parsed.stage);
    else if (stage !== undefined) stage.instructions.push(parsed);
    else if (parsed.kind === "arg") metaArgs.push(parsed);
    else throw reader.fault("no build stage in current context", text.range);
  }
  if (instructions === 0) throw new DockerfileError("file with no instructions", { source });
  if (stages.length === 0) throw new DockerfileError("dockerfile contains no stages to build", { source });
  return { source, directives: reader.directives, metaArgs, stages, emptyContinuations };
}

/**
 * Reads the instructions that an image's ONBUILD left. `where` is the FROM whose place faults are given. Throws
 * {@link DockerfileError}.
 */
export function parseTriggers(
  triggers: readonly string[],
  where: { readonly source: SourceFile; readonly stage: Pick<Stage, "range"> },
): Instruction[] {
  return triggers.map((trigger) => {
    try {
      const reader = new LineReader({ name: where.source.name, text: trigger });
      const line = reader.next();
      if (line === undefined) throw new Error("onbuild trigger should be a single expression");
      const parsed = readInstruction(reader, readText(reader, line), 0);
      if (reader.next() !== undefined) throw new Error("onbuild trigger should be a single expression");
      if (parsed.kind === "from") throw new Error("FROM isn't allowed as an ONBUILD trigger");
      return { ...parsed, range: where.stage.range };
    } catch (error) {
      const { range } = where.stage;
      throw new DockerfileError(
        `ONBUILD ${trigger} of the base image: ${errorText(error)}`,
        { range, source: where.source },
        { cause: error },
      );
    }
  });
}

/** Throws `Error` when `frontend` (of `# syntax=` or the build argument BUILDKIT_SYNTAX) is not our own language. */
export function checkFrontend(frontend: string): void {
  if (!ownFrontend.test(frontend))
    throw new Error(
      `frontend ${frontend} is not supported: gantry builds the language of docker/dockerfile itself and runs no frontend images; remove the syntax directive or name docker/dockerfile:1`,
    );
}

function checkSyntax(reader: LineReader): void {
  const { syntax } = reader.directives;
  if (syntax === undefined) return;
  try {
    checkFrontend(syntax.value);
  } catch (error) {
    throw reader.fault(errorText(error), syntax.range);
  }
}

/** Takes name, flags and here-documents apart. */
function readText(reader: LineReader, line: LogicalLine): InstructionText {
  const { name, rest: behind } = splitName(line.text);
  const { flags, rest } = takeFlags(behind, reader.escape);
  let { range } = line;
  const heredocs: Heredoc[] = [];
  const text = { name, flags, rest, code: line.text.trim(), comments: line.comments, escape: reader.escape };
  if (located(reader, range, () => takesHeredocs(name, rest)))
    for (const start of heredocStarts(line.text)) {
      const lines = reader.heredoc(start.name, start.chomp, line.range);
      heredocs.push({ ...start, ...lines });
      range = { start: range.start, end: lines.range.end };
    }
  return { ...text, range, heredocs };
}

type Parsed = Instruction | { readonly kind: "from"; readonly stage: OpenStage };

function readInstruction(reader: LineReader, text: InstructionText, index: number): Parsed {
  return located(reader, text.range, () => {
    if (text.name.toUpperCase() === "FROM") return { kind: "from" as const, stage: readFrom(text, index) };
    const parse = parserOf(text.name);
    if (parse === undefined)
      throw new Error(
        `unknown instruction: ${text.name}${didYouMean(text.name, instructionNames, { ignoreCase: true })}`,
      );
    return parse(text);
  });
}

/** Gives a fault without a place that of the instruction. */
function located<T>(reader: LineReader, range: InstructionText["range"], read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DockerfileError) throw error;
    throw reader.instructionFault(errorText(error), range);
  }
}

function readFrom(text: InstructionText, index: number): OpenStage {
  const words = splitAtBlanks(text.rest);
  const [base, as, writtenName] = words;
  const named = words.length === 3 && as?.toLowerCase() === "as";
  if (base === undefined || (words.length !== 1 && !named))
    throw new Error("FROM requires either one or three arguments");
  const name = writtenName?.toLowerCase();
  if (name !== undefined && !stageNameForm.test(name))
    throw new Error(
      `invalid name for build stage: ${JSON.stringify(writtenName)}, name can't start with a number or contain symbols`,
    );
  const platform = readFlags(text, { platform: "string" }).text("platform");
  const description = descriptionOf(name ?? "", text.comments);
  return {
    index,
    base,
    instructions: [],
    range: text.range,
    code: text.code,
    keyword: text.name,
    comments: text.comments,
    ...(name === undefined ? {} : { name, writtenName: writtenName!, asKeyword: as! }),
    ...(platform === undefined ? {} : { platform }),
    ...(description === undefined ? {} : { description }),
  };
}
