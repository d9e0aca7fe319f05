/** What a Dockerfile can be asked without building it: its targets, a target's parameters, and what checks find. */
import type { CheckWarning, Dockerfile, SourceFile, SourceRange, Stage } from "./ast.ts";
import { excerpt } from "./error.ts";
import { type BuildArgs, metaVariables } from "./scope.ts";
import { neededStages, targetStage } from "./stages.ts";
import { expandText } from "./expand.ts";

/** As BuildKit's JSON has places. */
interface Location {
  readonly sourceIndex?: number;
  readonly ranges: readonly {
    readonly start: { readonly line: number };
    readonly end: { readonly line: number };
  }[];
}

/** BuildKit tells lines alone, each as a range of its own. */
const location = ({ start, end }: SourceRange): Location => ({
  ranges: Array.from({ length: Math.max(end.line - start.line, 0) + 1 }, (_, index) => ({
    start: { line: start.line + index },
    end: { line: start.line + index },
  })),
});

export interface Description {
  /** What programs read. */
  readonly json: unknown;
  /** What people read. */
  readonly text: string;
}

/** Columns padded to their widest cell and `gap` blanks; the last column is not padded. */
function table(rows: readonly (readonly string[])[], gap: number): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)) + gap);
  return rows
    .map(
      (row) =>
        `${row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at]!))).join("")}\n`,
    )
    .join("");
}

/** `--call=targets`. */
export function describeTargets(dockerfile: Dockerfile): Description {
  const { stages, source } = dockerfile;
  const targets = stages.map((stage, index) => ({
    ...(stage.name === undefined ? {} : { name: stage.name }),
    ...(index === stages.length - 1 ? { default: true } : {}),
    ...(stage.description === undefined ? {} : { description: stage.description }),
    base: stage.base,
    ...(stage.platform === undefined ? {} : { platform: stage.platform }),
    location: location(stage.range),
  }));
  const rows = targets.map(({ name = "", default: isDefault = false, description = "" }) => [
    isDefault ? (name === "" ? "(default)" : `${name} (default)`) : name,
    description,
  ]);
  return {
    json: { targets, sources: [Buffer.from(source.text).toString("base64")] },
    text: table([["TARGET", "DESCRIPTION"], ...rows], 1),
  };
}

interface Parameter {
  readonly name: string;
  readonly required?: boolean;
  readonly location: Location;
}

/** `--call=outline`: arguments, secrets and agents that a target takes. */
export function describeOutline(
  dockerfile: Dockerfile,
  asked: {
    readonly target: string;
    readonly buildArgs: BuildArgs;
    readonly predefined: ReadonlyMap<string, string>;
  },
): Description {
  const stage = targetStage(dockerfile, asked.target);
  const meta = metaVariables(dockerfile, asked.predefined, asked.buildArgs);
  const needed = neededStages(dockerfile, stage, meta);
  const args = outlineArgs(dockerfile, needed, { ...asked, meta });
  const { secrets, ssh, caches } = outlineMounts(needed);
  return {
    json: {
      ...(stage.name === undefined ? {} : { name: stage.name }),
      ...(stage.description === undefined ? {} : { description: stage.description }),
      ...(args.length === 0 ? {} : { args }),
      ...(secrets.length === 0 ? {} : { secrets }),
      ...(ssh.length === 0 ? {} : { ssh }),
      ...(caches.length === 0 ? {} : { cache: caches }),
      sources: [Buffer.from(dockerfile.source.text).toString("base64")],
    },
    text: outlineText(stage, args, { secrets, ssh }),
  };
}

interface OutlineMounts {
  readonly secrets: readonly Parameter[];
  readonly ssh: readonly Parameter[];
  readonly caches: readonly { readonly ID: string; readonly location: Location }[];
}

/** What RUNs mount of the client's and of the builder's, each once. */
function outlineMounts(needed: Iterable<Stage>): OutlineMounts {
  const secrets = new Map<string, Parameter>();
  const ssh = new Map<string, Parameter>();
  const caches = new Map<string, { readonly ID: string; readonly location: Location }>();
  for (const { instructions } of needed)
    for (const instruction of instructions) {
      if (instruction.kind !== "run") continue;
      const at = location(instruction.range);
      for (const { type, id, source, target, required } of instruction.mounts) {
        const parameter = (name: string): Parameter => ({
          name,
          ...(required ? { required: true } : {}),
          location: at,
        });
        const secret = id ?? source ?? target?.split("/").at(-1) ?? "";
        if (type === "secret" && !secrets.has(secret)) secrets.set(secret, parameter(secret || "default"));
        if (type === "ssh") ssh.set(id ?? "default", parameter(id ?? "default"));
        const cache = id ?? target ?? "";
        if (type === "cache") caches.set(cache, { ID: cache, location: at });
      }
    }
  return { secrets: [...secrets.values()], ssh: [...ssh.values()], caches: [...caches.values()] };
}

