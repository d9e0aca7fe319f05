/** Layers and snapshots for tests. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach } from "node:test";
import { mount, unmount } from "../linux/mount.ts";
import { chainIds } from "../oci/chain-id.ts";
import { digestOf } from "../oci/digest.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import { tarEnd, tarHeader, type TarHeader, tarPadding } from "../oci/tar-writer.ts";
import type { Snapshotter } from "./snapshot.ts";

export type TestEntry = Partial<TarHeader> & { name: string; text?: string };

/** A layer tar out of a few entries; names are written as they stand. */
export function layerOf(...entries: TestEntry[]): Buffer {
  const parts = entries.map(({ text, name, ...given }) => {
    const type = given.type ?? (name.endsWith("/") ? "directory" : "file");
    const data = Buffer.from(text ?? "");
    const mode = type === "directory" ? 0o755 : 0o644;
    const header = tarHeader({ mode, ...given, type, name: byteStringOf(name), sizeBytes: data.length });
    return Buffer.concat([header, data, tarPadding(data.length)]);
  });
  return Buffer.concat([...parts, tarEnd()]);
}

/** A snapshotter with a directory of its own, new for each test of the suite that makes it. */
export class SnapshotBench {
  readonly #mounted: string[] = [];
  #work = "";
  #snapshotter: Snapshotter | undefined;

  /** `place`: a directory on the file system that the driver needs. */
  constructor(open: (root: string) => Snapshotter, place: string) {
    beforeEach(() => {
      this.#work = mkdtempSync(join(place, "gantry-snapshot-"));
      mkdirSync(this.outside);
      writeFileSync(join(this.outside, "secret"), "untouched");
      this.#snapshotter = open(join(this.#work, "root"));
    });
    afterEach(async () => {
      for (const target of this.#mounted.splice(0)) unmount(target);
      await this.snapshotter.idle();
      rmSync(this.#work, { recursive: true });
    });
  }

  /** A directory that goes with the test. */
  get work(): string {
    return this.#work;
  }

  /** A directory that no layer may touch. */
  get outside(): string {
    return join(this.#work, "outside");
  }

  get snapshotter(): Snapshotter {
    assert.ok(this.#snapshotter !== undefined, "in a test only");
    return this.#snapshotter;
  }

  /** Applies layers on top of each other; returns the top's chainID. */
  async apply(...layers: Buffer[]): Promise<string> {
    const ids = chainIds(layers.map((layer) => digestOf(layer)));
    for (const [index, layer] of layers.entries())
      await this.snapshotter.applyLayer({
        chainId: ids[index]!,
        parent: ids[index - 1],
        tar: Readable.from([layer]),
        expectDiffId: digestOf(layer),
      });
    return ids.at(-1)!;
  }

  /** Mounts a snapshot and returns where. */
  see(key: string): string {
    const target = mkdtempSync(join(this.#work, "mnt-"));
    const mounts = this.snapshotter.mounts(key);
    assert.equal(mounts.length, 1);
    mount(mounts[0]!, target);
    this.#mounted.push(target);
    return target;
  }

  async seeLayers(...layers: Buffer[]): Promise<string> {
    const top = await this.apply(...layers);
    this.snapshotter.prepare("container", top);
    return this.see("container");
  }
}
