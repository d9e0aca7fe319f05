/** Lists in which a later entry takes the place of an earlier one with the same key. */
import { ComposeError } from "../errors.ts";
import { sprint } from "../go-values.ts";
import { isMap, PathTable, treeMap, type Tree, type TreeMap, type TreePath } from "../tree.ts";
import { parseVolume } from "./volumes.ts";

type KeyOf = (entry: Tree, path: TreePath) => string;

const keys = new PathTable<KeyOf>({
  "networks.*.labels": beforeEquals,
  "networks.*.ipam.options": beforeEquals,
  "services.*.annotations": beforeEquals,
  "services.*.build.args": beforeEquals,
  "services.*.build.additional_contexts": beforeEquals,
  "services.*.build.platform": beforeEquals,
  "services.*.build.tags": beforeEquals,
  "services.*.build.labels": beforeEquals,
  "services.*.cap_add": beforeEquals,
  "services.*.cap_drop": beforeEquals,
  "services.*.configs": mountTarget(""),
  "services.*.deploy.labels": beforeEquals,
  "services.*.devices": deviceTarget,
  "services.*.dns": beforeEquals,
  "services.*.dns_opt": beforeEquals,
  "services.*.dns_search": beforeEquals,
  "services.*.environment": beforeEquals,
  "services.*.env_file": envFile,
  "services.*.expose": sprint,
  "services.*.labels": beforeEquals,
  "services.*.links": beforeEquals,
  "services.*.networks.*.aliases": beforeEquals,
  "services.*.networks.*.link_local_ips": beforeEquals,
  "services.*.ports": port,
  "services.*.profiles": beforeEquals,
  "services.*.secrets": mountTarget("/run/secrets"),
  "services.*.sysctls": beforeEquals,
  "services.*.tmpfs": beforeEquals,
  "services.*.volumes": volumeTarget,
});

/** The tree with the lists of the table without doubles. Throws {@link ComposeError} for entries without their key. */
export function withoutDoubles(tree: TreeMap): TreeMap {
  return walk(tree, []) as TreeMap;
}

function walk(value: Tree, path: TreePath): Tree {
  if (isMap(value)) {
    return treeMap(Object.entries(value).map(([key, each]) => [key, walk(each, [...path, key])]));
  }
  if (!Array.isArray(value)) return value;
  const keyOf = keys.get(path);
  if (keyOf === undefined) return value;
  const places = new Map<string, number>();
  const list: Tree[] = [];
  for (const [index, entry] of value.entries()) {
    const key = keyOf(entry, [...path, `${index}`]);
    const place = places.get(key);
    if (place === undefined) places.set(key, list.push(entry) - 1);
    else list[place] = entry;
  }
  return list;
}

function beforeEquals(entry: Tree, path: TreePath): string {
  if (isMap(entry) || Array.isArray(entry)) {
    throw new ComposeError(`${path.join(".")}: must be a string`, { exitCode: 15 });
  }
  const text = sprint(entry);
  const equals = text.indexOf("=");
  return equals < 0 ? text : text.slice(0, equals);
}

function volumeTarget(entry: Tree, path: TreePath): string {
  if (typeof entry === "string") return parseVolume(entry).target;
  if (!isMap(entry)) return "";
  if (typeof entry["target"] === "string") return entry["target"];
  throw new ComposeError(`service volume ${path.join(".")} is missing a mount target`, { exitCode: 15 });
}

function deviceTarget(entry: Tree, path: TreePath): string {
  if (typeof entry === "string") {
    const [source = "", target] = entry.split(":");
    return target ?? source;
  }
  if (!isMap(entry)) return "";
  if (typeof entry["target"] === "string") return entry["target"];
  throw new ComposeError(`service device ${path.join(".")} is missing a mount target`, { exitCode: 15 });
}

function mountTarget(directory: string): KeyOf {
  return (entry) => {
    if (!isMap(entry)) return `${directory}/${sprint(entry)}`;
    return typeof entry["target"] === "string"
      ? entry["target"]
      : `${directory}/${sprint(entry["source"] ?? "")}`;
  };
}

function port(entry: Tree, path: TreePath): string {
  if (!isMap(entry)) return sprint(entry);
  const { target, published, host_ip: hostIp, protocol } = entry;
  if (target === undefined) {
    throw new ComposeError(`service ports ${path.join(".")} is missing a target port`, { exitCode: 15 });
  }
  const part = (value: Tree | undefined, otherwise: string): string =>
    value === undefined ? otherwise : sprint(value);
  return `${part(hostIp, "0.0.0.0")}:${part(published, "")}:${sprint(target)}/${part(protocol, "tcp")}`;
}

function envFile(entry: Tree, path: TreePath): string {
  if (!isMap(entry)) return sprint(entry);
  if (typeof entry["path"] === "string") return entry["path"];
  throw new ComposeError(`environment path attribute ${path.join(".")} is missing`, { exitCode: 15 });
}
