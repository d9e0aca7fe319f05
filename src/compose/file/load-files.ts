/** One tree of several compose files, with what they extend and include. */
import { dirname, join, resolve } from "node:path";
import { ComposeError } from "../errors.ts";
import { cloneTree, isMap, treeMap, type Tree, type TreeMap, type TreePath } from "../tree.ts";
import { canonical, PathError } from "./canonical.ts";
import { casts } from "./casts.ts";
import { kindAt, readText } from "./disk.ts";
import { DotenvError, parseDotenv } from "./dotenv.ts";
import { interpolate, InvalidTemplateError, MissingVariableError, type Lookup } from "./interpolate.ts";
import { checkVersion, fromVersionOne, isVersionOne, refuseForeign, takeVersionTwoKeys } from "./legacy.ts";
import { mergeFiles, mergeServices } from "./merge.ts";
import { withDefaults, withEnvironment } from "./normalize.ts";
import { expandHome, withAbsolutePaths } from "./paths.ts";
import { Positions } from "./positions.ts";
import { isRemote, localFile, type RemoteFiles } from "./remote.ts";
import { checkResources, withoutEmptyDns, withoutPaths, withResources } from "./resources.ts";
import { checkSchema } from "./schema.ts";
import { withoutDoubles } from "./unique.ts";
import { readYaml, type YamlDocument } from "./yaml.ts";

/** A file to read; `text` for one that is no file, such as standard input. */
export interface SourceFile {
  readonly path: string;
  readonly text?: string;
  /** Out of a registry: its relative paths start where it is. */
  readonly isRemote?: boolean;
}

export interface FileOptions {
  readonly lookup: Lookup;
  readonly interpolate: boolean;
  /** Relative paths become absolute, from the directory given to {@link loadFiles}. */
  readonly resolvePaths: boolean;
  /** Files of registries that are here; without it none can be. */
  readonly remotes?: RemoteFiles;
  readonly warn: (message: string) => void;
}

export interface LoadedFiles {
  readonly tree: TreeMap;
  readonly positions: Positions;
  /** One of the files has the form of version 1. */
  readonly isVersionOne: boolean;
}

/** Reads files, each on top of those before it. Throws {@link ComposeError} with file, line, column and path. */
export function loadFiles(
  files: readonly SourceFile[],
  directory: string,
  options: FileOptions,
): LoadedFiles {
  return new Loader(options).load(files, directory, []);
}

interface Service {
  readonly file: string;
  readonly name: string;
}

class Loader {
  readonly #options: FileOptions;
  #isVersionOne = false;

  constructor(options: FileOptions) {
    this.#options = options;
  }

