/** Which files of a tree a COPY or ADD means, before it is known where they go. */
import { createHash } from "node:crypto";
import { notFound } from "../../base/errors.ts";
import { byteStringOf, textOf } from "../../oci/tar-reader.ts";
import { cleanParts, type FileEntry, type FileTree, findEntry, joinPath } from "./file-tree.ts";
import { compileGlob, hasWildcard } from "./glob.ts";

export interface SelectOptions {
  /** As written in the Dockerfile, values filled in. */
  readonly sources: readonly string[];
  /** Keep the sources' directories; `/./` says from where. */
  readonly parents: boolean;
  /** True for what `--exclude` leaves out; paths are relative to the source directory, with `parents` to where they are kept from. */
  readonly isExcluded: ((path: string, isDirectory: boolean) => boolean) | undefined;
  /** How messages call the tree: `the build context`, `stage build`. */
  readonly treeName: string;
}

/** One source that was found, with everything below it. */
export interface Selection {
  /** The file or directory itself, links followed. */
  readonly top: FileEntry;
  /** Last part of the path that was asked for. */
  readonly name: string;
  /** With `--parents`: it arrives under its own name, also when it is a directory. */
  readonly keepsName: boolean;
  /** With `--parents`: the directories that are kept, each with its entry. */
  readonly kept: readonly { readonly name: string; readonly entry: FileEntry }[];
  /** What is below a directory, parents first; `path` is relative to it. */
  readonly inner: readonly { readonly path: string; readonly entry: FileEntry }[];
}

/**
 * Finds the sources. A pattern without a match means nothing; a plain path that is not there is `notFound`, with the
 * words of BuildKit's.
 */
export function selectSources(tree: FileTree, options: SelectOptions): Selection[] {
  const selections: Selection[] = [];
  for (const source of options.sources) {
    const written = byteStringOf(source);
    const pivot = options.parents ? pivotOf(written) : 0;
    const found = hasWildcard(written) ? matches(tree, cleanParts(written)) : [cleanParts(written).join("/")];
    for (const path of found) {
      const top = findEntry(tree, path);
      if (top === undefined)
        throw notFound(
          `failed to calculate checksum: ${JSON.stringify(`/${textOf(path)}`)}: not found in ${options.treeName}`,
          {
            hint: `${source} must be in ${options.treeName}, and no rule of .dockerignore may leave it out.`,
          },
        );
      const name = path.slice(path.lastIndexOf("/") + 1);
      const kept = options.parents ? keptParents(tree, path, pivot) : [];
      const keepsName = options.parents && path !== "" && path.split("/").length > pivot;
      const below = keepsName ? path.split("/").slice(pivot).join("/") : "";
      const isOut: typeof options.isExcluded =
        options.isExcluded === undefined
          ? undefined
          : (inner, isDirectory) => options.isExcluded!(joinPath(below, inner), isDirectory);
      if (top.type !== "directory" && options.isExcluded?.(below || name, false) === true) continue;
      selections.push({ top, name, keepsName, kept, inner: collect(tree, top, isOut) });
    }
  }
  return selections;
}

/** How many parts of a source are before `/./`, and so are not kept. */
function pivotOf(source: string): number {
  const at = source.indexOf("/./");
  return at < 0 ? 0 : cleanParts(source.slice(0, at)).length;
}

function keptParents(tree: FileTree, path: string, pivot: number): Selection["kept"] {
  const parts = path.split("/");
  return parts.slice(pivot, -1).flatMap((name, index) => {
    const entry = findEntry(tree, parts.slice(0, pivot + index + 1).join("/"));
    return entry === undefined ? [] : [{ name, entry }];
  });
}

/** The paths that a pattern matches part by part; `**` matches any number of directories. */
function matches(tree: FileTree, pattern: readonly string[]): string[] {
  let places = [""];
  for (const part of pattern) {
    if (part === "**") places = places.flatMap((place) => [place, ...directoriesBelow(tree, place)]);
    else if (!hasWildcard(part))
      places = places
        .map((place) => joinPath(place, part))
        .filter((path) => findEntry(tree, path) !== undefined);
    else {
      const test = compileGlob(part);
      places = places.flatMap((place) =>
        namesAt(tree, place)
          .filter(test)
          .map((name) => joinPath(place, name)),
      );
    }
  }
  return [...new Set(places)].filter((place) => place !== "").sort();
}

function namesAt(tree: FileTree, path: string): readonly string[] {
  const entry = findEntry(tree, path);
  return entry?.type === "directory" ? tree.list(entry.path) : [];
}

function directoriesBelow(tree: FileTree, path: string): string[] {
  return namesAt(tree, path)
    .map((name) => joinPath(path, name))
    .filter((inner) => tree.stat(inner)?.type === "directory")
    .flatMap((inner) => [inner, ...directoriesBelow(tree, inner)]);
}

/** Everything below a directory; of directories that are left out, what is in them may be wanted all the same. */
function collect(
  tree: FileTree,
  top: FileEntry,
  isExcluded: SelectOptions["isExcluded"],
): Selection["inner"] {
  const found: { path: string; entry: FileEntry }[] = [];
  if (top.type !== "directory") return found;
  const visit = (directory: string, relative: string): void => {
    for (const name of tree.list(directory)) {
      const entry = tree.stat(joinPath(directory, name));
      if (entry === undefined) continue;
      const path = joinPath(relative, name);
      const mark = found.length;
      const isOut = isExcluded?.(path, entry.type === "directory") === true;
      if (!isOut) found.push({ path, entry });
      if (entry.type !== "directory") continue;
      visit(entry.path, path);
      if (isOut && found.length > mark) found.splice(mark, 0, { path, entry });
    }
  };
  visit(top.path, "");
  return found;
}

/** What the cache knows of selections: names, kinds, modes, owners, bytes; not times. */
export function selectionDigest(tree: FileTree, selections: readonly Selection[]): string {
  const hash = createHash("sha256");
  const add = (path: string, entry: FileEntry): void => {
    const { type, mode, uid, gid, linkTarget, device } = entry;
    hash.update(`${path.length}:${path}\0${type}\0${mode}\0${uid}\0${gid}\0`, "latin1");
    if (type === "symlink") hash.update(`${linkTarget}\0`, "latin1");
    else if (type === "file") hash.update(`${tree.digest(entry)}\0`);
    else if (type !== "directory") hash.update(`${device.major}:${device.minor}\0`);
    for (const [name, value] of [...entry.xattrs].sort(([a], [b]) => (a < b ? -1 : 1)))
      hash.update(`${name}\0`).update(value);
  };
  for (const { top, name, keepsName, kept, inner } of selections) {
    hash.update(`${kept.map((parent) => `${parent.name}:${parent.entry.mode}`).join("/")}\0`, "latin1");
    // A directory's own name and mode do not arrive without `--parents`.
    const isNameless = top.type === "directory" && !keepsName;
    add(isNameless ? "" : name, isNameless ? { ...top, mode: 0o755 } : top);
    for (const { path, entry } of inner) add(path, entry);
  }
  return hash.digest("hex");
}
