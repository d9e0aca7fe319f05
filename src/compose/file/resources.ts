/** What a file of services, volumes, networks, secrets and configurations is made of, and what its schema cannot say. */
import { ComposeError } from "../errors.ts";
import { isMap, matches, sameTree, treeMap, type Tree, type TreeMap, type TreePath } from "../tree.ts";
import type { Positions } from "./positions.ts";

/** The tree without what stands at any of the paths. */
export function withoutPaths(tree: TreeMap, paths: readonly TreePath[]): TreeMap {
  if (paths.length === 0) return tree;
  const walk = (value: Tree, path: TreePath): Tree => {
    if (!isMap(value)) return value;
    const kept = Object.entries(value).filter(
      ([key]) => !paths.some((pattern) => matches([...path, key], pattern)),
    );
    return treeMap(kept.map(([key, each]) => [key, walk(each, [...path, key])]));
  };
  return walk(tree, []) as TreeMap;
}

/** An empty address of a DNS server is none. */
export function withoutEmptyDns(tree: TreeMap): TreeMap {
  const { services } = tree;
  if (!isMap(services)) return tree;
  for (const service of Object.values(services)) {
    if (!isMap(service) || !Array.isArray(service["dns"])) continue;
    service["dns"] = service["dns"].filter((entry) => entry !== null && entry !== "");
  }
  return tree;
}

/** The file with what another one that it includes brings. Throws {@link ComposeError} where both say different things. */
export function withResources(file: TreeMap, included: TreeMap, positions: Positions): TreeMap {
  const result = treeMap(Object.entries(file));
  for (const kind of ["services", "volumes", "networks", "secrets", "configs"]) {
    const from = included[kind];
    if (!isMap(from)) continue;
    const to = isMap(result[kind]) ? treeMap(Object.entries(result[kind])) : treeMap();
    for (const [name, value] of Object.entries(from)) {
      if (name in to && !sameTree(to[name], value)) {
        throw new ComposeError(`${kind}.${name} conflicts with imported resource`, {
          position: positions.get([kind, name]),
          exitCode: 15,
        });
      }
      to[name] = value;
    }
    result[kind] = to;
  }
  return result;
}

/** What the schema cannot say of volumes, configurations and secrets. */
export function checkResources(tree: TreeMap, positions: Positions): void {
  for (const [kind, keys] of [
    ["configs", ["file", "environment", "content"]],
    ["secrets", ["file", "environment"]],
  ] as const) {
    if (!isMap(tree[kind])) continue;
    for (const [name, value] of Object.entries(tree[kind])) {
      const given = isMap(value) ? keys.filter((key) => key in value).length : 0;
      if (given > 1)
        throw positions.error([kind, name], `${keys.join("|")} attributes are mutually exclusive`);
      if (given === 0 && !(isMap(value) && ("driver" in value || "external" in value))) {
        throw positions.error([kind, name], `one of ${keys.join("|")} must be set`);
      }
    }
  }
  if (!isMap(tree["volumes"])) return;
  for (const [name, value] of Object.entries(tree["volumes"])) {
    if (!isMap(value) || value["external"] !== true) continue;
    const other = Object.keys(value).find(
      (key) => key !== "name" && key !== "external" && !key.startsWith("x-"),
    );
    if (other === undefined) continue;
    throw positions.error(
      ["volumes", name],
      `conflicting parameters "external" and ${JSON.stringify(other)} specified`,
    );
  }
}