  load(files: readonly SourceFile[], directory: string, included: readonly string[]): LoadedFiles {
    const positions = new Positions();
    let tree = treeMap();
    const loading = [...included];
    for (const file of files) {
      if (file.isRemote !== true) loading.push(file.path);
      const own = file.isRemote === true ? dirname(file.path) : directory;
      const place = { file: file.path, directory: own, included: loading, positions };
      for (const document of this.#read(file)) {
        const isElsewhere = own !== directory;
        tree = this.#onTop(tree, document, { ...place, ...(isElsewhere ? { base: own } : {}) });
      }
    }
    tree = withDefaults(tree);
    tree = this.#located(positions, () => {
      checkResources(tree, positions);
      return this.#options.resolvePaths ? withAbsolutePaths(tree, directory) : tree;
    });
    tree = withEnvironment(tree, this.#options.lookup);
    return { tree, positions, isVersionOne: this.#isVersionOne };
  }

  #read({ path, text }: SourceFile): YamlDocument[] {
    return readYaml(text ?? readText(path), path);
  }

  /** The tree with one document on top of it. */
  #onTop(tree: TreeMap, document: YamlDocument, place: Place): TreeMap {
    const { positions } = place;
    positions.addAll(document.positions);
    let own = this.#prepare(document, place);
    const base = withoutPaths(tree, document.resets);
    return this.#located(positions, () => {
      own = this.#withIncludes(own, place);
      if (place.base !== undefined) own = this.#atHome(own, place.base);
      const { file, taken } = takeVersionTwoKeys(own);
      if (this.#options.interpolate) this.#check(file, positions);
      let merged = withoutDoubles(mergeFiles(base, own));
      if (taken !== undefined && Object.keys(base).length > 0 && this.#options.interpolate) {
        this.#check(takeVersionTwoKeys(merged).file, positions);
      }
      if ("version" in merged) {
        const { version: _version, ...rest } = merged;
        merged = treeMap(Object.entries(rest));
      }
      const long = canonical(merged, { lenient: !this.#options.interpolate, warn: this.#options.warn });
      return withoutDoubles(withoutEmptyDns(long));
    });
  }

  /** A document whose relative paths start elsewhere than those of the others. */
  #atHome(file: TreeMap, directory: string): TreeMap {
    const { interpolate: isRead, warn } = this.#options;
    if (isRead) this.#check(takeVersionTwoKeys(file).file, new Positions());
    return withAbsolutePaths(canonical(file, { lenient: !isRead, warn }), directory);
  }

  /** The path of a file that another names. */
  #pathOf(file: string, directory: string): string {
    return isRemote(file) ? localFile(file, this.#options.remotes) : resolve(directory, expandHome(file));
  }

  /** A document with its variables replaced, in today's form, and with what its services extend. */
  #prepare({ tree, resets, positions: own }: YamlDocument, place: Place): TreeMap {
    const { positions } = place;
    if (tree === null) return treeMap();
    if (!isMap(tree)) throw positions.error([], "Top-level object must be a mapping");
    checkVersion(tree, positions);
    let file = tree;
    if (isVersionOne(file)) {
      this.#isVersionOne = true;
      for (const name of Object.keys(file)) positions.adopt(own, [name], ["services", name]);
      file = fromVersionOne(file);
    }
    if (this.#options.interpolate) file = this.#interpolate(file, [], positions) as TreeMap;
    refuseForeign(file, positions);
    return this.#withExtends(file, { ...place, resets });
  }

  #check(file: TreeMap, positions: Positions): void {
    const misfit = checkSchema(file);
    if (misfit === undefined) return;
    const match = /^Additional property (.*) is not allowed$/.exec(misfit.message);
    const at = match === null ? misfit.path : [...misfit.path, match[1]!];
    const name = misfit.path.join(".");
    throw new ComposeError(`${name === "" ? "" : `${name} `}${misfit.message}`, {
      position: positions.get(at),
      exitCode: 15,
    });
  }

  #located<T>(positions: Positions, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof PathError) throw positions.error(error.path, error.bare);
      throw error;
    }
  }

  #interpolate(value: Tree, path: TreePath, positions: Positions): Tree {
    if (typeof value === "string") return this.#interpolateText(value, path, positions);
    if (isMap(value)) {
      return treeMap(
        Object.entries(value).map(([key, each]) => [key, this.#interpolate(each, [...path, key], positions)]),
      );
    }
    return Array.isArray(value)
      ? value.map((each, index) => this.#interpolate(each, [...path, String(index)], positions))
      : value;
  }

  #interpolateText(text: string, path: TreePath, positions: Positions): Tree {
    const { lookup, warn } = this.#options;
    let result: string;
    try {
      result = interpolate(text, {
        lookup,
        onUnset: (name) =>
          warn(`The ${JSON.stringify(name)} variable is not set. Defaulting to a blank string.`),
      });
    } catch (error) {
      if (error instanceof InvalidTemplateError) {
        throw new ComposeError(
          `invalid interpolation format for ${path.join(".")}.\nYou may need to escape any $ with another $.\n${text}`,
          { position: positions.get(path), exitCode: 15 },
        );
      }
      if (!(error instanceof MissingVariableError)) throw error;
      throw new ComposeError(`error while interpolating ${path.join(".")}: ${error.message}`, {
        position: positions.get(path),
        exitCode: 15,
      });
    }
    const cast = casts.get(path);
    if (cast === undefined) return result;
    try {
      return cast(result, warn);
    } catch (error) {
      throw positions.error(path, `failed to cast to expected type: ${(error as Error).message}`);
    }
  }

  #withExtends(file: TreeMap, place: ExtendPlace): TreeMap {
    const services = file["services"];
    if (!isMap(services)) return file;
    const result = treeMap();
    for (const name of Object.keys(services)) {
      result[name] = this.#extended(name, services, { ...place, chain: [] }) ?? null;
    }
    return treeMap([...Object.entries(file), ["services", result]]);
  }

  /** A service with what it extends, and what that extends. */
  #extended(name: string, services: TreeMap, place: ExtendsFrom): Tree | undefined {
    const service = services[name];
    if (!isMap(service) || service["extends"] === undefined) return service;
    const { extends: extension, ...rest } = service;
    const own = treeMap(Object.entries(rest));
    const ref =
      typeof extension === "string" ? extension : isMap(extension) ? extension["service"] : undefined;
    const other = isMap(extension) ? extension["file"] : undefined;
    const at = ["services", name, "extends"];
    if (typeof ref !== "string") throw place.positions.error(at, "service is required");
    checkCircle(place, { file: place.file, name });
    const chain = [...place.chain, { file: place.file, name }];
    let base: Tree | undefined;
    if (typeof other === "string") base = this.#fromFile(other, { name, ref }, { ...place, chain });
    else {
      if (!(ref in services)) {
        throw new ComposeError(
          `cannot extend service ${q(name)} in ${place.file}: service ${q(ref)} not found`,
          {
            position: place.positions.get(at),
            exitCode: 15,
          },
        );
      }
      base = this.#extended(ref, services, { ...place, chain });
      place.positions.adopt(place.positions, ["services", ref], ["services", name]);
    }
    if (!isMap(base)) return own;
    const kept = withoutPaths(treeMap([["services", treeMap([[name, cloneTree(base)]])]]), place.resets);
    const source = (kept["services"] as TreeMap)[name];
    return isMap(source) ? mergeServices(source, own) : own;
  }

  #fromFile(
    file: string,
    { name, ref }: { name: string; ref: string },
    place: ExtendsFrom,
  ): Tree | undefined {
    const fail = (message: string): ComposeError =>
      new ComposeError(`cannot extend service ${q(name)} in ${place.file}: ${message}`, {
        position: place.positions.get(["services", name, "extends"]),
        exitCode: 15,
      });
    const path = this.#pathOf(file, place.directory);
    let documents: YamlDocument[];
    try {
      documents = this.#read({ path });
    } catch (error) {
      if (error instanceof ComposeError && error.position !== undefined) throw error;
      throw fail((error as Error).message);
    }
    const positions = new Positions();
    let tree = treeMap();
    for (const document of documents) {
      positions.addAll(document.positions);
      const read = document.tree;
      if (!isMap(read)) continue;
      const form = isVersionOne(read) ? fromVersionOne(read) : read;
      const full = this.#options.interpolate ? (this.#interpolate(form, [], positions) as TreeMap) : form;
      tree = withoutDoubles(mergeFiles(tree, full));
    }
    const services = tree["services"];
    if (!isMap(services)) throw fail("no services section");
    if (!(ref in services)) throw fail(`service ${q(ref)} not found in ${file}`);
    const inner = { ...place, file: path, directory: dirname(path), positions };
    const base = this.#extended(ref, services, inner);
    place.positions.adopt(positions, ["services", ref], ["services", name]);
    if (!isMap(base)) return base;
    const only = treeMap([["services", treeMap([[name, base]])]]);
    const long = this.#located(positions, () =>
      canonical(only, { lenient: !this.#options.interpolate, warn: this.#options.warn }),
    );
    return (withAbsolutePaths(long, dirname(path))["services"] as TreeMap)[name];
  }

  #withIncludes(file: TreeMap, place: Place): TreeMap {
    const { include, ...rest } = file;
    let result = treeMap(Object.entries(rest));
    if (include === undefined || include === null) return result;
    if (!Array.isArray(include)) throw place.positions.error(["include"], "must be a list");
    for (const [index, entry] of include.entries()) {
      const loaded = this.#include(isMap(entry) ? entry : treeMap([["path", entry]]), index, place);
      result = withResources(result, loaded.tree, place.positions);
      place.positions.addAll(loaded.positions, true);
    }
    return result;
  }

  #include(entry: TreeMap, index: number, place: Place): LoadedFiles {
    const { directory, positions, included } = place;
    const at = ["include", String(index)];
    const paths = stringsOf(entry["path"]).map((path) => this.#pathOf(path, directory));
    if (paths.length === 0) throw positions.error(at, "path is required");
    const again = paths.find((path) => included.includes(path));
    if (again !== undefined) {
      const chain = [...included.slice(1), again].join("\n include ");
      throw positions.error(at, `include cycle detected:\n${included[0]!}\n include ${chain}`);
    }
    const given = entry["project_directory"];
    const base = typeof given === "string" ? resolve(directory, expandHome(given)) : dirname(paths[0]!);
    const variables = this.#includedVariables(stringsOf(entry["env_file"]), base, {
      positions,
      at,
      directory,
    });
    const { lookup } = this.#options;
    const inner = new Loader({
      ...this.#options,
      resolvePaths: true,
      lookup: (name) => lookup(name) ?? variables.get(name),
    });
    return inner.load(
      paths.map((path) => ({ path })),
      base,
      included,
    );
  }

  #includedVariables(
    given: readonly string[],
    base: string,
    { positions, at, directory }: { positions: Positions; at: TreePath; directory: string },
  ): Map<string, string> {
    const files =
      given.length > 0 ? given.map((file) => resolve(directory, file)) : existing(join(base, ".env"));
    const variables = new Map<string, string>();
    const { lookup } = this.#options;
    for (const file of files) {
      try {
        const read = parseDotenv(readText(file), (name) => lookup(name) ?? variables.get(name));
        for (const [name, value] of read) variables.set(name, value);
      } catch (error) {
        const isDotenv = error instanceof DotenvError;
        throw positions.error(at, `${isDotenv ? `failed to read ${file}: ` : ""}${(error as Error).message}`);
      }
    }
    return variables;
  }
}

