/** Layers as steps make them: the tar goes into the content store while its files go where snapshots are. */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { failpoint } from "../base/failpoint.ts";
import { decompress } from "../image/decompress.ts";
import { isErrno } from "../linux/fs-error.ts";
import { mount, unmount } from "../linux/mount.ts";
import { entryPath, openSubdirectory } from "../linux/tree-fd.ts";
import { digestOf } from "../oci/digest.ts";
import { type Descriptor, mediaTypes } from "../oci/image-spec.ts";
import { emptyTree, type FileTree } from "./files/file-tree.ts";
import { type LayerItem, layerTar } from "./files/layer-tar.ts";
import { RootTree } from "./files/root-tree.ts";
import type { BuildHost, BuildLease } from "./host.ts";

export interface Layer {
  readonly diffId: string;
  /** Names the layer together with all below it. */
  readonly chainId: string;
  readonly descriptor: Descriptor;
}

/** A stack of layers, the lowest first. */
export type Layers = readonly Layer[];

export const topOf = (layers: Layers): string | undefined => layers.at(-1)?.chainId;

/** The chainID of one more layer (OCI image specification 1.1, config, Layer ChainID). */
export const chainOn = (parent: string | undefined, diffId: string): string =>
  parent === undefined ? diffId : digestOf(`${parent} ${diffId}`);

type UnstackedLayer = Pick<Layer, "diffId" | "descriptor">;

/** Layers on each other, the lowest first, with their chainIDs. */
export function stacked(blobs: readonly UnstackedLayer[]): Layers {
  const layers: Layer[] = [];
  for (const blob of blobs) layers.push({ ...blob, chainId: chainOn(topOf(layers), blob.diffId) });
  return layers;
}

/** Unpacks layers whose blobs are stored, where they are not yet. Throws `invalidArgument` for other bytes. */
export async function unpackLayers(
  host: BuildHost,
  blobs: readonly UnstackedLayer[],
  lease: BuildLease,
): Promise<Layers> {
  const layers = stacked(blobs);
  for (const [index, { chainId, descriptor, diffId }] of layers.entries()) {
    lease.add(chainId);
    if (host.snapshotter.has(chainId)) continue;
    const tar = decompress(host.content.open(descriptor.digest));
    const parent = layers[index - 1]?.chainId;
    await host.snapshotter.applyLayer({ chainId, parent, tar, expectDiffId: diffId });
  }
  return layers;
}

/** A key for an active snapshot of a build's. */
export const snapshotKey = (): string => `build-${randomBytes(12).toString("hex")}`;

/** Makes a layer of what a step lists. */
export async function layerOfItems(
  host: BuildHost,
  parent: string | undefined,
  items: readonly LayerItem[],
  options: { readonly latestNs: bigint | undefined; readonly lease: BuildLease },
): Promise<Layer> {
  const key = snapshotKey();
  host.snapshotter.prepare(key, parent);
  try {
    const [stored, unpacked] = tee(layerTar(items, options.latestNs));
    const [blob, usage] = await both(
      host.content.ingest(Readable.from(stored, { objectMode: false })),
      host.snapshotter.unpackInto(key, unpacked),
    );
    return await commit(host, { key, parent, blob, usage }, options.lease);
  } catch (error) {
    host.snapshotter.remove(key);
    throw error;
  }
}

/** Makes a layer of what was written into an active snapshot; the snapshot becomes the layer. */
export async function layerOfSnapshot(
  host: BuildHost,
  snapshot: {
    readonly key: string;
    readonly parent: string | undefined;
    readonly hidden: ReadonlySet<string>;
  },
  options: { readonly latestNs: bigint | undefined; readonly lease: BuildLease },
): Promise<Layer> {
  const { key, parent } = snapshot;
  const { directory, changes } = host.snapshotter.changes(key, snapshot.hidden);
  removeStubs(host, {
    directory,
    parent,
    hidden: snapshot.hidden,
    kept: new Set(changes.map(({ path }) => path)),
  });
  const tree = new RootTree(directory);
  const items = changes.flatMap(({ path, kind }): LayerItem[] => {
    if (kind === "deleted") return [{ path, entry: undefined, tree }];
    const entry = tree.stat(path);
    return entry === undefined ? [] : [{ path, entry, tree }];
  });
  const blob = await host.content.ingest(
    Readable.from(layerTar(items, options.latestNs), { objectMode: false }),
  );
  return commit(host, { key, parent, blob, usage: undefined }, options.lease);
}

/** Takes away what was made for mounts alone, so that the layer's files are those of its tar. */
function removeStubs(
  host: BuildHost,
  snapshot: {
    readonly directory: string;
    readonly parent: string | undefined;
    readonly hidden: ReadonlySet<string>;
    readonly kept: ReadonlySet<string>;
  },
): void {
  const stubs = [...snapshot.hidden].filter((path) => !snapshot.kept.has(path));
  using below = openRoot(host, snapshot.parent);
  const root = openSync(snapshot.directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const path of stubs.toSorted((a, b) => b.length - a.length))
      if (below.tree.stat(path) === undefined) removeStub(root, path.split("/"));
  } finally {
    closeSync(root);
  }
}

