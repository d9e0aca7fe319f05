/** The part of applying a layer that is the same for every driver: one job a chainID, the digest, all or nothing. */
import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { invalidArgument } from "../base/errors.ts";
import { failpoint } from "../base/failpoint.ts";
import { KeyedLock } from "../base/keyed-lock.ts";
import { fileSystemError } from "../linux/fs-error.ts";
import type { UnpackResult } from "./apply.ts";
import type { ApplyResult } from "./snapshot.ts";
import type { LayerRecord, SnapshotStore } from "./snapshot-store.ts";

export interface LayerRequest {
  readonly chainId: string;
  readonly parent: string | undefined;
  readonly tar: Readable;
  readonly expectDiffId?: string;
}

export interface LayerDriver {
  /** Unpacks into `directory` (new and empty) what shall become the snapshot. */
  unpack(
    directory: string,
    parent: string | undefined,
    tar: AsyncIterable<Uint8Array>,
  ): Promise<UnpackResult>;
  /** Last step before the commit; what it returns goes into the record. */
  finish?(directory: string, chainId: string): Pick<LayerRecord, "link">;
  /** Takes {@link finish} back when the commit fails. */
  undoFinish?(record: Pick<LayerRecord, "link">): void;
}

export class LayerApplier {
  readonly #store: SnapshotStore;
  readonly #driver: LayerDriver;
  readonly #locks = new KeyedLock();

  constructor(store: SnapshotStore, driver: LayerDriver) {
    this.#store = store;
    this.#driver = driver;
  }

  async apply(layer: LayerRequest): Promise<ApplyResult> {
    using _lock = await this.#locks.acquire(layer.chainId);
    const existing = this.#store.layer(layer.chainId);
    if (existing !== undefined) {
      for await (const _chunk of layer.tar);
      return { diffId: existing.diffId, sizeBytes: existing.sizeBytes };
    }
    this.#store.stack(layer.parent);
    const directory = this.#store.begin();
    try {
      return await this.#unpackAndCommit(directory, layer);
    } catch (error) {
      layer.tar.destroy();
      this.#store.discard(directory);
      throw fileSystemError(`unpack layer ${layer.chainId}`, error);
    }
  }

  /** Makes an active snapshot a committed one; `strip` takes away what only an active one has. */
  async commit(
    key: string,
    layer: { readonly chainId: string; readonly diffId: string },
    { sizeBytes, inodes, strip }: { sizeBytes: number; inodes: number; strip: (directory: string) => void },
  ): Promise<void> {
    const { chainId, diffId } = layer;
    using _lock = await this.#locks.acquire(chainId);
    if (this.#store.layer(chainId) !== undefined) {
      this.#store.remove(key);
      return;
    }
    const { parent } = this.#store.info(key);
    const directory = this.#store.takeActive(key);
    let extra: Pick<LayerRecord, "link"> | undefined;
    try {
      strip(directory);
      failpoint("snapshot-before-commit");
      extra = this.#driver.finish?.(directory, chainId) ?? {};
      this.#store.commitLayer(directory, { chainId, parent, diffId, sizeBytes, inodes, ...extra });
    } catch (error) {
      if (extra !== undefined) this.#driver.undoFinish?.(extra);
      this.#store.discard(directory);
      throw fileSystemError(`commit layer ${chainId}`, error);
    }
  }

  async #unpackAndCommit(directory: string, layer: LayerRequest): Promise<ApplyResult> {
    const hash = createHash("sha256");
    async function* hashed(): AsyncIterable<Uint8Array> {
      for await (const chunk of layer.tar as AsyncIterable<Buffer>) {
        hash.update(chunk);
        yield chunk;
      }
    }
    const { sizeBytes, inodes } = await this.#driver.unpack(directory, layer.parent, hashed());
    const diffId = `sha256:${hash.digest("hex")}`;
    if (layer.expectDiffId !== undefined && layer.expectDiffId !== diffId)
      throw invalidArgument(`layer does not match its diffID: expected ${layer.expectDiffId}, got ${diffId}`);
    failpoint("snapshot-before-commit");
    const { chainId, parent } = layer;
    const extra = this.#driver.finish?.(directory, chainId) ?? {};
    try {
      this.#store.commitLayer(directory, { chainId, parent, diffId, sizeBytes, inodes, ...extra });
    } catch (error) {
      this.#driver.undoFinish?.(extra);
      throw error;
    }
    return { diffId, sizeBytes };
  }
}
