/**
 * Reading image archives: what `docker save`, `gantry save`, skopeo and buildx write. Both layouts, in one pass over a
 * stream of any length: blobs go to the content store as they come, only names and small JSON files stay in memory.
 */
import { posix } from "node:path";
import { Readable } from "node:stream";
import { invalidArgument } from "../base/errors.ts";
import { failpoint } from "../base/failpoint.ts";
import { MemoryBudget } from "../base/memory-budget.ts";
import type { ContentStore } from "../content/content.ts";
import { isDigest } from "../oci/digest.ts";
import { type TarEntry, TarReader, textOf } from "../oci/tar-reader.ts";
import { decompress } from "./decompress.ts";
import type { Lease } from "./leases.ts";
import { maxMetadataBytes } from "./register.ts";

/** What an archive holds, by name. What it takes of memory counts until it is disposed of. */
export class ArchiveFiles implements Disposable {
  /** Name of a file -> digest of its blob. */
  readonly blobs = new Map<string, string>();
  /** Name of a symbolic or hard link -> name of the file it stands for. */
  readonly links = new Map<string, string>();
  /** The JSON files at the top, by name. */
  readonly metadata = new Map<string, Buffer>();
  readonly budget = new MemoryBudget("the archive names too many files");

  [Symbol.dispose](): void {
    this.budget[Symbol.dispose]();
  }

  /** The digest of a file, through links. Throws `invalidArgument` when it is not in the archive. */
  digestOf(name: string): string {
    let current = cleanName(name);
    for (let hops = 0; hops < 10; hops += 1) {
      const digest = this.blobs.get(current);
      if (digest !== undefined) return digest;
      const target = this.links.get(current);
      if (target === undefined) break;
      current = target;
    }
    throw invalidArgument(`the archive names the file ${JSON.stringify(name)}, which is not in it`);
  }
}

const metadataNames = new Set(["manifest.json", "index.json", "oci-layout", "repositories"]);

/** The name inside the archive, clean. Throws `invalidArgument` when it climbs out of it. */
function cleanName(name: string): string {
  const clean = posix.normalize(name.replace(/^\/+/, "")).replace(/\/$/, "");
  if (clean === ".." || clean.startsWith("../"))
    throw invalidArgument(`the archive holds a name outside of itself: ${JSON.stringify(name)}`);
  return clean;
}

/** The digest that a name in an OCI layout promises (`blobs/sha256/<hex>`). */
function promisedDigest(name: string): string | undefined {
  const match = /^blobs\/([^/]+)\/([^/]+)$/.exec(name);
  const digest = match === null ? "" : `${match[1]}:${match[2]}`;
  return isDigest(digest) ? digest : undefined;
}

/**
 * Reads a whole archive, plain or compressed, into the content store. `lease` holds the blobs. Throws `invalidArgument`
 * for what is malformed or does not match its digest.
 */
export async function readArchive(
  archive: Readable,
  into: { content: ContentStore; lease: Pick<Lease, "add">; signal: AbortSignal },
): Promise<ArchiveFiles> {
  using undo = new DisposableStack();
  const files = undo.use(new ArchiveFiles());
  const tar = new TarReader(decompress(archive));
  for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
    into.signal.throwIfAborted();
    await readEntry(files, { entry, tar }, into);
  }
  undo.move();
  return files;
}

async function readEntry(
  files: ArchiveFiles,
  { entry, tar }: { entry: TarEntry; tar: TarReader },
  { content, lease }: { content: ContentStore; lease: Pick<Lease, "add"> },
): Promise<void> {
  const name = cleanName(textOf(entry.name));
  if (entry.type !== "directory") files.budget.take(2 * (entry.name.length + entry.linkName.length));
  if (entry.type === "symlink") {
    const target = textOf(entry.linkName);
    files.links.set(
      name,
      cleanName(target.startsWith("/") ? target : posix.join(posix.dirname(name), target)),
    );
  } else if (entry.type === "link") files.links.set(name, cleanName(textOf(entry.linkName)));
  if (entry.type !== "file") return;
  if (entry.sparse !== undefined) throw invalidArgument(`${name} in the archive is a sparse file`);
  if (metadataNames.has(name)) {
    files.metadata.set(name, await readSmall(name, entry, tar));
    return;
  }
  // What Docker wrote beside each layer before version 1.10; nothing reads it any more.
  if (/^[^/]+\/(VERSION|json)$/.test(name)) return;
  const digest = promisedDigest(name);
  if (digest !== undefined) lease.add(digest);
  const blob = await content.ingest(
    Readable.from(chunksOf(tar), { objectMode: false }),
    digest === undefined ? {} : { digest },
  );
  lease.add(blob.digest);
  failpoint("image-load.blob-read");
  files.blobs.set(name, blob.digest);
}

async function readSmall(name: string, entry: TarEntry, tar: TarReader): Promise<Buffer> {
  if (entry.sizeBytes > maxMetadataBytes)
    throw invalidArgument(`${name} in the archive is larger than ${maxMetadataBytes} bytes`);
  const chunks: Buffer[] = [];
  for (let chunk = await tar.read(); chunk !== undefined; chunk = await tar.read()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* chunksOf(tar: TarReader): AsyncGenerator<Buffer> {
  for (let chunk = await tar.read(); chunk !== undefined; chunk = await tar.read()) yield chunk;
}
