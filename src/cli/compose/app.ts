/** What every command of `compose` has: the project, a session with the daemon, and a place to show progress. */
import { isatty } from "node:tty";
import { limiter } from "../../compose/dependency-order.ts";
import type { Session } from "../../compose/engine.ts";
import { ComposeError } from "../../compose/errors.ts";
import { RemoteNeededError } from "../../compose/file/remote.ts";
import { loadProject, normalizeName, type LoadOptions } from "../../compose/load.ts";
import type { Project } from "../../compose/model/project.ts";
import type { MemoView } from "../../compose/unchanged/memo.ts";
import { withoutUnused, withServices, withServicesEnabled } from "../../compose/model/select.ts";
import { parseReference } from "../../oci/reference.ts";
import type { Command, CommandContext, CompletionKind, GroupArguments } from "../command.ts";
import { CliError } from "../errors.ts";
import type { FlagSpec } from "../flags.ts";
import { parseArguments, type ParsedArguments } from "../parser.ts";
import projectFlags, { dryRunFlag } from "./flags.ts";
import type { Footer } from "./footer.ts";
import { ProgressView, type ProgressMode } from "./progress-view.ts";

export interface ProjectSelection {
  /** Takes the services that these need, too; true unless said otherwise. */
  readonly dependencies?: boolean;
  readonly load?: Partial<LoadOptions>;
}

/** One run of a command of `compose`. */
export class ComposeApp {
  readonly context: CommandContext;
  readonly parsed: ParsedArguments;
  readonly isFig: boolean;
  readonly #group: ParsedArguments;
  readonly #warned = new Set<string>();
  readonly #remotes = new Map<string, string>();
  #view: ProgressView | undefined;
  /** What stays below everything else on the terminal of standard output. */
  footer: Footer | undefined;

  constructor(context: CommandContext, parsed: ParsedArguments, group: GroupArguments | undefined) {
    this.context = context;
    this.parsed = parsed;
    this.isFig = group?.name === "fig";
    this.#group = group?.parsed ?? parseArguments([], projectFlags);
  }

  /** `--dry-run`, before or behind the command. */
  get isDryRun(): boolean {
    return this.#group.bool("dry-run") || this.parsed.bool("dry-run");
  }

  /** Something was said that another run would say again. */
  get hasWarned(): boolean {
    return this.#warned.size > 0;
  }

  get loadOptions(): LoadOptions {
    const group = this.#group;
    return {
      cwd: process.cwd(),
      env: this.context.env,
      files: group.list("file"),
      envFiles: group.list("env-file"),
      profiles: group.list("profile"),
      projectName: group.string("project-name"),
      projectDirectory: group.string("project-directory"),
      compatibility: group.bool("compatibility"),
      fig: this.isFig,
      remotes: this.#remotes,
      warn: (message) => this.warn(message),
    };
  }

  /** Brings a file of a registry here. Throws `ComposeError`, and what the registry says. */
  async bring(path: string): Promise<void> {
    const { bringArtifact } = await import("./bring-artifact.ts");
    this.#remotes.set(path, await bringArtifact(this.context, path));
  }

  /** Loads the project with these services (all when there are none). */
  project(
    services: readonly string[] = [],
    { dependencies = true, load = {} }: ProjectSelection = {},
  ): Project {
    const whole = withServicesEnabled(loadProject({ ...this.loadOptions, ...load }), services);
    return withServices(withoutUnused(whole), services, dependencies ? "dependencies" : "nothing");
  }

  /** The project where there are files, else the name that was given: enough for what labels can tell. */
  projectOrName(): { readonly project: Project | undefined; readonly name: string } {
    const given = this.#group.string("project-name");
    if (given !== "" && this.#group.list("file").length === 0) {
      // Files that are here by chance may be another project's: labels tell what this one is.
      return { project: undefined, name: normalizeName(given) };
    }
    try {
      const project = this.#wholeProject();
      return { project, name: project.name };
    } catch (error) {
      const named = this.context.env["COMPOSE_PROJECT_NAME"];
      if (named === undefined || named === "" || !(error instanceof ComposeError)) throw error;
      return { project: undefined, name: named };
    }
  }

