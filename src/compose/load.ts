/** A project from its files and its environment: everything between the words of a command line and a {@link Project}. */
import { basename, dirname, join, resolve } from "node:path";
import { ComposeError } from "./errors.ts";
import { isTrue } from "./go-values.ts";
import { kindAt, readInput, readText, realPath } from "./file/disk.ts";
import { DotenvError, parseDotenv } from "./file/dotenv.ts";
import { interpolate } from "./file/interpolate.ts";
import { isVersionOne } from "./file/legacy.ts";
import { loadFiles, type LoadedFiles, type SourceFile } from "./file/load-files.ts";
import { isRemote, localFile, type RemoteFiles } from "./file/remote.ts";
import { normalize } from "./file/normalize.ts";
import { readYaml } from "./file/yaml.ts";
import { checkConsistency } from "./model/consistency.ts";
import { decodeShape } from "./model/decode.ts";
import { projectShape } from "./model/project-shape.ts";
import { emptyProject, type Project } from "./model/project.ts";
import { withEnvFiles, withLabelFiles, withProfiles } from "./model/select.ts";
import { isMap, type TreeMap } from "./tree.ts";

export interface LoadOptions {
  readonly cwd: string;
  /** The process's environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `-f`; `-` is standard input. */
  readonly files?: readonly string[];
  readonly envFiles?: readonly string[];
  readonly profiles?: readonly string[];
  readonly projectName?: string;
  readonly projectDirectory?: string;
  /** Names with underscores, as Compose 1 and Fig made them. */
  readonly compatibility?: boolean;
  /** Looks for `fig.yml` first, and reads FIG_FILE and FIG_PROJECT_NAME. */
  readonly fig?: boolean;
  readonly warn?: (message: string) => void;
  readonly interpolate?: boolean;
  readonly normalize?: boolean;
  readonly resolvePaths?: boolean;
  readonly consistency?: boolean;
  /** Reads `env_file`s into the environments. */
  readonly resolveEnvironment?: boolean;
  /** Files of registries that are here; a {@link RemoteNeededError} asks for others. Without it none can be used. */
  readonly remotes?: RemoteFiles;
}

const fileNames = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const overrideNames = [
  "compose.override.yml",
  "compose.override.yaml",
  "docker-compose.override.yml",
  "docker-compose.override.yaml",
];

