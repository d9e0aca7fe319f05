/** Where the sources of a COPY or ADD go in the file system that they are copied into. */
import { invalidArgument } from "../../base/errors.ts";
import { byteStringOf, textOf } from "../../oci/tar-reader.ts";
import { cleanParts, type FileEntry, type FileTree, joinPath, resolvePath, rootEntry } from "./file-tree.ts";
import type { LayerItem } from "./layer-tar.ts";
import type { Selection } from "./select.ts";

export interface PlaceOptions {
  /** Absolute; with a slash at its end it is a directory. */
  readonly destination: string;
  /** Owner of everything; undefined keeps the sources'. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** New permission bits, given type and old ones. */
  readonly chmod: ((entry: FileEntry) => number) | undefined;
  /** Of directories that are made. */
  readonly nowNs: bigint;
  /** Of everything (SOURCE_DATE_EPOCH). */
  readonly timeNs: bigint | undefined;
}

/** Collects items; a directory that is needed and missing is made once. */
export class LayerPlan {
  readonly items: LayerItem[] = [];
  readonly #target: FileTree;
  readonly #options: PlaceOptions;
  readonly #placed = new Map<string, FileEntry>();
  #group = 0;
  #keepsRights = false;
  readonly #merged: FileTree = {
    stat: (path) => this.#at(path),
    list: () => [],
    read: () => [],
    digest: () => "",
  };

  /** `target` is what is there already. */
  constructor(target: FileTree, options: PlaceOptions) {
    this.#target = target;
    this.#options = options;
  }

  /**
   * Plans one tree's selections; those of one call share hard links. What comes out of an archive has the owners and modes
   * that it has there; only directories that are made for it have others.
   */
  add(
    tree: FileTree,
    selections: readonly Selection[],
    options: { readonly isArchive?: boolean } = {},
  ): void {
    this.#keepsRights = options.isArchive === true;
    for (const selection of selections) {
      this.#group += 1;
      this.#addOne(tree, selection);
    }
  }

  #addOne(tree: FileTree, { top, name, keepsName, kept, inner }: Selection): void {
    const { destination } = this.#options;
    let base = cleanParts(byteStringOf(destination)).join("/");
    const isDirectory = destination.endsWith("/") || keepsName || this.#typeAt(base) === "directory";
    if (keepsName || (isDirectory && top.type !== "directory")) base = this.#directory(base);
    for (const parent of kept) {
      base = joinPath(base, parent.name);
      this.#put(tree, base, parent.entry);
    }
    if (top.type !== "directory") {
      const path = isDirectory ? joinPath(base, name) : this.#follow(base, true);
      this.#put(tree, this.#inDirectory(path), top);
      return;
    }
    if (keepsName) {
      base = joinPath(base, name);
      this.#put(tree, base, top);
    }
    const root = this.#directory(base);
    for (const { path, entry } of inner) this.#put(tree, joinPath(root, path), entry);
  }

  /** Makes a path's directories, and returns the path with their links followed. */
  #inDirectory(path: string): string {
    const slash = path.lastIndexOf("/");
    if (slash < 0) return path;
    return joinPath(this.#directory(path.slice(0, slash)), path.slice(slash + 1));
  }

  #put(tree: FileTree, wanted: string, entry: FileEntry): void {
    const path = this.#follow(wanted, entry.type === "directory" && this.#linksToDirectory(wanted));
    const before = this.#at(path);
    const isDirectory = entry.type === "directory";
    if (before !== undefined && (before.type === "directory") !== isDirectory)
      throw invalidArgument(
        isDirectory
          ? `cannot copy to non-directory: /${textOf(path)}`
          : `cannot copy a file over the directory /${textOf(path)}`,
      );
    const { owner, chmod, timeNs } = this.#options;
    const placed: FileEntry = {
      ...entry,
      ...(owner === undefined || this.#keepsRights ? {} : owner),
      ...(chmod === undefined || this.#keepsRights || entry.type === "symlink" ? {} : { mode: chmod(entry) }),
      ...(timeNs === undefined ? {} : { timeNs }),
    };
    this.#placed.set(path, placed);
    this.items.push({ path, entry: placed, tree, group: this.#group });
  }

  /** Makes sure of a directory, and returns where it really is. */
  #directory(wanted: string): string {
    const path = this.#follow(wanted, true);
    if (path === "" || this.#at(path)?.type === "directory") return path;
    if (this.#at(path) !== undefined) throw invalidArgument(`cannot copy to non-directory: /${textOf(path)}`);
    const slash = path.lastIndexOf("/");
    if (slash >= 0) this.#directory(path.slice(0, slash));
    const { owner, timeNs, nowNs } = this.#options;
    const entry: FileEntry = { ...rootEntry, ...owner, path, timeNs: timeNs ?? nowNs };
    this.#placed.set(path, entry);
    this.items.push({ path, entry, tree: this.#target });
    return path;
  }

  makeDirectory(path: string): void {
    this.#directory(cleanParts(byteStringOf(path)).join("/"));
  }

  #typeAt(path: string): string | undefined {
    return this.#at(this.#follow(path, true))?.type;
  }

  #at(path: string): FileEntry | undefined {
    return path === "" ? rootEntry : (this.#placed.get(path) ?? this.#target.stat(path));
  }

  /** Follows links in what is there already and in what this plan has put there. */
  #follow(path: string, followLast: boolean): string {
    const resolved = resolvePath(this.#merged, path, followLast);
    if (resolved === undefined)
      throw invalidArgument(`there are too many symbolic links in /${textOf(path)}`);
    return resolved;
  }

  #linksToDirectory(path: string): boolean {
    if (this.#at(path)?.type !== "symlink") return false;
    const resolved = resolvePath(this.#merged, path, true);
    return resolved !== undefined && this.#at(resolved)?.type === "directory";
  }
}
