/**
 * The vfs driver: every snapshot is a full copy of the one below it (reflinks where the file system has them). Slow and
 * large, but it works on every file system and needs no mount privileges beyond a bind mount.
 */
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { copyTree } from "../linux/copy-tree.ts";
import type { Mount } from "../linux/mount.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { type UnpackResult, unpackLayer } from "./apply.ts";
import { type LayerChange, treeChanges } from "./changes.ts";
import { LayerApplier, type LayerRequest } from "./layer-applier.ts";
import { backingFileSystem } from "./overlay-probe.ts";
import type { ApplyResult, SnapshotInfo, Snapshotter } from "./snapshot.ts";
import { SnapshotStore } from "./snapshot-store.ts";
import { diskUsage } from "./usage.ts";

/** How the tree of a snapshot comes about and goes. Paths are of directories whose parents are there. */
export interface TreeKind {
  readonly name: string;
  /** An empty one. */
  make(path: string): void;
  /** One that is the same as another. */
  copy(from: string, to: string): void;
  /** What must be done before its directory is removed as any other. */
  dispose?(path: string): void;
}

const plainTrees: TreeKind = {
  name: "vfs",
  make(path) {
    mkdirSync(path, { mode: 0o755 });
    chmodSync(path, 0o755);
  },
  copy(from, to) {
    mkdirSync(to, { mode: 0o755 });
    copyTree(from, to);
  },
};

export class VfsSnapshotter implements Snapshotter {
  readonly name: string;
  readonly #store: SnapshotStore;
  readonly #applier: LayerApplier;
  readonly #trees: TreeKind;
  readonly #reason: string | undefined;

  constructor(root: string, options: { readonly trees?: TreeKind; readonly reason?: string } = {}) {
    this.#trees = options.trees ?? plainTrees;
    this.#reason = options.reason;
    this.name = this.#trees.name;
    this.#store = new SnapshotStore(root, (directory) => this.#trees.dispose?.(join(directory, "diff")));
    this.#applier = new LayerApplier(this.#store, {
      unpack: (directory, parent, tar) =>
        unpackLayer(tar, { root: this.#copyParent(directory, parent), form: "merged" }),
    });
  }

  status(): [string, string][] {
    return [
      ["Backing Filesystem", backingFileSystem(this.#store.root)],
      ...(this.#reason === undefined ? [] : [["Chosen Because", this.#reason] satisfies [string, string]]),
    ];
  }

  applyLayer(layer: LayerRequest): Promise<ApplyResult> {
    return this.#applier.apply(layer);
  }

  has(key: string): boolean {
    return this.#store.has(key);
  }

  list(): SnapshotInfo[] {
    return this.#store.list();
  }

  freeBytes(): number {
    return this.#store.freeBytes();
  }

  prepare(key: string, parent: string | undefined): void {
    this.#store.prepare(key, parent, (directory) => void this.#copyParent(directory, parent));
  }

  mounts(key: string): Mount[] {
    const access = this.#store.info(key).kind === "active" ? "rw" : "ro";
    return [{ type: "bind", source: this.#directory(key), options: ["bind", access] }];
  }

  graphData(_key: string): Record<string, string> {
    return {};
  }

  /** Of a layer: what it added. Of an active snapshot: what differs from the layers below it. */
  async usage(key: string): Promise<{ sizeBytes: number; inodes: number }> {
    const layer = this.#store.layer(key);
    if (layer !== undefined) return { sizeBytes: layer.sizeBytes, inodes: layer.inodes };
    const { parent } = this.#store.info(key);
    return diskUsage(this.#directory(key), parent === undefined ? undefined : this.#directory(parent));
  }

  changes(key: string, hidden: ReadonlySet<string>): { directory: string; changes: LayerChange[] } {
    const directory = this.#directory(key);
    const { parent } = this.#store.info(key);
    const below = parent === undefined ? undefined : byteStringOf(this.#directory(parent));
    return { directory, changes: treeChanges(directory, below, hidden) };
  }

  unpackInto(key: string, tar: AsyncIterable<Uint8Array>): Promise<UnpackResult> {
    return unpackLayer(tar, { root: this.#directory(key), form: "merged" });
  }

  async commit(key: string, layer: { chainId: string; diffId: string }, usage?: UnpackResult): Promise<void> {
    await this.#applier.commit(key, layer, { ...(usage ?? (await this.usage(key))), strip: () => {} });
  }

  flush(chainIds: readonly string[]): Promise<void> {
    return this.#store.flush(chainIds);
  }

  remove(key: string): void {
    this.#store.remove(key);
  }

  setAside(chainId: string, path: string): void {
    this.#store.setAside(chainId, path);
  }

  unattached(): string[] {
    return this.#store.unattached();
  }

  attach(key: string, parent: string | undefined): void {
    this.#store.attach(key, parent);
  }

  sweep(): void {
    this.#store.sweep();
  }

  idle(): Promise<void> {
    return this.#store.idle();
  }

  #directory(key: string): string {
    return join(this.#store.directory(key), "diff");
  }

  #copyParent(directory: string, parent: string | undefined): string {
    const diff = join(directory, "diff");
    if (parent === undefined) this.#trees.make(diff);
    else this.#trees.copy(this.#directory(parent), diff);
    return diff;
  }
}