/** A tree of files, before it becomes a model: for output with its variables. */
export interface LoadedModel extends LoadedFiles {
  readonly name: string;
  readonly directory: string;
  readonly files: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Loads the files. Throws {@link ComposeError}. */
export function loadModel(options: LoadOptions): LoadedModel {
  const warn = options.warn ?? (() => {});
  const located = locate(options, warn);
  const { environment, sources, directory } = located;
  const lookup = (name: string): string | undefined =>
    Object.hasOwn(environment, name) ? environment[name] : undefined;
  const name = projectName(located, options, warn);
  if (name !== "") environment["COMPOSE_PROJECT_NAME"] ??= name;
  const loaded = loadFiles(sources, directory, {
    lookup,
    interpolate: options.interpolate !== false,
    resolvePaths: options.resolvePaths !== false,
    ...(options.remotes === undefined ? {} : { remotes: options.remotes }),
    warn,
  });
  if (Object.keys(loaded.tree).length === 0) throw new ComposeError("empty compose file", { exitCode: 15 });
  const { name: _name, ...rest } = loaded.tree;
  let tree = Object.assign(Object.create(null) as TreeMap, rest);
  if (options.normalize !== false) tree = normalize(tree, name, lookup);
  tree["name"] = name;
  return { ...loaded, tree, name, directory, files: sources.map(({ path }) => path), environment };
}

/** Loads a project. Throws {@link ComposeError}, for what is wrong in a file with its line. */
export function loadProject(options: LoadOptions): Project {
  const model = loadModel(options);
  const { positions, environment } = model;
  const decoded = decodeShape(model.tree, projectShape, [], (path, message) =>
    positions.error(path, message),
  );
  const part = <T>(key: string): Record<string, T> =>
    withoutNulls(decoded[key] as Record<string, T> | undefined);
  const isOld = options.compatibility === true || options.fig === true || model.isVersionOne;
  let project: Project = {
    ...emptyProject(model.name),
    directory: model.directory,
    files: model.files,
    environment,
    envFiles: options.envFiles ?? [],
    services: part("services"),
    networks: part("networks"),
    volumes: part("volumes"),
    secrets: part("secrets"),
    configs: part("configs"),
    separator: isOld || isTrue(environment["COMPOSE_COMPATIBILITY"]) ? "_" : "-",
    extra: decoded,
  };
  const profiles = options.profiles?.length
    ? options.profiles
    : (environment["COMPOSE_PROFILES"] ?? "").split(",").map((profile) => profile.trim());
  project = withProfiles(project, profiles);
  if (options.consistency !== false) {
    checkConsistency(project, (path, message) => positions.error(path, message));
  }
  return withLabelFiles(options.resolveEnvironment === false ? project : withEnvFiles(project));
}

function withoutNulls<T>(parts: Record<string, T | null> | undefined): Record<string, T> {
  return Object.fromEntries(Object.entries(parts ?? {}).map(([key, value]) => [key, (value ?? {}) as T]));
}

interface Located {
  readonly environment: Record<string, string>;
  readonly sources: readonly SourceFile[];
  readonly directory: string;
  /** What the project is named after. */
  readonly nameDirectory: string;
}

function locate(options: LoadOptions, warn: (message: string) => void): Located {
  const environment = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(options.env)) if (value !== undefined) environment[name] = value;
  const given = options.projectDirectory;
  const base = given === undefined || given === "" ? undefined : resolve(options.cwd, given);
  // What .env says of COMPOSE_FILE counts too, so it is read from where the files would be.
  const early = directoryOf(options.files ?? [], base, options.cwd);
  readEnvFiles(environment, options, early);
  const paths = findPaths(options, environment, { base, warn });
  const directory = directoryOf(paths, base, options.cwd);
  if (directory !== early && (options.envFiles?.length ?? 0) === 0)
    readEnvFiles(environment, options, directory);
  const sources = paths.map((path): SourceFile => {
    if (path === "-") return { path, text: readInput() };
    if (isRemote(path)) return { path: localFile(path, options.remotes), isRemote: true };
    return { path: resolve(options.cwd, path) };
  });
  // Of a file in a registry it is the repository's directory, as with Docker Compose; its paths start where it is here.
  const isElsewhere = base === undefined && sources[0]?.isRemote === true;
  return {
    environment,
    sources,
    directory: isElsewhere ? dirname(sources[0]!.path) : directory,
    nameDirectory: directory,
  };
}

function directoryOf(paths: readonly string[], base: string | undefined, cwd: string): string {
  if (base !== undefined) return base;
  const first = paths.find((path) => path !== "-");
  return first === undefined ? cwd : dirname(resolve(cwd, first));
}

/** Adds the variables of `.env` files; those of the environment stay. */
function readEnvFiles(environment: Record<string, string>, options: LoadOptions, directory: string): void {
  const given = options.envFiles ?? [];
  const fromVariable = (environment["COMPOSE_ENV_FILES"] ?? "").split(",").filter((file) => file !== "");
  let files = [...(given.length > 0 ? given : fromVariable)].map((file) => resolve(options.cwd, file));
  if (files.length === 0) {
    if (isTrue(environment["COMPOSE_DISABLE_ENV_FILE"])) return;
    const usual = join(directory, ".env");
    if (kindAt(usual) !== "file") return;
    files = [usual];
  }
  const read = Object.create(null) as Record<string, string>;
  for (const file of files) {
    const kind = kindAt(file);
    if (kind === "none") throw new ComposeError(`couldn't find env file: ${file}`, { exitCode: 14 });
    if (kind === "directory") throw new ComposeError(`${file} is a directory`, { exitCode: 14 });
    try {
      const variables = parseDotenv(readText(file), (name) => environment[name] ?? read[name]);
      for (const [name, value] of variables) read[name] = value;
    } catch (error) {
      if (!(error instanceof DotenvError)) throw error;
      throw new ComposeError(`failed to read ${file}: ${error.message}`, { exitCode: 14, cause: error });
    }
  }
  for (const [name, value] of Object.entries(read)) environment[name] ??= value;
}