/**
 * Removes an empty entry by its way from an open directory, one name after the other: the step may have put a link in
 * the place of any of them, and behind a link are files of the host's (CVE-2024-23652).
 */
function removeStub(directoryFd: number, [name = "", ...rest]: readonly string[]): void {
  try {
    if (rest.length > 0) {
      const fd = openSubdirectory(directoryFd, name);
      try {
        removeStub(fd, rest);
      } finally {
        closeSync(fd);
      }
      return;
    }
    const place = entryPath(directoryFd, name);
    if (lstatSync(place).isDirectory()) rmdirSync(place);
    else unlinkSync(place);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "ENOTEMPTY")) throw error;
  }
}

async function commit(
  host: BuildHost,
  made: {
    readonly key: string;
    readonly parent: string | undefined;
    readonly blob: { readonly digest: string; readonly sizeBytes: number };
    readonly usage: { sizeBytes: number; inodes: number } | undefined;
  },
  lease: BuildLease,
): Promise<Layer> {
  const { key, parent, blob, usage } = made;
  const diffId = blob.digest;
  const chainId = chainOn(parent, diffId);
  lease.add(diffId);
  lease.add(chainId);
  failpoint("build-step.blob-stored");
  await host.snapshotter.commit(key, { chainId, diffId }, usage);
  return {
    diffId,
    chainId,
    descriptor: { mediaType: mediaTypes.ociLayer, digest: blob.digest, size: blob.sizeBytes },
  };
}

/** Both results; when one fails, the other has ended too before it throws. */
async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [left, right] = await Promise.allSettled([a, b]);
  if (right.status === "rejected") throw right.reason;
  if (left.status === "rejected") throw left.reason;
  return [left.value, right.value];
}

/**
 * The same pieces for two readers. Neither is more than one piece ahead; one that stops early lets the other go on.
 */
function tee<T>(source: Iterable<T>): [AsyncIterable<T>, AsyncIterable<T>] {
  const iterator = source[Symbol.iterator]();
  const ended = [false, false];
  const queues: T[][] = [[], []];
  let wake: (() => void)[] = [];
  let isDone = false;
  let failure: { error: unknown } | undefined;
  const notify = (): void => {
    const waiting = wake;
    wake = [];
    for (const call of waiting) call();
  };
  async function* reader(own: 0 | 1): AsyncGenerator<T> {
    const other = own === 0 ? 1 : 0;
    try {
      for (;;) {
        const next = queues[own]!.shift();
        if (next !== undefined) {
          notify();
          yield next;
        } else if (failure !== undefined) throw failure.error;
        else if (isDone) return;
        else if (queues[other]!.length > 0 && !ended[other]!)
          await new Promise<void>((resolve) => wake.push(resolve));
        else pull();
      }
    } finally {
      ended[own] = true;
      queues[own] = [];
      notify();
    }
  }
  function pull(): void {
    try {
      const { value, done } = iterator.next();
      if (done === true) isDone = true;
      else for (const side of [0, 1] as const) if (!ended[side]!) queues[side]!.push(value);
    } catch (error) {
      failure = { error };
    }
    notify();
  }
  return [reader(0), reader(1)];
}

/** The files of a layer and all below it, for reading. */
export interface OpenRoot extends Disposable {
  readonly tree: FileTree;
  /** Where it is mounted; undefined for a root without anything. */
  readonly path: string | undefined;
}

/** Opens the files that a stack of layers shows. */
export function openRoot(host: BuildHost, chainId: string | undefined): OpenRoot {
  if (chainId === undefined) return { tree: emptyTree, path: undefined, [Symbol.dispose]: () => {} };
  const path = mountSnapshot(host, chainId);
  return {
    tree: new RootTree(path),
    path,
    [Symbol.dispose]: () => {
      unmountSnapshot(path);
    },
  };
}

/** Where steps have their mounts and bundles; what a crash leaves there is removed at the next start. */
export const stepsDirectory = (host: BuildHost): string => join(host.config.execRoot, "build");

/** Mounts a snapshot on a directory of its own. */
export function mountSnapshot(host: BuildHost, key: string): string {
  mkdirSync(stepsDirectory(host), { recursive: true, mode: 0o711 });
  const target = mkdtempSync(join(stepsDirectory(host), "root-"));
  try {
    for (const layer of host.snapshotter.mounts(key)) mount(layer, target);
  } catch (error) {
    rmdirSync(target);
    throw error;
  }
  return target;
}

export function unmountSnapshot(path: string): void {
  unmount(path);
  rmdirSync(path);
}

/** A short hash for keys: hex SHA-256 of the parts, each with its length. */
export function hashParts(parts: readonly (string | undefined)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    if (part === undefined) hash.update("-;");
    else
      hash
        .update(`${Buffer.byteLength(part)}:`)
        .update(part)
        .update(";");
  }
  return hash.digest("hex");
}
