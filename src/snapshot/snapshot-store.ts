/**
 * The directories and records that every driver shares.
 *
 * ```
 * layers/<hex of chainID>/   committed: record.json, and the driver's directories
 * active/<key>/              active: parent -> chainID (a symbolic link), and the driver's directories
 * unsynced/                  marks of layers that are not on the disk yet (linux/deferred-sync.ts)
 * tmp/                       what is being made
 * trash/                     what is being deleted
 * unreadable/                layers whose record.json cannot be read, until they are there again
 * ```
 * Making is rename(2) from `tmp`, removing is rename(2) to `trash`: a snapshot is there whole or not at all. An active
 * one is made while a user waits, so its record is a symbolic link: the journal keeps that in order without an fsync.
 */
import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { conflict, EngineError, invalidArgument, notFound } from "../base/errors.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { isErrno, withFileErrors } from "../linux/fs-error.ts";
import { DeferredSync } from "../linux/deferred-sync.ts";
import { spreadDirectories } from "../linux/inode.ts";
import { isDigest, parseDigest } from "../oci/digest.ts";
import type { SnapshotInfo } from "./snapshot.ts";

/** What is known of a committed snapshot. */
export interface LayerRecord {
  readonly chainId: string;
  readonly parent: string | undefined;
  readonly diffId: string;
  readonly sizeBytes: number;
  readonly inodes: number;
  /** Name of the driver's short link to it, if it keeps one. */
  readonly link?: string;
}

const keyForm = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$/;

export class SnapshotStore {
  readonly root: string;
  readonly #layers = new Map<string, LayerRecord>();
  readonly #active = new Map<string, string | undefined>();
  #sync!: DeferredSync;
  readonly #dispose: (directory: string) => void;
  #deletions: Promise<void> = Promise.resolve();

  /** `dispose` is called with each directory before it is deleted. */
  constructor(root: string, dispose: (directory: string) => void = () => {}) {
    this.root = root;
    this.#dispose = dispose;
    withFileErrors(`open the snapshots in ${root}`, () => {
      for (const name of ["layers", "active", "tmp", "trash", "unreadable"])
        mkdirSync(join(root, name), { recursive: true, mode: 0o700 });
      // Everything is made there.
      spreadDirectories(join(root, "tmp"));
      this.#sync = new DeferredSync(join(root, "unsynced"));
      this.#dropSuspects();
      for (const name of readdirSync(join(root, "layers"))) {
        const record = readLayerRecord(join(root, "layers", name));
        if (record !== undefined) this.#layers.set(record.chainId, record);
      }
      for (const name of readdirSync(join(root, "active")))
        this.#active.set(name, readParent(join(root, "active", name)));
    });
  }

  layer(chainId: string): LayerRecord | undefined {
    return this.#layers.get(chainId);
  }

  has(key: string): boolean {
    return this.#layers.has(key) || this.#active.has(key);
  }

  /** Throws `notFound`. */
  info(key: string): SnapshotInfo {
    const layer = this.#layers.get(key);
    if (layer !== undefined) return { key, kind: "committed", parent: layer.parent };
    if (!this.#active.has(key)) throw notFound(`snapshot ${key} does not exist`);
    return { key, kind: "active", parent: this.#active.get(key) };
  }

  list(): SnapshotInfo[] {
    return [...this.#layers.keys(), ...this.#active.keys()].map((key) => this.info(key));
  }

  /** What a file system says is free for everybody. */
  freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.root);
    return bavail * bsize;
  }

  /** The committed snapshots from `top` down to the lowest. */
  stack(top: string | undefined): LayerRecord[] {
    const records: LayerRecord[] = [];
    for (let id = top; id !== undefined;) {
      const record = this.#layers.get(id);
      if (record === undefined) throw missingLayer(id);
      records.push(record);
      id = record.parent;
    }
    return records;
  }

  directory(key: string): string {
    return this.info(key).kind === "committed"
      ? join(this.root, "layers", parseDigest(key).hex)
      : join(this.root, "active", key);
  }

  /** A new empty directory for something that is being made. The caller commits or discards it. */
  begin(): string {
    const path = join(this.root, "tmp", randomBytes(8).toString("hex"));
    mkdirSync(path, { mode: 0o700 });
    return path;
  }

  /**
   * Makes `directory` the committed snapshot of `record`. It goes to the disk soon afterwards; until then its mark says
   * that a loss of power may have taken a part of it.
   */
  commitLayer(directory: string, record: LayerRecord): void {
    const { hex } = parseDigest(record.chainId);
    writeFileSync(join(directory, "record.json"), JSON.stringify(record));
    crashpoint("snapshot-recorded");
    this.#sync.mark(hex);
    crashpoint("snapshot-marked");
    renameSync(directory, join(this.root, "layers", hex));
    crashpoint("snapshot-committed");
    this.#layers.set(record.chainId, record);
  }

  /** Layers that the machine may not have had on its disk when it went down are unpacked anew. */
  #dropSuspects(): void {
    for (const hex of this.#sync.suspects()) {
      log.warn("a layer was not on the disk when the machine went down; it will be unpacked again", { hex });
      const directory = join(this.root, "layers", hex);
      if (existsSync(directory))
        renameSync(directory, join(this.root, "trash", `${hex}-${randomBytes(4).toString("hex")}`));
      this.#sync.forget(hex);
    }
  }

  /** Resolves when these layers are on the disk. Throws `unavailable` when the disk does not take one, or did not. */
  flush(chainIds: readonly string[]): Promise<void> {
    return this.#sync.require(chainIds.map((chainId) => parseDigest(chainId).hex));
  }