function findPaths(
  options: LoadOptions,
  environment: Readonly<Record<string, string>>,
  { base, warn }: { base: string | undefined; warn: (message: string) => void },
): string[] {
  if (options.files !== undefined && options.files.length > 0) return [...options.files];
  const named =
    options.fig === true
      ? (environment["FIG_FILE"] ?? environment["COMPOSE_FILE"])
      : environment["COMPOSE_FILE"];
  if (named !== undefined && named !== "") {
    return named
      .split(environment["COMPOSE_PATH_SEPARATOR"] || ":")
      .map((path) => (isRemote(path) ? path : resolve(options.cwd, path)));
  }
  const names = options.fig === true ? ["fig.yml", "fig.yaml", ...fileNames] : [...fileNames, "fig.yml"];
  for (let directory = base ?? options.cwd; ; directory = dirname(directory)) {
    const found = existing(directory, names);
    if (found.length > 0) {
      const all = found.filter(
        (path) => !path.endsWith("fig.yml") || found.length === 1 || options.fig === true,
      );
      return [pick(all, "config", warn), ...existing(directory, overrideNames).slice(0, 1)];
    }
    if (dirname(directory) === directory) {
      throw new ComposeError(
        "no configuration file provided: not found (looked for compose.yaml, compose.yml, docker-compose.yml and " +
          "fig.yml here and above; name one with -f)",
        { exitCode: 14 },
      );
    }
  }
}

function existing(directory: string, names: readonly string[]): string[] {
  return names.map((name) => join(directory, name)).filter((path) => kindAt(path) !== "none");
}

function pick(paths: readonly string[], kind: string, warn: (message: string) => void): string {
  if (paths.length > 1) {
    warn(`Found multiple ${kind} files with supported names: ${paths.join(", ")}`);
    warn(`Using ${paths[0]!}`);
  }
  return paths[0]!;
}

/** Letters, digits, dashes and underscores of a name. */
export function normalizeName(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, "")
    .replace(/^[_-]+/, "");
}

function projectName(located: Located, options: LoadOptions, warn: (message: string) => void): string {
  const given = options.projectName ?? "";
  if (given !== "") {
    if (given === normalizeName(given)) return given;
    throw new ComposeError(
      `invalid project name "${given}": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`,
    );
  }
  const { environment } = located;
  const fromVariable =
    (options.fig === true ? environment["FIG_PROJECT_NAME"] : undefined) ||
    environment["COMPOSE_PROJECT_NAME"];
  if (fromVariable !== undefined && fromVariable !== "") {
    if (fromVariable === normalizeName(fromVariable)) return fromVariable;
    throw new ComposeError(`invalid project name "${fromVariable}" in COMPOSE_PROJECT_NAME`);
  }
  const inFiles = nameInFiles(located);
  if (inFiles !== "") return inFiles;
  const base = basename(located.nameDirectory);
  warnOfLink(located.nameDirectory, base, warn);
  const name = options.fig === true ? base.toLowerCase().replace(/[^a-z0-9]/g, "") : normalizeName(base);
  if (name === "") throw new ComposeError("project name must not be empty: give one with -p");
  return name;
}

function warnOfLink(directory: string, name: string, warn: (message: string) => void): void {
  try {
    if (basename(realPath(directory)) === name) return;
  } catch {
    return;
  }
  warn(`project has been loaded without an explicit name from a symlink. Using name "${name}"`);
}

/** The last `name:` of the files; what is no YAML is found later. */
function nameInFiles({ sources, environment }: Located): string {
  let name = "";
  for (const { path, text } of sources) {
    const content = text ?? readText(path);
    if (!/^["']?name["']?\s*:/m.test(content)) continue;
    try {
      for (const { tree } of readYaml(content, path)) {
        if (!isMap(tree) || typeof tree["name"] !== "string" || isVersionOne(tree)) continue;
        name = interpolate(tree["name"], { lookup: (key) => environment[key] });
      }
    } catch (error) {
      if (!(error instanceof ComposeError)) throw error;
    }
  }
  return normalizeName(name);
}
