import type { FileEntry, FileTree } from "./file-tree.ts";
import { joinPath } from "./file-tree.ts";
import type { PatternRules } from "./patterns.ts";

/** A tree without what rules leave out. A directory stays when a rule takes back something in it. */
export function filteredTree(tree: FileTree, rules: PatternRules): FileTree {
  if (rules.isEmpty) return tree;
  const kept = new Map<string, boolean>();
  const isKept = (entry: FileEntry): boolean => {
    const known = kept.get(entry.path);
    if (known !== undefined) return known;
    const answer =
      !rules.matches(entry.path) ||
      (entry.type === "directory" && rules.mayHaveExceptions(entry.path) && holdsKept(entry.path));
    kept.set(entry.path, answer);
    return answer;
  };
  const holdsKept = (path: string): boolean =>
    tree.list(path).some((name) => {
      const inner = tree.stat(joinPath(path, name));
      return inner !== undefined && isKept(inner);
    });
  return {
    stat: (path) => {
      const entry = tree.stat(path);
      return entry !== undefined && isKept(entry) ? entry : undefined;
    },
    list: (path) =>
      tree.list(path).filter((name) => {
        const inner = tree.stat(joinPath(path, name));
        return inner !== undefined && isKept(inner);
      }),
    read: (entry) => tree.read(entry),
    digest: (entry) => tree.digest(entry),
  };
}

/** Files that are nowhere but here: here-documents. */
export function memoryTree(files: ReadonlyMap<string, Buffer>, digestOf: (data: Buffer) => string): FileTree {
  const entry = (path: string, data: Buffer): FileEntry => ({
    path,
    type: "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    sizeBytes: data.length,
    timeNs: 0n,
    linkTarget: "",
    device: { major: 0, minor: 0 },
    xattrs: new Map(),
    identity: undefined,
  });
  return {
    stat: (path) => {
      const data = files.get(path);
      return data === undefined ? undefined : entry(path, data);
    },
    list: (path) => (path === "" ? [...files.keys()].sort() : []),
    read: ({ path }) => [files.get(path) ?? Buffer.alloc(0)],
    digest: ({ path }) => digestOf(files.get(path) ?? Buffer.alloc(0)),
  };
}