/** A head that says which target, where there is more to say than that it is the last; then a table a kind. */
function outlineText(
  { name, description }: Stage,
  args: readonly OutlineArg[],
  { secrets, ssh }: Pick<OutlineMounts, "secrets" | "ssh">,
): string {
  const part = (rows: string[][], gap: number): string => `${table(rows, gap)}\n`;
  const head = [
    ["TARGET:", name ?? "(default)"],
    ...(description === undefined ? [] : [["DESCRIPTION:", description]]),
  ];
  const argRows = args.map(({ name, value = "", description = "" }) => [name, value, description]);
  const required = (title: string, list: readonly Parameter[]): string =>
    list.length === 0
      ? ""
      : part([[title, "REQUIRED"], ...list.map(({ name, required }) => [name, required ? "true" : ""])], 3);
  return [
    name === undefined && description === undefined ? "" : part(head, 1),
    args.length === 0 ? "" : part([["BUILD ARG", "VALUE", "DESCRIPTION"], ...argRows], 3),
    required("SECRET", secrets),
    required("SSH", ssh),
  ].join("");
}

interface OutlineArg {
  readonly name: string;
  readonly description?: string;
  readonly value?: string;
  readonly location: Location;
}

function outlineArgs(
  dockerfile: Dockerfile,
  needed: ReadonlySet<Stage>,
  asked: { readonly buildArgs: BuildArgs; readonly meta: ReadonlyMap<string, string> },
): OutlineArg[] {
  const { escape } = dockerfile.directives;
  const used = [...needed].map(({ base, platform = "" }) => `${base} ${platform}`).join(" ");
  const stageArgs = [...needed].flatMap(({ instructions }) =>
    instructions.filter((instruction) => instruction.kind === "arg"),
  );
  const declared = new Set(stageArgs.flatMap(({ entries }) => entries.map(({ key }) => key)));
  const args = new Map<string, OutlineArg>();
  const add = (
    entry: { readonly key: string; readonly value?: string; readonly description?: string },
    range: SourceRange,
    value: string | undefined,
  ): void => {
    if (args.has(entry.key)) return;
    args.set(entry.key, {
      name: entry.key,
      ...(entry.description === undefined ? {} : { description: entry.description }),
      ...(value === undefined || value === "" ? {} : { value }),
      location: location(range),
    });
  };
  for (const { entries, range } of dockerfile.metaArgs)
    for (const entry of entries)
      if (declared.has(entry.key) || new RegExp(`\\$\\{?${entry.key}\\b`).test(used))
        add(entry, range, asked.meta.get(entry.key));
  for (const { entries, range } of stageArgs)
    for (const entry of entries) {
      // Predefined ones are nobody's to set.
      if (entry.value === undefined && asked.meta.has(entry.key)) continue;
      const given = Object.hasOwn(asked.buildArgs, entry.key) ? asked.buildArgs[entry.key] : undefined;
      add(entry, range, given ?? (entry.value && expandText(entry.value, asked.meta, escape)));
    }
  return [...args.values()];
}

/** `--check`: what the checks found, or the fault that kept them from looking. */
export function describeChecks(
  source: SourceFile,
  warnings: readonly CheckWarning[],
  fault?: { readonly message: string; readonly range: SourceRange | undefined },
): Description {
  const sorted = warnings.toSorted((a, b) => a.range.start.line - b.range.start.line);
  const info = {
    filename: source.name,
    data: Buffer.from(source.text).toString("base64"),
    language: "Dockerfile",
  };
  return {
    json: {
      warnings: sorted.map(({ rule, description, url, message, range }) => ({
        ruleName: rule,
        description,
        ...(url === "" ? {} : { url }),
        detail: message,
        location: location(range),
      })),
      sources: [info],
      ...(fault === undefined
        ? {}
        : {
            buildError: {
              message: fault.message,
              location: fault.range === undefined ? { ranges: [] } : location(fault.range),
            },
          }),
    },
    text: sorted
      .map(
        ({ rule, url, message, range }) =>
          `\nWARNING: ${rule}${url === "" ? "" : ` - ${url}`}\n${message}\n${excerpt(source, range)}`,
      )
      .join(""),
  };
}

const requests = [
  ["frontend.outline", "List all parameters current build target supports", ["result.json", "result.txt"]],
  ["frontend.targets", "List all targets current build supports", ["result.json", "result.txt"]],
  ["frontend.lint", "Lint a Dockerfile", ["result.json", "result.txt", "result.statuscode"]],
  ["frontend.subrequests.describe", "List available subrequest types", ["result.json", "result.txt"]],
] as const;

/** `--call=subrequests.describe`: the questions above. */
export function describeRequests(): Description {
  return {
    json: requests.map(([name, description, metadata]) => ({
      name,
      version: "1.0.0",
      type: "rpc",
      description,
      opts: name === "frontend.outline" ? [{ name: "target", description: "Target build stage" }] : [],
      metadata: metadata.map((field) => ({ name: field })),
    })),
    text: table(
      [
        ["NAME", "VERSION", "DESCRIPTION"],
        ...requests.map(([name, description]) => [name.replace(/^frontend\./, ""), "1.0.0", description]),
      ],
      1,
    ),
  };
}