interface Place {
  readonly file: string;
  readonly directory: string;
  readonly included: readonly string[];
  readonly positions: Positions;
  /** Where its relative paths start, where that is not where the project's do. */
  readonly base?: string;
}

interface ExtendPlace extends Place {
  readonly resets: readonly TreePath[];
}

interface ExtendsFrom extends ExtendPlace {
  readonly chain: readonly Service[];
}

const q = (text: string): string => JSON.stringify(text);

function stringsOf(value: Tree | undefined): string[] {
  if (value === undefined || value === null) return [];
  return (Array.isArray(value) ? value : [value]).filter((each) => typeof each === "string");
}

function existing(path: string): string[] {
  return kindAt(path) === "file" ? [path] : [];
}

function checkCircle({ chain, positions }: ExtendsFrom, next: Service): void {
  const start = chain.findIndex(({ file, name }) => file === next.file && name === next.name);
  if (start < 0) return;
  const first = chain[0] ?? next;
  const others = [...chain.slice(1), next];
  const lines = others.map(({ file, name }) => `  extends ${name} in ${file}`);
  throw new ComposeError(`Circular reference:\n  ${first.name} in ${first.file}\n${lines.join("\n")}`, {
    position: positions.get(["services", first.name, "extends"]),
    exitCode: 15,
  });
}