  #wholeProject(): Project {
    const project = loadProject(this.loadOptions);
    // What is to be found again may belong to any profile.
    return { ...project, services: { ...project.services, ...project.disabled }, disabled: {} };
  }

  warn(message: string): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.say(`WARNING: ${message}`);
  }

  /** Shows a line on standard error, above what is being drawn. */
  say(line: string): void {
    if (this.#view !== undefined) this.#view.print(line);
    else if (!this.writeAbove(2, `${line}\n`)) this.context.printError(line);
  }

  /** Writes whole lines above what is drawn on the terminal. False when the stream goes elsewhere. */
  writeAbove(fd: 1 | 2, lines: string): boolean {
    if (!isatty(1) || !isatty(fd)) return false;
    const view = isatty(2) ? this.#view : undefined;
    this.context.print(view?.above(lines) ?? this.footer?.above(lines) ?? lines);
    return true;
  }

  /** A session whose progress is shown under `title` until {@link finish}. */
  session(title: string, quiet = false): Session {
    const { client } = this.context;
    this.#view ??= this.#makeView(title, quiet);
    this.footer?.hide();
    const view = this.#view;
    return {
      client,
      report: view.report,
      warn: (message) => this.warn(message),
      limit: limiter(this.#group.number("parallel")),
      registryAuth: async (image) => {
        const { registryAuthFor } = await import("../credentials.ts");
        return await registryAuthFor(this.context, parseReference(image).domain);
      },
    };
  }

  /** Ends the drawing of progress. */
  finish(): void {
    this.#view?.finish();
    this.#view = undefined;
    this.footer?.show();
  }

  /** Does a piece of work under a title. */
  async during<T>(title: string, work: (session: Session) => Promise<T>, quiet = false): Promise<T> {
    const session = this.session(title, quiet);
    try {
      return await work(session);
    } finally {
      this.finish();
    }
  }

  /** Colours and moving lines may be used on standard output (1) or error (2). */
  hasAnsi(fd: 1 | 2): boolean {
    const given = this.context.env["COMPOSE_ANSI"];
    const when = this.#group.changed("ansi") || given === undefined ? this.#group.string("ansi") : given;
    if (this.#group.bool("no-ansi") || when === "never" || (this.context.env["NO_COLOR"] ?? "") !== "")
      return false;
    return when === "always" || isatty(fd);
  }

  /** How progress is shown, unless the command is to be quiet. */
  get view(): MemoView {
    const wanted = this.#group.changed("progress")
      ? this.#group.string("progress")
      : (this.context.env["COMPOSE_PROGRESS"] ?? "auto");
    const isTerminal = isatty(2);
    const automatic: ProgressMode = isTerminal && this.hasAnsi(2) ? "tty" : "plain";
    const mode = wanted === "quiet" || wanted === "tty" || wanted === "plain" ? wanted : automatic;
    return { isTerminal, mode, colours: mode === "tty" && this.hasAnsi(2) };
  }

  #makeView(title: string, quiet: boolean): ProgressView {
    const { isTerminal, mode, colours } = this.view;
    const { context } = this;
    return new ProgressView(
      {
        mode: quiet ? "quiet" : mode,
        colours,
        columns: () => (isTerminal && context.stderr.columns) || 80,
        rows: () => (isTerminal && context.stderr.rows) || 24,
        write: (text) => context.printError(text.replace(/\n$/, "")),
      },
      title,
    );
  }
}

export interface ComposeCommand {
  readonly name: string;
  readonly usage: string;
  readonly short: string;
  readonly long?: string;
  readonly examples?: Command["examples"];
  readonly flags: readonly FlagSpec[];
  readonly args?: Command["args"];
  readonly stopAtFirstArgument?: boolean;
  readonly completes?: CompletionKind;
  /** More names within the group. */
  readonly otherNames?: readonly string[];
  /** Needs no daemon. */
  readonly offline?: boolean;
  run(app: ComposeApp, parsed: ParsedArguments): Promise<number>;
}

/** A command of `compose`, which `fig` has too. */
export function composeCommand(command: ComposeCommand): Command {
  const { name, otherNames = [], flags, args = { min: 0 }, offline: _offline, ...rest } = command;
  const paths = [name, ...otherNames].flatMap((each) => [`compose ${each}`, `fig ${each}`]);
  return {
    ...rest,
    path: paths[0]!,
    aliases: paths.slice(1),
    args,
    flags: [...flags, dryRunFlag],
    async run(context, parsed, group) {
      const app = new ComposeApp(context, parsed, group);
      if (command.offline !== true) {
        // The daemon says who it is while the files are read.
        context.client.ping().catch(() => {});
        await new Promise((resolve) => setImmediate(resolve));
      }
      try {
        return await runWithRemotes(app, () => command.run(app, parsed));
      } catch (error) {
        app.finish();
        if (error instanceof ComposeError)
          throw new CliError(error.message, error.exitCode, { cause: error });
        throw error;
      }
    },
  };
}

/** Files are read before anything is done: where one has to be brought here first, the command begins anew. */
async function runWithRemotes(app: ComposeApp, run: () => Promise<number>): Promise<number> {
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof RemoteNeededError)) throw error;
      await app.bring(error.path);
    }
  }
}

export const timeoutFlag: FlagSpec = {
  name: "timeout",
  short: "t",
  type: "int",
  placeholder: "SECONDS",
  help: "Seconds until a program that does not end is killed; its own when not given",
};

export const indexFlag: FlagSpec = {
  name: "index",
  type: "int",
  placeholder: "NUM",
  help: "Which container, where a service has several",
};

/** The value of {@link timeoutFlag}. */
export function timeoutOf(parsed: ParsedArguments): { readonly timeoutSeconds?: number } {
  return parsed.changed("timeout") ? { timeoutSeconds: parsed.number("timeout") } : {};
}

/** Tables of projects and images, as Docker Compose sets them: wider than those of containers. */
export const composeTable = { minWidth: 20, padding: 3 } as const;

/** A check for flags that take one of a few words. */
export function oneOf(...words: string[]): (value: string) => void {
  return (value) => {
    if (!words.includes(value)) throw new Error(`use ${words.slice(0, -1).join(", ")} or ${words.at(-1)!}`);
  };
}
