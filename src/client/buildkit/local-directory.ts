/** Directories of this machine that a build may read: what is in them, and the files' bytes. */
import {
  type BigIntStats,
  closeSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  readlinkSync,
} from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { PathPatterns, cleanPath } from "../../base/path-patterns.ts";
import { goMode, type stat } from "../../wire/buildkit/filesync.ts";
import type { Encodable } from "../../wire/protobuf.ts";

/** What the builder wants of a directory: patterns in the words of `.dockerignore`. */
export interface Selection {
  /** Everything when empty. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Paths that are included with whatever their links lead to. */
  readonly followPaths: readonly string[];
}

export interface ListedFile {
  readonly stat: Encodable<typeof stat>;
}

/** A source of files; paths are bytes as latin1, separated by `/`. */
export interface OfferedDirectory {
  /** Each directory before what is in it, names in the order of their bytes. Throws when it cannot be read. */
  list(selection: Selection): AsyncIterable<ListedFile>;
  read(file: ListedFile): AsyncIterable<Uint8Array>;
}

/** Larger files are read piece by piece. */
const wholeFileBytes = 1024 * 1024;
/** So many files are listed before something else has its turn. */
const listedPerTurn = 500;
const typeMask = 0o170000n;
const types = { directory: 0o040000n, link: 0o120000n, file: 0o100000n, socket: 0o140000n };

/** The files of a few names and texts, such as a Dockerfile that came by standard input. */
export function textDirectory(texts: Readonly<Record<string, string | Buffer>>): OfferedDirectory {
  return {
    async *list() {
      for (const [path, text] of Object.entries(texts).sort(([a], [b]) => (a < b ? -1 : 1)))
        yield { stat: { path, mode: 0o644, size: Buffer.byteLength(text), modTime: 0n } };
    },
    async *read({ stat: { path } }) {
      yield Buffer.from(texts[path ?? ""] ?? "");
    },
  };
}

/** A directory on disk. Owners are not told: files of a context belong to root. */
export function localDirectory(root: string): OfferedDirectory {
  return {
    list: (selection) => new Walk(root, selection).files(),
    read: ({ stat: { path = "", size = 0 } }) => readChunks(join(root, path), size),
  };
}

const notAscii = /[\x80-\xff]/;

/** A path of bytes for the file system; most are plain text, which is quicker. */
function join(root: string, path: string): Buffer | string {
  if (!notAscii.test(path)) return path === "" ? root : `${root}/${path}`;
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, "latin1")]);
}

async function* readChunks(path: Buffer | string, sizeBytes: number): AsyncGenerator<Uint8Array> {
  if (sizeBytes <= wholeFileBytes) {
    yield readFileSync(path);
    return;
  }
  const fd = openSync(path, "r");
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(wholeFileBytes);
      const read = readSync(fd, chunk, 0, chunk.length, null);
      if (read === 0) return;
      yield chunk.subarray(0, read);
      await turn();
    }
  } finally {
    closeSync(fd);
  }
}

class Walk {
  readonly #root: string;
  readonly #exclude: PathPatterns;
  readonly #include: PathPatterns | undefined;
  /** First path of each file that has several names. */
  readonly #linked = new Map<string, string>();
  /** Directories above what is being looked at that have not been told, because nothing in them was. */
  #waiting: ListedFile[] = [];

  constructor(root: string, { include, exclude, followPaths }: Selection) {
    this.#root = root;
    this.#exclude = new PathPatterns(exclude);
    const wanted = [...include, ...followPaths.flatMap((path) => [...followed(root, path)])];
    this.#include = wanted.length === 0 ? undefined : new PathPatterns(wanted);
  }

  async *files(): AsyncGenerator<ListedFile> {
    let count = 0;
    for (const file of this.#walk("")) {
      yield file;
      if (++count % listedPerTurn === 0) await turn();
    }
  }

  *#walk(directory: string): Generator<ListedFile> {
    const names = readdirSync(join(this.#root, directory), { encoding: "latin1" }).sort();
    for (const name of names) {
      const path = directory === "" ? name : `${directory}/${name}`;
      const selected = this.#selected(path);
      if (selected === "never") continue;
      const found = lstatSync(join(this.#root, path), { bigint: true, throwIfNoEntry: false });
      // Gone since the directory was read; or a socket, which has nothing to send.
      if (found === undefined || (found.mode & typeMask) === types.socket) continue;
      const isDirectory = (found.mode & typeMask) === types.directory;
      if (selected === "below" && !isDirectory) continue;
      const file = { stat: this.#describe(path, found) };
      if (selected === "yes") {
        yield* this.#waiting.splice(0);
        yield file;
        if (isDirectory) yield* this.#walk(path);
      } else {
        this.#waiting.push(file);
        yield* this.#walk(path);
        // Still waiting: nothing in it was of interest.
        if (this.#waiting.at(-1) === file) this.#waiting.pop();
      }
    }
  }

  /** Whether a path is sent; `below`: perhaps something in it. */
  #selected(path: string): "yes" | "below" | "never" {
    if (this.#include === undefined && this.#exclude.isEmpty) return "yes";
    const text = notAscii.test(path) ? Buffer.from(path, "latin1").toString("utf8") : path;
    let result: "yes" | "below" | "never" = "yes";
    if (this.#include !== undefined && !this.#include.matches(text))
      result = this.#include.mayMatchBelow(text) ? "below" : "never";
    if (result !== "never" && this.#exclude.matches(text))
      return this.#exclude.mayExceptBelow(text) ? "below" : "never";
    return result;
  }

  #describe(path: string, found: BigIntStats): Encodable<typeof stat> {
    const type = found.mode & typeMask;
    let linkname = "";
    if (type === types.link) linkname = readlinkSync(join(this.#root, path), { encoding: "latin1" });
    else if (type === types.file && found.nlink > 1n) {
      const identity = `${found.dev}:${found.ino}`;
      linkname = this.#linked.get(identity) ?? "";
      if (linkname === "") this.#linked.set(identity, path);
    }
    const isDevice = type === 0o020000n || type === 0o060000n;
    return {
      path,
      mode: goMode(Number(found.mode)),
      size: type === types.file ? Number(found.size) : 0,
      modTime: found.mtimeNs,
      linkname,
      ...(isDevice
        ? {
            devmajor: Number((found.rdev >> 8n) & 0xfffn),
            devminor: Number((found.rdev & 0xffn) | ((found.rdev >> 12n) & 0xfff00n)),
          }
        : {}),
    };
  }
}

const maxLinks = 100;

/** A path and the paths that links on the way lead to. */
function followed(root: string, path: string, seen = new Set<string>()): Set<string> {
  const clean = cleanPath(path).replace(/^\/+/, "");
  if (clean === "." || clean.startsWith("..") || seen.has(clean) || seen.size > maxLinks) return seen;
  seen.add(clean);
  const parts = clean.split("/");
  for (const [index] of parts.entries()) {
    const prefix = parts.slice(0, index + 1).join("/");
    let target: string;
    try {
      target = readlinkSync(`${root}/${prefix}`);
    } catch {
      // No link, or a pattern.
      continue;
    }
    const base = target.startsWith("/") ? "" : parts.slice(0, index).join("/");
    followed(root, [base, target, ...parts.slice(index + 1)].filter(Boolean).join("/"), seen);
    seen.add(prefix);
  }
  return seen;
}
