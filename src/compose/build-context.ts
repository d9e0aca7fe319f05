/** The directory of a build as a tar, without what its `.dockerignore` leaves out. */
import { createReadStream, existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { parseIgnoreFile, PathPatterns } from "../base/path-patterns.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { tarEnd, tarHeader, tarPadding } from "../oci/tar-writer.ts";
import { tarFile, type TarFile } from "./tar.ts";

export interface ContextOptions {
  /** Path in the context; it and `.dockerignore` are packed whatever is ignored. */
  readonly dockerfile: string;
  /** Files that are not in the directory. */
  readonly extra?: readonly TarFile[];
}

/** The tar, as it is read. Owners are root, as in every context. */
export async function* packContext(
  directory: string,
  { dockerfile, extra = [] }: ContextOptions,
): AsyncGenerator<Buffer, void> {
  const ignore = ignoreOf(directory, dockerfile);
  const always = new Set([dockerfile, ".dockerignore"]);
  const names = new Set(extra.map(({ path }) => path));
  yield* packDirectory(directory, "", (path, isDirectory) => {
    if (names.has(path)) return false;
    if (always.has(path)) return true;
    if (!ignore.matches(path)) return true;
    return isDirectory && (ignore.mayExceptBelow(path) || dockerfile.startsWith(`${path}/`));
  });
  for (const file of extra) yield tarFile(file);
  yield tarEnd();
}

/** Rules of `<Dockerfile>.dockerignore`, else of `.dockerignore`. */
export function ignoreOf(directory: string, dockerfile: string): PathPatterns {
  for (const name of [`${dockerfile}.dockerignore`, ".dockerignore"]) {
    const path = join(directory, name);
    if (existsSync(path)) return new PathPatterns(parseIgnoreFile(readFileSync(path, "utf8")));
  }
  return new PathPatterns([]);
}

async function* packDirectory(
  root: string,
  inner: string,
  isWanted: (path: string, isDirectory: boolean) => boolean,
): AsyncGenerator<Buffer, void> {
  for (const entry of readdirSync(join(root, inner), { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    const path = inner === "" ? entry.name : `${inner}/${entry.name}`;
    if (!isWanted(path, entry.isDirectory())) continue;
    const stat = lstatSync(join(root, path));
    const header = {
      name: byteStringOf(path),
      mode: stat.mode & 0o7777,
      uid: 0,
      gid: 0,
      timeNs: BigInt(Math.trunc(stat.mtimeMs / 1000)) * 1_000_000_000n,
    };
    if (entry.isDirectory()) {
      yield tarHeader({ ...header, name: `${header.name}/`, type: "directory" });
      yield* packDirectory(root, path, isWanted);
    } else if (entry.isSymbolicLink()) {
      const linkName = byteStringOf(readlinkSync(join(root, path)));
      yield tarHeader({ ...header, type: "symlink", linkName });
    } else if (entry.isFile()) {
      yield tarHeader({ ...header, type: "file", sizeBytes: stat.size });
      yield* contentOf(join(root, path), stat.size);
      yield tarPadding(stat.size);
    }
  }
}

/** Exactly so many bytes, as the header has promised: a file may change meanwhile. */
async function* contentOf(path: string, sizeBytes: number): AsyncGenerator<Buffer, void> {
  let rest = sizeBytes;
  if (rest > 0) {
    for await (const chunk of createReadStream(path, { end: sizeBytes - 1 }) as AsyncIterable<Buffer>) {
      rest -= chunk.length;
      yield chunk;
    }
  }
  if (rest > 0) yield Buffer.alloc(rest);
}
