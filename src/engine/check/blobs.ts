/** Blobs against the digests that are their names, and against what images need. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { blobsOf } from "../../image/garbage.ts";
import { isErrno } from "../../linux/fs-error.ts";
import { type CheckedStore, type Found, imageName } from "./store.ts";

const algorithms = { sha256: 64, sha512: 128 } as const;

export interface BlobCheck {
  readonly found: Found[];
  /** Digests of blobs that are there and not damaged. */
  readonly good: ReadonlySet<string>;
  readonly count: number;
  readonly bytes: number;
}

/** Looks at every blob; with `verify` every byte of it is read. */
export async function checkBlobs(
  store: CheckedStore,
  { verify, signal }: { readonly verify: boolean; readonly signal: AbortSignal },
): Promise<BlobCheck> {
  const found: Found[] = [];
  const good = new Set<string>();
  const damaged = new Set<string>();
  const needed = neededBlobs(store);
  const pinned = new Set(store.pins());
  let bytes = 0;
  for (const { digest, path } of storedBlobs(store, found)) {
    signal.throwIfAborted();
    const actual = verify ? await digestOfFile(path, digest) : digest;
    // It was removed while it was looked at.
    if (actual === undefined) continue;
    bytes += verify ? (statSync(path, { throwIfNoEntry: false })?.size ?? 0) : 0;
    const users = needed.get(digest) ?? [];
    if (actual !== digest) {
      damaged.add(digest);
      found.push(damagedBlob(digest, actual, users));
      continue;
    }
    good.add(digest);
    if (users.length === 0 && !pinned.has(digest) && store.live?.isHeld(digest) !== true)
      found.push({
        kind: "blob-orphan",
        object: digest,
        message: "no image and no build step needs this blob",
      });
  }
  for (const [digest, users] of needed)
    if (!good.has(digest) && !damaged.has(digest)) found.push(missingBlob(digest, users));
  if (store.live === undefined) found.push(...leftIngests(store));
  found.push(...unrecordedImages(store));
  return { found, good, count: good.size + damaged.size, bytes };
}

/** Which images need a blob, by digest. */
function neededBlobs(store: CheckedStore): Map<string, string[]> {
  const needed = new Map<string, string[]>();
  for (const image of store.images.list())
    for (const digest of new Set(blobsOf(image)))
      needed.set(digest, [...(needed.get(digest) ?? []), imageName(image)]);
  return needed;
}

function storedBlobs(store: CheckedStore, found: Found[]): { digest: string; path: string }[] {
  const blobs: { digest: string; path: string }[] = [];
  for (const [algorithm, length] of Object.entries(algorithms)) {
    const directory = join(store.dataRoot, "content/blobs", algorithm);
    if (!existsSync(directory)) continue;
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      if (name.length === length && /^[0-9a-f]+$/.test(name))
        blobs.push({ digest: `${algorithm}:${name}`, path });
      else found.push({ kind: "blob-misnamed", object: path, message: "this file's name is no digest" });
    }
  }
  return blobs;
}

function damagedBlob(digest: string, actual: string, users: readonly string[]): Found {
  return {
    kind: "blob-damaged",
    object: digest,
    message: `its bytes have the digest ${actual}${users.length > 0 ? `; needed by ${users.join(", ")}` : ""}`,
    ...(users.length > 0 ? { remedy: `gantry system check --repair, then gantry pull ${users[0]}` } : {}),
  };
}

function missingBlob(digest: string, users: readonly string[]): Found {
  return {
    kind: "blob-missing",
    object: digest,
    message: `this blob is not there; needed by ${users.join(", ")}`,
    remedy: `gantry pull ${users[0]} (or load or build it again)`,
  };
}

function unrecordedImages(store: CheckedStore): Found[] {
  return store.images.lost().map(({ id, names }) => ({
    kind: "image-unrecorded",
    object: id,
    message: `the record of this image is lost; a note of it is there: ${names.join(", ") || "without a name"}`,
    isRepairable: store.live === undefined,
    ...(store.live === undefined ? {} : { remedy: "restart the daemon: it puts the image on record again" }),
  }));
}

function leftIngests(store: CheckedStore): Found[] {
  const directory = join(store.dataRoot, "content/ingest");
  if (!existsSync(directory)) return [];
  return readdirSync(directory).map((name) => ({
    kind: "ingest-leftover",
    object: join(directory, name),
    message: "a blob that was never finished",
  }));
}

/** Undefined when the file is gone. One that cannot be read has no digest. */
async function digestOfFile(path: string, digest: string): Promise<string | undefined> {
  const [algorithm = ""] = digest.split(":");
  const hash = createHash(algorithm);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 }))
      hash.update(chunk as Buffer);
    return `${algorithm}:${hash.digest("hex")}`;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    return `none (${(error as Error).message})`;
  }
}
