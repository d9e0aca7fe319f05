/** Relative paths of a file made absolute, from the directory that the file says. */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { ComposeError } from "../errors.ts";
import { realPath } from "./disk.ts";
import { isMap, PathTable, treeMap, type Tree, type TreeMap, type TreePath } from "../tree.ts";

type Resolver = (value: Tree, base: string) => Tree;

const resolvers = new PathTable<Resolver>({
  "services.*.build.context": context,
  "services.*.build.additional_contexts.*": context,
  "services.*.build.ssh.*": file,
  "services.*.env_file.*.path": file,
  "services.*.label_file.*": file,
  "services.*.extends.file": file,
  "services.*.develop.watch.*.path": watched,
  "services.*.volumes.*": mount,
  "configs.*.file": file,
  "secrets.*.file": file,
  "volumes.*": volume,
});

/** The file with absolute paths, relative ones taken from `base`. Throws {@link ComposeError}. */
export function withAbsolutePaths(tree: TreeMap, base: string): TreeMap {
  const walk = (value: Tree, path: TreePath): Tree => {
    const resolver = resolvers.get(path);
    if (resolver !== undefined) return resolver(value, base);
    if (isMap(value)) {
      return treeMap(Object.entries(value).map(([key, each]) => [key, walk(each, [...path, key])]));
    }
    return Array.isArray(value) ? value.map((each, index) => walk(each, [...path, String(index)])) : value;
  };
  return walk(tree, []) as TreeMap;
}

/** `~` is the home directory. */
export function expandHome(path: string): string {
  return path.startsWith("~") ? join(homedir(), path.slice(1)) : path;
}

function absolute(path: string, base: string): string {
  const expanded = expandHome(path);
  const isWindows = /^([a-zA-Z]:[\\/]|\\\\)/.test(expanded);
  return isAbsolute(expanded) || isWindows || expanded === "" ? expanded : join(base, expanded);
}

function file(value: Tree, base: string): Tree {
  return typeof value === "string" ? absolute(value, base) : value;
}

/** A directory, unless it is what a builder fetches. */
function context(value: Tree, base: string): Tree {
  if (typeof value !== "string") return value;
  const isRemote = value.includes("://") || /^(service:|github\.com\/|git@)/.test(value);
  return isRemote ? value : absolute(value, base);
}

function watched(value: Tree, base: string): Tree {
  if (typeof value !== "string") return value;
  const path = absolute(value, base);
  try {
    return realPath(path);
  } catch {
    return path;
  }
}

function mount(value: Tree, base: string): Tree {
  if (!isMap(value) || value["type"] !== "bind") return value;
  if (typeof value["source"] !== "string") {
    throw new ComposeError('invalid mount config for type "bind": field Source must not be empty');
  }
  return treeMap([...Object.entries(value), ["source", absolute(value["source"], base)]]);
}

/** A volume that is a bind mount by its driver's options. */
function volume(value: Tree, base: string): Tree {
  if (!isMap(value) || value["driver"] !== "local" || !isMap(value["driver_opts"])) return value;
  const options = value["driver_opts"];
  if (options["o"] !== "bind" || typeof options["device"] !== "string") return value;
  const resolved = treeMap([...Object.entries(options), ["device", absolute(options["device"], base)]]);
  return treeMap([...Object.entries(value), ["driver_opts", resolved]]);
}
