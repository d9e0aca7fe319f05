/** Trees of compose files as models: every value in the one form that its kind has. */
import type { ComposeError } from "../errors.ts";
import { parseBytes, parseDuration, sprint } from "../go-values.ts";
import { isMap, type Tree, type TreeMap, type TreePath } from "../tree.ts";
import type { Field, Kind, Shape } from "./shape.ts";
import { splitWords } from "./shell-words.ts";

/** Decoded values by key; keys without a value are absent. */
export type Decoded = Record<string, unknown>;

/** Extension keys of a part, kept for output. */
export const extensions = Symbol("extensions");

export type Fail = (path: TreePath, message: string) => ComposeError;

/** A tree as its shape says. Throws what `fail` makes of a value that cannot be read. */
export function decodeShape(tree: TreeMap, shape: Shape, path: TreePath, fail: Fail): Decoded {
  const decoded: Decoded = {};
  for (const field of shape.fields) {
    const value = tree[field.key];
    if (value === undefined) continue;
    const read = decodeField(value, field, [...path, field.key], fail);
    if (read !== undefined) decoded[field.key] = read;
  }
  const extra = Object.keys(tree).filter((key) => key.startsWith("x-"));
  if (extra.length > 0) {
    Object.defineProperty(decoded, extensions, {
      value: Object.fromEntries(extra.map((key) => [key, tree[key]!])),
      enumerable: true,
    });
  }
  return decoded;
}

function decodeField(value: Tree, { kind, key }: Field, path: TreePath, fail: Fail): unknown {
  if (value === null) {
    const isPart = typeof kind === "object" && "map" in kind && key !== "networks";
    return isPart ? undefined : typeof kind === "object" && "map" in kind ? {} : undefined;
  }
  if (typeof kind === "object") return decodePart(value, kind, path, fail);
  return decodeScalar(value, kind, path, fail);
}

function decodePart(value: Tree, kind: Extract<Kind, object>, path: TreePath, fail: Fail): unknown {
  if ("list" in kind) {
    if (!Array.isArray(value)) throw fail(path, "must be a list");
    return value.map((each, index) =>
      decodeShape(asMap(each, [...path, String(index)], fail), kind.list, [...path, String(index)], fail),
    );
  }
  const map = asMap(value, path, fail);
  if (!("map" in kind)) return decodeShape(map, "one" in kind ? kind.one : kind.always, path, fail);
  const result: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [name, each] of Object.entries(map)) {
    result[name] =
      each === null ? null : decodeShape(asMap(each, [...path, name], fail), kind.map, [...path, name], fail);
  }
  return result;
}

function asMap(value: Tree, path: TreePath, fail: Fail): TreeMap {
  if (isMap(value)) return value;
  throw fail(path, "must be a mapping");
}

function decodeScalar(value: Tree, kind: Extract<Kind, string>, path: TreePath, fail: Fail): unknown {
  switch (kind) {
    case "string":
      return sprint(value);
    case "int":
    case "optionalInt":
    case "float32":
    case "nanoCpus": {
      const number = decodeNumber(value, path, fail);
      return kind === "float32" || kind === "nanoCpus" ? Math.fround(number) : number;
    }
    case "bool":
    case "optionalBool":
      return decodeBool(value, path, fail);
    case "bytes": {
      const bytes = typeof value === "number" ? Math.trunc(value) : parseBytes(sprint(value));
      if (bytes === undefined) throw fail(path, `invalid size: '${sprint(value)}'`);
      return bytes;
    }
    case "duration":
    case "optionalDuration": {
      const duration = parseDuration(sprint(value));
      if (duration === undefined) throw fail(path, `time: invalid duration ${JSON.stringify(sprint(value))}`);
      return duration;
    }
    case "deviceCount": {
      if (sprint(value).toLowerCase() === "all") return -1;
      return decodeNumber(value, path, fail);
    }
    case "command":
      return decodeCommand(value, path, fail);
    case "healthTest":
      return Array.isArray(value) ? value.map(sprint) : ["CMD-SHELL", sprint(value)];
    case "strings":
      return Array.isArray(value) ? value.map(sprint) : [sprint(value)];
    case "ulimits":
      return decodeUlimits(asMap(value, path, fail), path, fail);
    case "envFiles":
      return decodeEnvFiles(value);
    case "hosts":
      return decodeHosts(value, path, fail);
    default:
      return decodePairs(value, kind, path, fail);
  }
}

