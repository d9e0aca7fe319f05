import { createHash } from "node:crypto";
import type { FileEntry, FileTree } from "./file-tree.ts";
import { rootEntry } from "./file-tree.ts";

/** A file that is nowhere but here. */
export interface AddedFile {
  /** In the tree's root. */
  readonly name: string;
  readonly data: Buffer;
  readonly mode: number;
  readonly timeNs: bigint;
}

/** A tree with files in its root that are not on disk; one of the same name is hidden by them. */
export function overlaidTree(tree: FileTree, added: readonly AddedFile[]): FileTree {
  if (added.length === 0) return tree;
  const files = new Map(added.map((file) => [file.name, file]));
  const dataOf = ({ path }: FileEntry): Buffer | undefined => files.get(path)?.data;
  const isHidden = (path: string): boolean => files.has(path.split("/", 1)[0]!);
  return {
    stat: (path) => {
      const file = files.get(path);
      if (file === undefined) return isHidden(path) ? undefined : tree.stat(path);
      const { data, mode, timeNs } = file;
      return { ...rootEntry, path, type: "file", mode, sizeBytes: data.length, timeNs };
    },
    list: (path) => {
      if (path !== "") return isHidden(path) ? [] : tree.list(path);
      return [...new Set([...tree.list(""), ...files.keys()])].sort();
    },
    read: (entry) => {
      const data = dataOf(entry);
      return data === undefined ? tree.read(entry) : [data];
    },
    digest: (entry) => {
      const data = dataOf(entry);
      return data === undefined ? tree.digest(entry) : createHash("sha256").update(data).digest("hex");
    },
  };
}
