/**
 * The directories and records that every driver shares.
 *
 * ```
 * layers/<hex of chainID>/   committed: record.json, and the driver's directories
 * active/<key>/              active: parent -> chainID (a symbolic link), and the driver's directories
 * tmp/                       what is being made
 * trash/                     what is being deleted
 * ```
 * Making is rename(2) from `tmp`, removing is rename(2) to `trash`: a snapshot is there whole or not at all. An active
 * one is made while a user waits, so its record is a symbolic link: the journal keeps that in order without an fsync.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../base/atomic-file.ts";
import { conflict, EngineError, invalidArgument, notFound } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { isErrno, withFileErrors } from "../linux/fs-error.ts";
import { syncFileSystem } from "../linux/inode.ts";
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
  #deletions: Promise<void> = Promise.resolve();
  /** Layers whose record waits until their files are on the disk. */
  #unflushed: LayerRecord[] = [];
  #flushing: Promise<void> = Promise.resolve();

  constructor(root: string) {
    this.root = root;
    withFileErrors(`open the snapshots in ${root}`, () => {
      for (const name of ["layers", "active", "tmp", "trash"])
        mkdirSync(join(root, name), { recursive: true, mode: 0o700 });
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

  /** The committed snapshots from `top` down to the lowest. */
  stack(top: string | undefined): LayerRecord[] {
    const records: LayerRecord[] = [];
    for (let id = top; id !== undefined;) {
      const record = this.#layers.get(id);
      if (record === undefined) throw notFound(`layer ${id} is not unpacked here`);
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

  /** Makes `directory` the committed snapshot of `record`, after everything in it is on the disk. */
  async commitLayer(directory: string, record: LayerRecord): Promise<void> {
    writeFileAtomic(join(directory, "record.json"), JSON.stringify(record));
    await withDirectory(directory, syncFileSystem);
    renameSync(directory, join(this.root, "layers", parseDigest(record.chainId).hex));
    syncDirectory(join(this.root, "layers"));
    this.#layers.set(record.chainId, record);
  }

  /**
   * Like {@link commitLayer}, but the disk may lag behind: the record that makes the layer one is written once the
   * layer's files are on the disk, by {@link flush} or in the background.
   */
  commitLayerSoon(directory: string, record: LayerRecord): void {
    renameSync(directory, join(this.root, "layers", parseDigest(record.chainId).hex));
    this.#layers.set(record.chainId, record);
    this.#unflushed.push(record);
    this.#flushing = flushAfter(this.#flushing, () => this.#flushNow());
  }

  /** Resolves when every layer is on the disk with its record. */
  async flush(): Promise<void> {
    await this.#flushing;
    // A flush in the background that failed left them here.
    if (this.#unflushed.length > 0) await this.#flushNow();
  }

  async #flushNow(): Promise<void> {
    const records = [...this.#unflushed];
    if (records.length === 0) return;
    await withDirectory(join(this.root, "layers"), syncFileSystem);
    for (const record of records) {
      if (this.#layers.get(record.chainId) !== record) continue;
      const directory = join(this.root, "layers", parseDigest(record.chainId).hex);
      writeFileAtomic(join(directory, "record.json"), JSON.stringify(record));
    }
    this.#unflushed = this.#unflushed.filter((record) => !records.includes(record));
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

  /** Throws `alreadyExists`, `invalidArgument` for a key that is no file name, `notFound` for a missing parent. */
  checkNew(key: string, parent: string | undefined): void {
    if (!keyForm.test(key) || isDigest(key))
      throw invalidArgument(`${JSON.stringify(key)} is no key for a snapshot`);
    if (this.has(key)) throw new EngineError("alreadyExists", `snapshot ${key} exists already`);
    if (parent !== undefined && !this.#layers.has(parent))
      throw notFound(`layer ${parent} is not unpacked here`);
  }

  commitActive(directory: string, key: string, parent: string | undefined): void {
    symlinkSync(parent ?? "none", join(directory, "parent"));
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
    const directory = this.directory(key);
    this.#layers.delete(key);
    this.#active.delete(key);
    this.discard(directory);
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
    this.#delete(grave);
  }

  #delete(path: string): void {
    this.#deletions = deleteAfter(this.#deletions, path);
  }

  /** Forgets and deletes what has no valid record, and everything in `tmp` and `trash`. */
  sweep(): void {
    for (const name of readdirSync(join(this.root, "tmp"))) this.discard(join(this.root, "tmp", name));
    for (const name of readdirSync(join(this.root, "trash"))) this.#delete(join(this.root, "trash", name));
    const hexes = new Set([...this.#layers.keys()].map((chainId) => parseDigest(chainId).hex));
    for (const name of readdirSync(join(this.root, "layers")))
      if (!hexes.has(name)) this.discard(join(this.root, "layers", name));
    for (const name of readdirSync(join(this.root, "active")))
      if (!existsParent(join(this.root, "active", name))) {
        this.#active.delete(name);
        this.discard(join(this.root, "active", name));
      }
  }

  async idle(): Promise<void> {
    await this.#flushing;
    // Deletions may be added while others run.
    for (let seen; seen !== this.#deletions;) {
      seen = this.#deletions;
      await seen;
    }
  }
}

async function withDirectory(path: string, work: (fd: number) => Promise<void>): Promise<void> {
  const fd = openSync(path, "r");
  try {
    await work(fd);
  } finally {
    closeSync(fd);
  }
}

async function flushAfter(before: Promise<void>, flush: () => Promise<void>): Promise<void> {
  await before;
  try {
    await flush();
  } catch (error) {
    log.warn("could not bring new layers to the disk; the next flush tries again", { error });
  }
}

async function deleteAfter(before: Promise<void>, path: string): Promise<void> {
  await before;
  try {
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

function syncDirectory(path: string): void {
  if (!existsSync(path)) return;
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
