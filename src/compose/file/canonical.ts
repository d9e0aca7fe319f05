/** Short forms made long, so that what follows knows one form of everything. */
import { ComposeError } from "../errors.ts";
import { sprint } from "../go-values.ts";
import { isMap, PathTable, treeMap, type Tree, type TreeMap, type TreePath } from "../tree.ts";
import { longPorts } from "./ports.ts";
import { longVolume } from "./volumes.ts";

export interface CanonicalOptions {
  /** Leave as it is what variables that are not replaced keep from being read. */
  readonly lenient: boolean;
  readonly warn: (message: string) => void;
}

/** Makes one value long; the values below are made so afterwards. */
type Transform = (value: Tree, path: TreePath, options: CanonicalOptions) => Tree;

const transforms = new PathTable<Transform>({
  "services.*.build": (value) => (typeof value === "string" ? treeMap([["context", value]]) : value),
  "services.*.build.additional_contexts": keyValues,
  "services.*.build.secrets.*": fileMount,
  "services.*.build.ssh": sshKeys,
  "services.*.configs.*": fileMount,
  "services.*.depends_on": dependsOn,
  "services.*.devices.*": device,
  "services.*.dns": (value) => (typeof value === "string" ? [value] : value),
  "services.*.env_file": envFiles,
  "services.*.extends": (value) => (typeof value === "string" ? treeMap([["service", value]]) : value),
  "services.*.gpus": (value) => (typeof value === "string" ? [treeMap([["count", "all"]])] : value),
  "services.*.label_file": (value) => (typeof value === "string" ? [value] : value),
  "services.*.networks": networks,
  "services.*.ports": ports,
  "services.*.secrets.*": fileMount,
  "services.*.volumes.*": volume,
  "configs.*": external,
  "networks.*": external,
  "secrets.*": external,
  "volumes.*": external,
});

/** The long form of a file. Throws {@link ComposeError} for short forms that cannot be read. */
export function canonical(tree: TreeMap, options: CanonicalOptions): TreeMap {
  return walk(tree, [], options) as TreeMap;
}

function walk(value: Tree, path: TreePath, options: CanonicalOptions): Tree {
  const transform = transforms.get(path);
  let long = value;
  if (transform !== undefined) {
    try {
      long = transform(value, path, options);
    } catch (error) {
      if (!options.lenient) throw atPath(error, path);
      return value;
    }
  }
  if (isMap(long)) {
    return treeMap(Object.entries(long).map(([key, each]) => [key, walk(each, [...path, key], options)]));
  }
  return Array.isArray(long)
    ? long.map((each, index) => walk(each, [...path, String(index)], options))
    : long;
}

/** An error of a path that the loader gives its line. */
export class PathError extends ComposeError {
  readonly path: TreePath;
  readonly bare: string;

  constructor(path: TreePath, message: string) {
    super(`${path.join(".")}: ${message}`, { exitCode: 15 });
    this.path = path;
    this.bare = message;
  }
}

function atPath(error: unknown, path: TreePath): unknown {
  return error instanceof ComposeError && !(error instanceof PathError)
    ? new PathError(path, error.message)
    : error;
}

function keyValues(value: Tree): Tree {
  if (!Array.isArray(value)) return value;
  const map = treeMap();
  for (const entry of value) {
    const text = sprint(entry);
    const equals = text.indexOf("=");
    if (equals < 0) throw new ComposeError(`invalid value ${text}, expected key=value`);
    map[text.slice(0, equals)] = text.slice(equals + 1);
  }
  return map;
}

function fileMount(value: Tree): Tree {
  return typeof value === "string" ? treeMap([["source", value]]) : value;
}

function sshKeys(value: Tree): Tree {
  if (!Array.isArray(value)) return value;
  const map = treeMap();
  for (const entry of value) {
    const text = sprint(entry);
    const equals = text.indexOf("=");
    if (equals >= 0) map[text.slice(0, equals)] = text.slice(equals + 1);
    else if (text === "default") map[text] = null;
    else throw new ComposeError(`invalid ssh key ${JSON.stringify(text)}`);
  }
  return map;
}

function dependsOn(value: Tree): Tree {
  const started: readonly (readonly [string, Tree])[] = [
    ["condition", "service_started"],
    ["required", true],
  ];
  if (Array.isArray(value)) return treeMap(value.map((name) => [sprint(name), treeMap(started)] as const));
  if (!isMap(value)) return value;
  return treeMap(
    Object.entries(value).map(([name, each]) => [
      name,
      isMap(each) ? treeMap([...started, ...Object.entries(each)]) : each,
    ]),
  );
}

function device(value: Tree): Tree {
  if (typeof value !== "string") return value;
  const [source = "", target = "", permissions = "rwm", ...rest] = value.split(":");
  if (rest.length > 0) {
    throw new ComposeError(`confusing device mapping, please use long syntax: ${value}`);
  }
  return treeMap([
    ["source", source],
    ["target", target === "" ? source : target],
    ["permissions", permissions],
  ]);
}

function envFiles(value: Tree): Tree {
  const list = Array.isArray(value) ? value : [value];
  return list.map((entry) => {
    if (isMap(entry)) return treeMap([["required", true], ...Object.entries(entry)]);
    return treeMap([
      ["path", entry],
      ["required", true],
    ]);
  });
}

function networks(value: Tree): Tree {
  return Array.isArray(value) ? treeMap(value.map((name) => [sprint(name), null] as const)) : value;
}

function ports(value: Tree, path: TreePath, { lenient }: CanonicalOptions): Tree {
  if (!Array.isArray(value)) return value;
  return value.flatMap((entry, index): Tree[] => {
    if (isMap(entry)) return [entry];
    try {
      return longPorts(sprint(entry));
    } catch (error) {
      if (lenient) return [entry];
      throw atPath(error, [...path, String(index)]);
    }
  });
}

function volume(value: Tree): Tree {
  return typeof value === "string" ? longVolume(value) : value;
}

function external(value: Tree, path: TreePath, { warn }: CanonicalOptions): Tree {
  if (!isMap(value) || !isMap(value["external"])) return value;
  const name = value["external"]["name"];
  const result = treeMap([...Object.entries(value), ["external", true]]);
  if (name === undefined) return result;
  warn(`${path.join(".")}: external.name is deprecated. Please set name and external: true`);
  if (value["name"] !== undefined && value["name"] !== name) {
    throw new ComposeError("name and external.name conflict; only use name");
  }
  result["name"] = name;
  return result;
}
