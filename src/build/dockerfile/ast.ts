/**
 * The syntax tree of a Dockerfile (Dockerfile reference, frontend 1.x).
 *
 * Texts in it are as they were written: quotes, escapes and variables stand in them until `expandInstruction` (expand.ts)
 * has replaced them with the values that hold at that point of the stage. An instruction has the same type before and
 * after; the comment of a field says when it is never expanded.
 */

/** A place in a source file: lines count from 1, characters (UTF-16 units) from 0. */
export interface Position {
  readonly line: number;
  readonly character: number;
}

/** From the first character to behind the last. */
export interface SourceRange {
  readonly start: Position;
  readonly end: Position;
}

/** A text with the name that messages call it by. */
export interface SourceFile {
  /** `Dockerfile`, as the user named it. */
  readonly name: string;
  readonly text: string;
}

/** Comment lines at the top of the file that say how to read it. */
export interface Directives {
  /** `# syntax=docker/dockerfile:1`, without quotes or blanks. */
  readonly syntax?: { readonly value: string; readonly range: SourceRange };
  /** Continues lines and takes a character's meaning away. */
  readonly escape: "\\" | "`";
  /** `# check=skip=RuleA,RuleB;error=true`. */
  readonly check?: { readonly value: string; readonly range: SourceRange };
}

export interface Dockerfile {
  readonly source: SourceFile;
  readonly directives: Directives;
  /** The ARG instructions before the first FROM, in order. */
  readonly metaArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  /** Last lines of instructions that have empty lines among their continued ones; a build check tells them. */
  readonly emptyContinuations: readonly SourceRange[];
}

export interface Stage {
  /** Counts from 0; `COPY --from=0` means it. */
  readonly index: number;
  /** After AS, in lower case; undefined without AS. Stages are asked for without regard to case. */
  readonly name?: string;
  /** After AS, as it was written. */
  readonly writtenName?: string;
  /** An image's reference, an earlier stage's name, or `scratch`; expanded with the meta ARGs only. */
  readonly base: string;
  /** `--platform`; expanded with the meta ARGs only. */
  readonly platform?: string;
  readonly instructions: readonly Instruction[];
  /** The FROM instruction's place. */
  readonly range: SourceRange;
  /** The FROM instruction's text on one line. */
  readonly code: string;
  /** `FROM` and `AS` as they were written. */
  readonly keyword: string;
  readonly asKeyword?: string;
  /** The comment lines right above FROM, without `#`. */
  readonly comments: readonly string[];
  /** The comment above FROM that begins with the stage's name; `--call=targets` shows it. */
  readonly description?: string;
}

interface Common {
  readonly range: SourceRange;
  /** The instruction's name as it was written: `RUN`, `run`. */
  readonly name: string;
  /** The instruction's text on one line: continued lines joined, comments dropped, as steps and history show it. */
  readonly code: string;
  /** The comment lines right above, without `#`; a `check=` in them holds for this instruction. */
  readonly comments: readonly string[];
}

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** False for the old form `ENV key the rest`, whose value is not split at blanks. */
  readonly delimited: boolean;
}

/** A `<<NAME` document. */
export interface Heredoc {
  /** The word behind `<<`, without quotes: the file's name for COPY and ADD. */
  readonly name: string;
  /**
   * The lines up to the end word. For COPY and ADD `<<-` has taken the tabs from their beginnings, and after expansion
   * values stand in them; for RUN both are the shell's.
   */
  readonly data: string;
  /** False when the word was quoted: nothing in it is replaced then. */
  readonly expand: boolean;
  /** `<<-`. */
  readonly chomp: boolean;
  /** Descriptor in `3<<EOF`; 0 without. */
  readonly descriptor: number;
  readonly range: SourceRange;
}

/** What RUN, CMD and ENTRYPOINT run. Never expanded by the builder: the shell does that. */
export interface CommandLine {
  /** `exec` for a JSON list; `shell` for text, which the stage's SHELL takes as its last argument. */
  readonly form: "shell" | "exec";
  /** The list; or the one text. */
  readonly words: readonly string[];
  /** For RUN alone; the text in `words` still has `<<EOF`, and `runScript` (heredoc.ts) makes a script of both. */
  readonly heredocs: readonly Heredoc[];
}

export type MountType = "bind" | "cache" | "tmpfs" | "secret" | "ssh";
export type CacheSharing = "shared" | "private" | "locked";