function decodeNumber(value: Tree, path: TreePath, fail: Fail): number {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : Number(sprint(value));
  if (typeof value === "boolean" || Number.isNaN(number))
    throw fail(path, `invalid number: ${sprint(value)}`);
  return number;
}

function decodeBool(value: Tree, path: TreePath, fail: Fail): boolean {
  if (typeof value === "boolean") return value;
  const word = sprint(value).toLowerCase();
  if (["true", "y", "yes", "on"].includes(word)) return true;
  if (["false", "n", "no", "off"].includes(word)) return false;
  throw fail(path, `invalid boolean: ${sprint(value)}`);
}

function decodeCommand(value: Tree, path: TreePath, fail: Fail): string[] {
  if (Array.isArray(value)) return value.map(sprint);
  const words = splitWords(sprint(value));
  if (words === undefined) throw fail(path, "invalid command line string");
  return words;
}

function decodeUlimits(map: TreeMap, path: TreePath, fail: Fail): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(map).map(([name, each]) => {
      if (!isMap(each)) return [name, { single: decodeNumber(each, [...path, name], fail) }];
      const part = (key: string): number => decodeNumber(each[key] ?? 0, [...path, name, key], fail);
      return [name, { soft: part("soft"), hard: part("hard") }];
    }),
  );
}

/** A file of variables that a service takes. */
export interface EnvFile {
  readonly path: string;
  readonly required: boolean;
  readonly format: string;
}

function decodeEnvFiles(value: Tree): EnvFile[] {
  const list = Array.isArray(value) ? value : [value];
  return list.map((each) =>
    isMap(each)
      ? {
          path: sprint(each["path"] ?? ""),
          required: each["required"] !== false,
          format: sprint(each["format"] ?? ""),
        }
      : { path: sprint(each), required: true, format: "" },
  );
}

function decodeHosts(value: Tree, path: TreePath, fail: Fail): Record<string, string[]> {
  const hosts: Record<string, string[]> = {};
  const add = (name: string, addresses: readonly string[]): void => {
    if (name === "" || /[:=]/.test(name)) throw fail(path, `bad host name '${name}'`);
    const plain = addresses.map((address) => /^\[(.+)\]$/.exec(address)?.[1] ?? address);
    hosts[name] = [...(hosts[name] ?? []), ...plain];
  };
  if (isMap(value)) {
    for (const [name, each] of Object.entries(value)) {
      add(name, Array.isArray(each) ? each.map(sprint) : [each === null ? "" : sprint(each)]);
    }
    return hosts;
  }
  for (const entry of (Array.isArray(value) ? value : [value]).map(sprint)) {
    const separator = entry.includes("=") ? "=" : ":";
    const at = entry.indexOf(separator);
    if (at < 0) throw fail(path, `invalid additional host, missing IP: ${entry}`);
    add(entry.slice(0, at), entry.slice(at + 1).split(","));
  }
  return hosts;
}

/** Pairs of a map or of a list of `NAME=text`. Only environments know a name without a text, as null. */
function decodePairs(
  value: Tree,
  kind: "mapping" | "environment" | "labels" | "ssh",
  path: TreePath,
  fail: Fail,
): Record<string, string | null> {
  const absent = kind === "environment" || kind === "ssh" ? null : "";
  const pairs: Record<string, string | null> = {};
  const put = (name: string, text: string | null): void => {
    Object.defineProperty(pairs, name, { value: text, enumerable: true, writable: true, configurable: true });
  };
  if (isMap(value)) {
    for (const [name, each] of Object.entries(value)) {
      // A label of several values has them after each other.
      put(name, each === null ? absent : sprint(each));
    }
    return pairs;
  }
  if (!Array.isArray(value)) throw fail(path, "must be a mapping or a list");
  for (const entry of value.map(sprint)) {
    const equals = entry.indexOf("=");
    if (equals < 0) put(entry, absent);
    else put(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return pairs;
}
