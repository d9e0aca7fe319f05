/** What a compose file holds once YAML is read: JSON's values, and integers beyond 2^53 as bigint. */
export type Tree = null | boolean | number | bigint | string | Tree[] | TreeMap;

export interface TreeMap {
  [key: string]: Tree;
}

/** Where a value is: `["services", "web", "ports", "0"]`. */
export type TreePath = readonly string[];

/** A mapping without inherited names: a service may be called `constructor`. */
export function treeMap(entries: Iterable<readonly [string, Tree]> = []): TreeMap {
  const map = Object.create(null) as TreeMap;
  for (const [key, value] of entries) map[key] = value;
  return map;
}

export function isMap(value: Tree | undefined): value is TreeMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A copy that shares nothing with the original. */
export function cloneTree(value: Tree): Tree {
  if (Array.isArray(value)) return value.map(cloneTree);
  if (isMap(value)) return treeMap(Object.entries(value).map(([key, each]) => [key, cloneTree(each)]));
  return value;
}

/** The same values under the same keys, in any order of keys. */
export function sameTree(a: Tree | undefined, b: Tree | undefined): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((each, index) => sameTree(each, b[index]));
  }
  if (isMap(a) && isMap(b)) {
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((key) => key in b && sameTree(a[key], b[key]));
  }
  return a === b;
}

/** `services.web.ports.0`, as messages name a place. */
export function pathText(path: TreePath): string {
  return path.join(".");
}

/**
 * Values by pattern of a path, where `*` stands for any one part: `services.*.build.args`. The longest table is asked at
 * every node of a file, so patterns are kept as a tree.
 */
export class PathTable<T> {
  readonly #root = new Node<T>();

  constructor(entries: Readonly<Record<string, T>>) {
    for (const [pattern, value] of Object.entries(entries)) {
      let node = this.#root;
      for (const part of pattern.split(".")) {
        let next = node.children.get(part);
        if (next === undefined) node.children.set(part, (next = new Node()));
        node = next;
      }
      node.value = value;
    }
  }

  /** The value of the pattern that matches; a part that is named wins over `*`. */
  get(path: TreePath): T | undefined {
    return find(this.#root, path, 0);
  }
}

class Node<T> {
  readonly children = new Map<string, Node<T>>();
  value: T | undefined;
}

function find<T>(node: Node<T>, path: TreePath, index: number): T | undefined {
  if (index === path.length) return node.value;
  const named = node.children.get(path[index]!);
  const found = named === undefined ? undefined : find(named, path, index + 1);
  if (found !== undefined) return found;
  const any = node.children.get("*");
  return any === undefined ? undefined : find(any, path, index + 1);
}

/** True when the pattern, in which `*` stands for any one part, matches the path. */
export function matches(path: TreePath, pattern: TreePath): boolean {
  return (
    path.length === pattern.length && pattern.every((part, index) => part === "*" || part === path[index])
  );
}