/** `RUN --mount=…`. */
export interface RunMount {
  readonly type: MountType;
  /** Stage, image or named context; never expanded. Undefined means the build context, or nothing for a cache. */
  readonly from?: string;
  /** Path in `from`. */
  readonly source?: string;
  /** A path, perhaps relative to WORKDIR; undefined for a secret that is given by environment alone. */
  readonly target?: string;
  readonly readonly: boolean;
  /** tmpfs's limit. */
  readonly sizeBytes?: number;
  /** Of cache (default: the target), secret (default: the target's last part) and ssh (default: `default`). */
  readonly id?: string;
  readonly sharing?: CacheSharing;
  readonly required: boolean;
  /** secret: the variable that gets its value; empty for the id. */
  readonly env?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export interface RunInstruction extends Common {
  readonly kind: "run";
  readonly command: CommandLine;
  /** Before expansion: as far as they can be told without values. */
  readonly mounts: readonly RunMount[];
  /** The flags as they were written. */
  readonly mountFlags: readonly string[];
  readonly network: "default" | "none" | "host";
  readonly security: "sandbox" | "insecure";
  /** `--device=vendor.com/class=name[,required]` (CDI). */
  readonly devices: readonly string[];
}

interface CopyCommon extends Common {
  /** Paths and patterns; for ADD also URLs. Heredocs are in `heredocs` and not here. */
  readonly sources: readonly string[];
  /** Files whose content stands in the Dockerfile; COPY and ADD name them after their end word. */
  readonly heredocs: readonly Heredoc[];
  readonly destination: string;
  /** `user[:group]`, names or numbers. */
  readonly chown?: string;
  /** Octal, or symbolic as of chmod(1). */
  readonly chmod?: string;
  readonly link: boolean;
  /** `--parents`; a `/./` in a source says where the kept part begins. */
  readonly parents: boolean;
  readonly excludes: readonly string[];
}

export interface CopyInstruction extends CopyCommon {
  readonly kind: "copy";
  /** Stage by name or number, image, or named context; never expanded. */
  readonly from?: string;
}

export interface AddInstruction extends CopyCommon {
  readonly kind: "add";
  /** `sha256:…` of a downloaded file, or a git commit. */
  readonly checksum?: string;
  /** Undefined when not said: the default of a git source is false. */
  readonly keepGitDir?: boolean;
  /** `--unpack`; undefined when not said: local archives are unpacked, downloaded ones are not. */
  readonly unpack?: boolean;
}

export interface EnvInstruction extends Common {
  readonly kind: "env";
  readonly entries: readonly KeyValue[];
}

export interface LabelInstruction extends Common {
  readonly kind: "label";
  readonly entries: readonly KeyValue[];
}

export interface ArgEntry {
  readonly key: string;
  /** Undefined when only declared. */
  readonly value?: string;
  /** The comment above that begins with the name; `--call=outline` shows it. */
  readonly description?: string;
}

export interface ArgInstruction extends Common {
  readonly kind: "arg";
  readonly entries: readonly ArgEntry[];
}

export interface ExposeInstruction extends Common {
  readonly kind: "expose";
  /** `80`, `80/tcp`, `8000-8010/udp`, sorted as BuildKit sorts them. */
  readonly ports: readonly string[];
}

export interface VolumeInstruction extends Common {
  readonly kind: "volume";
  readonly paths: readonly string[];
}

export interface UserInstruction extends Common {
  readonly kind: "user";
  readonly user: string;
}

export interface WorkdirInstruction extends Common {
  readonly kind: "workdir";
  readonly path: string;
}

export interface CmdInstruction extends Common {
  readonly kind: "cmd";
  readonly command: CommandLine;
}

export interface EntrypointInstruction extends Common {
  readonly kind: "entrypoint";
  readonly command: CommandLine;
}

/** Never expanded. */
export interface ShellInstruction extends Common {
  readonly kind: "shell";
  readonly words: readonly string[];
}

export interface StopsignalInstruction extends Common {
  readonly kind: "stopsignal";
  readonly signal: string;
}

/** Never expanded. */
export interface HealthcheckInstruction extends Common {
  readonly kind: "healthcheck";
  /** As the image's configuration has it: `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`; times in ns. */
  readonly check: {
    readonly Test: readonly string[];
    readonly Interval?: number;
    readonly Timeout?: number;
    readonly StartPeriod?: number;
    readonly StartInterval?: number;
    readonly Retries?: number;
  };
}

/** Never expanded before it is triggered. */
export interface OnbuildInstruction extends Common {
  readonly kind: "onbuild";
  /** The instruction as the image's configuration keeps it; `parseTriggers` reads it again. */
  readonly expression: string;
}

/** Never expanded. */
export interface MaintainerInstruction extends Common {
  readonly kind: "maintainer";
  readonly maintainer: string;
}

export type Instruction =
  | RunInstruction
  | CopyInstruction
  | AddInstruction
  | EnvInstruction
  | LabelInstruction
  | ArgInstruction
  | ExposeInstruction
  | VolumeInstruction
  | UserInstruction
  | WorkdirInstruction
  | CmdInstruction
  | EntrypointInstruction
  | ShellInstruction
  | StopsignalInstruction
  | HealthcheckInstruction
  | OnbuildInstruction
  | MaintainerInstruction;

/** What a build check found (BuildKit's rule set, docs/build/checks of its documentation). */
export interface CheckWarning {
  /** `StageNameCasing`. */
  readonly rule: string;
  /** The rule in one sentence. */
  readonly description: string;
  readonly url: string;
  /** What was found here. */
  readonly message: string;
  readonly range: SourceRange;
}