  /** Takes an active snapshot's directory out of the records; the caller commits or discards it. */
  takeActive(key: string): string {
    const from = this.directory(key);
    const path = join(this.root, "tmp", randomBytes(8).toString("hex"));
    renameSync(from, path);
    this.#active.delete(key);
    rmSync(join(path, "parent"));
    return path;
  }

  #checkNew(key: string, parent: string | undefined): void {
    if (!keyForm.test(key) || isDigest(key))
      throw invalidArgument(`${JSON.stringify(key)} is no key for a snapshot`);
    if (this.has(key)) throw new EngineError("alreadyExists", `snapshot ${key} exists already`);
    if (parent !== undefined && !this.#layers.has(parent)) throw missingLayer(parent);
  }

  /**
   * A new active snapshot whose directory `fill` makes; nothing is left of it when that throws. Throws
   * `alreadyExists`, `invalidArgument` for a key that is no file name, `notFound` for a missing parent.
   */
  prepare(key: string, parent: string | undefined, fill: (directory: string) => void): void {
    this.#checkNew(key, parent);
    withFileErrors(`prepare snapshot ${key}`, () => {
      const directory = this.begin();
      try {
        fill(directory);
        this.#commitActive(directory, key, parent);
      } catch (error) {
        this.discard(directory);
        throw error;
      }
    });
  }

  #commitActive(directory: string, key: string, parent: string | undefined): void {
    symlinkSync(parent ?? "none", join(directory, "parent"));
    failpoint("snapshot-prepare.made");
    renameSync(directory, join(this.root, "active", key));
    this.#active.set(key, parent);
  }

  /** Removes by name at once, the files later. Throws `conflict` for a layer that something stands on. */
  remove(key: string): void {
    if (!this.has(key)) return;
    if (this.#layers.has(key)) {
      const above = this.list().find((info) => info.parent === key);
      if (above !== undefined) throw conflict(`layer ${key} is in use by snapshot ${above.key}`);
    }
    // First what may fail: whoever tries it again finds it here.
    this.discard(this.directory(key));
    this.#active.delete(key);
    if (this.#layers.delete(key)) this.#sync.forget(parseDigest(key).hex);
  }

  /** Takes a snapshot out of the records, also a layer that something stands on; its directory goes to `path`. */
  setAside(key: string, path: string): void {
    const directory = this.directory(key);
    withFileErrors(`set layer ${key} aside`, () => renameSync(directory, path));
    this.#active.delete(key);
    if (this.#layers.delete(key)) this.#sync.forget(parseDigest(key).hex);
  }

  /** Moves a directory out of the way and deletes it in the background. */
  discard(directory: string): void {
    const grave = join(this.root, "trash", randomBytes(8).toString("hex"));
    try {
      renameSync(directory, grave);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return;
      throw error;
    }
    crashpoint("snapshot-removed");
    this.#delete(grave);
  }

  #delete(path: string): void {
    this.#deletions = deleteAfter(this.#deletions, path, this.#dispose);
  }

  /** Active snapshots of which it is not known what they stand on: their link is gone, or cannot be read. */
  unattached(): string[] {
    return [...this.#active.keys()].filter((key) => !existsParent(join(this.root, "active", key)));
  }

  /** Says what an {@link unattached} one stands on. */
  attach(key: string, parent: string | undefined): void {
    const link = join(this.directory(key), "parent");
    withFileErrors(`put snapshot ${key} on its layer again`, () => {
      rmSync(link, { force: true });
      symlinkSync(parent ?? "none", link);
    });
    this.#active.set(key, parent);
  }

  /**
   * Deletes everything in `tmp` and `trash`, and puts layers out of the way whose records cannot be read: those that have
   * been unpacked again since are deleted. Active ones get their record before they are there, so one without is not half
   * made: it is somebody's.
   */
  sweep(): void {
    for (const name of readdirSync(join(this.root, "tmp"))) this.discard(join(this.root, "tmp", name));
    for (const name of readdirSync(join(this.root, "trash"))) this.#delete(join(this.root, "trash", name));
    const hexes = new Set([...this.#layers.keys()].map((chainId) => parseDigest(chainId).hex));
    for (const name of readdirSync(join(this.root, "unreadable")))
      if (hexes.has(name)) this.discard(join(this.root, "unreadable", name));
    for (const name of readdirSync(join(this.root, "layers"))) {
      if (hexes.has(name)) continue;
      log.warn("the record of a layer cannot be read; it is unpacked again when its blob is there", {
        hex: name,
      });
      this.discard(join(this.root, "unreadable", name));
      renameSync(join(this.root, "layers", name), join(this.root, "unreadable", name));
    }
  }

  async idle(): Promise<void> {
    await this.#sync.flush();
    // Deletions may be added while others run.
    for (let seen; seen !== this.#deletions;) {
      seen = this.#deletions;
      await seen;
    }
  }
}

const missingLayer = (chainId: string): EngineError =>
  notFound(`layer ${chainId} is not unpacked here`, {
    hint: "Pull or load its image again; 'gantry system check' says what is missing.",
  });

async function deleteAfter(
  before: Promise<void>,
  path: string,
  dispose: (directory: string) => void,
): Promise<void> {
  await before;
  try {
    dispose(path);
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    log.warn("could not delete a removed snapshot; the next start tries again", { path, error });
  }
}

function readLayerRecord(directory: string): LayerRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, "record.json"), "utf8")) as LayerRecord;
  } catch {
    return undefined;
  }
}

function existsParent(directory: string): boolean {
  try {
    return readlinkSync(join(directory, "parent")) !== "";
  } catch {
    return false;
  }
}

function readParent(directory: string): string | undefined {
  if (!existsParent(directory)) return undefined;
  const parent = readlinkSync(join(directory, "parent"));
  return parent === "none" ? undefined : parent;
}
