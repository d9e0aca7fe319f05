/**
 * Saves what can be read of damaged records into a new file. The damaged one is kept, and so are the files of containers
 * whose record could not be saved: a daemon's start would remove them.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { dirname, join } from "node:path";
import type { ContainerStore } from "../../container/container.ts";
import { blobsOf } from "../../image/garbage.ts";
import type { ImageStore } from "../../image/image.ts";
import { copyTree } from "../../linux/copy-tree.ts";
import { isErrno } from "../../linux/fs-error.ts";
import { asideDirectory } from "./repair.ts";

type Row = Record<string, string | number | bigint | Uint8Array | null>;

/** Until {@link Salvage.replace} everything is as it was, and its disposal takes back what was done. */
export interface Salvage extends Disposable {
  /** Where a copy of the damaged file is. */
  readonly directory: string;
  /** The new file. */
  readonly path: string;
  /** Rows in the new file. */
  readonly saved: number;
  /** Rows that were there and could not be used: `containers web`. */
  readonly lost: readonly string[];
  /** What takes back what was done. */
  readonly undo: DisposableStack;
  /** Puts the new file, which nobody has open, in place of the damaged one. */
  replace(): void;
}

const suffixes = ["", "-wal", "-shm"];
/** How many numbers of rows are tried one by one between those that could be read from both ends. */
const mostTried = 20_000;
const mostPaddedBytes = 4 * 1024 ** 3;
/** Columns that the rooms parse. What else looks like JSON may be a spoilt row's. */
const jsonColumns: ReadonlySet<string> = new Set(["record", "definition", "endpoint", "requests"]);

/** Makes a new file beside the records in `path` of what can be read of them. Nothing else may use them. */
export function salvageRecords(path: string): Salvage {
  const directory = join(asideDirectory(dirname(path)), `records-${Date.now()}`);
  const kept = join(directory, "gantry.db");
  const source = `${path}.salvaged-from`;
  const fresh = `${path}.new`;
  using working = new DisposableStack();
  using undo = new DisposableStack();
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // Not with what is in it: that would be files that could not be moved back.
  undo.defer(() => attempt(() => rmdirSync(directory)));
  undo.defer(() => removeDatabase(kept));
  working.defer(() => removeDatabase(source));
  undo.defer(() => removeDatabase(fresh));
  // Those of one that was killed.
  for (const left of [source, fresh]) removeDatabase(left);
  for (const suffix of suffixes)
    if (existsSync(path + suffix))
      for (const copy of [kept, source]) copyFileSync(path + suffix, copy + suffix);
  padToSize(source);
  writeFileSync(fresh, "", { mode: 0o600 });
  // Opening it writes what is in its log into it: that is the second copy's.
  const outcome = copyRows(source, fresh);
  const owned = undo.move();
  return {
    directory,
    path: fresh,
    ...outcome,
    undo: owned,
    replace() {
      // The log first: it would be played into the new file.
      for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
      renameSync(fresh, path);
      owned.move();
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function removeDatabase(path: string): void {
  for (const suffix of suffixes) rmSync(path + suffix, { force: true });
}

/**
 * Keeps, beside the damaged file, what containers without a record have: their logs and their writable layers. Returns
 * their ids.
 */
export function keepContainerFiles(
  dataRoot: string,
  containers: Pick<ContainerStore, "byId">,
  { directory, undo }: Pick<Salvage, "directory" | "undo">,
): string[] {
  const kept = new Set<string>();
  const keep = (place: string): void => {
    for (const id of namesIn(join(dataRoot, place))) {
      if (containers.byId(id) !== undefined) continue;
      makePlace(directory, place, undo);
      setAside(join(dataRoot, place, id), join(directory, place, id), undo);
      kept.add(id);
    }
  };
  keep("containers");
  for (const driver of namesIn(join(dataRoot, "snapshots"))) keep(join("snapshots", driver, "active"));
  return [...kept];
}

/** Keeps, beside the damaged file, the blobs of images that cannot be read, but for those that others have. */
export function keepBlobs(
  dataRoot: string,
  digests: readonly string[],
  images: Pick<ImageStore, "list">,
  { directory, undo }: Pick<Salvage, "directory" | "undo">,
): void {
  const used = new Set(images.list().flatMap(blobsOf));
  for (const digest of new Set(digests)) {
    const [algorithm = "", hex = ""] = digest.split(":");
    const place = join("content/blobs", algorithm);
    const path = join(dataRoot, place, hex);
    if (used.has(digest) || !/^[0-9a-f]+$/.test(hex) || !existsSync(path)) continue;
    makePlace(directory, place, undo);
    keepFile(path, join(directory, place, hex), undo);
  }
}

function keepFile(from: string, to: string, undo: DisposableStack): void {
  try {
    renameSync(from, to);
    undo.defer(() => renameSync(to, from));
  } catch (error) {
    if (!isErrno(error, "EXDEV")) throw error;
    undo.defer(() => rmSync(to, { force: true }));
    // On another disk only what can be read is kept.
    attempt(() => copyFileSync(from, to));
  }
}

function makePlace(directory: string, place: string, undo: DisposableStack): void {
  const path = join(directory, place);
  if (existsSync(path)) return;
  mkdirSync(path, { recursive: true, mode: 0o700 });
  undo.defer(() => {
    for (let each = path; each !== directory; each = dirname(each)) attempt(() => rmdirSync(each));
  });
}

/** On another disk a copy is kept, and the directory is a leftover like others. */
function setAside(from: string, to: string, undo: DisposableStack): void {
  try {
    renameSync(from, to);
    undo.defer(() => renameSync(to, from));
  } catch (error) {
    if (!isErrno(error, "EXDEV")) throw error;
    undo.defer(() => rmSync(to, { recursive: true, force: true }));
    mkdirSync(to, { mode: 0o700 });
    copyTree(from, to);
  }
}

/** SQLite reads nothing of a file that has fewer pages than its head says (sqlite.org/fileformat2.html, 1.3). */
function padToSize(path: string): void {
  if (!existsSync(path) || statSync(path).size < 100) return;
  const file = openSync(path, "r");
  const head = Buffer.alloc(100);
  readSync(file, head, 0, head.length, 0);
  closeSync(file);
  const pageBytes = head.readUInt16BE(16) === 1 ? 65_536 : head.readUInt16BE(16);
  const sizeBytes = head.readUInt32BE(28) * pageBytes;
  // A size that makes no sense is part of the damage.
  const isSensible = sizeBytes > statSync(path).size && sizeBytes < mostPaddedBytes;
  if (head.toString("latin1", 0, 15) === "SQLite format 3" && isSensible) truncateSync(path, sizeBytes);
}

const namesIn = (path: string): string[] =>
  existsSync(path) ? readdirSync(path).filter((name) => name !== "lost+found") : [];

function copyRows(from: string, to: string): Pick<Salvage, "saved" | "lost"> {
  const target = new DatabaseSync(to, { enableForeignKeyConstraints: false });
  const lost: string[] = [];
  let saved = 0;
  try {
    // Without a table it would be a file of no bytes, which is taken for one that is lost.
    target.exec("PRAGMA user_version = 1");
    const source = openDamaged(from);
    if (source === undefined) return { saved, lost };
    try {
      const made = schemaOf(source);
      for (const { sql } of made.filter(({ type }) => type === "table")) target.exec(sql);
      target.exec("BEGIN");
      for (const { name } of made.filter(({ type }) => type === "table"))
        saved += copyTable(source, target, name, lost);
      target.exec("COMMIT");
      for (const { sql } of made.filter(({ type }) => type === "index")) attempt(() => target.exec(sql));
    } finally {
      source.close();
    }
    saved -= dropStrays(target, lost);
    return { saved, lost };
  } finally {
    target.close();
  }
}

function openDamaged(path: string): DatabaseSync | undefined {
  return attempt(() => {
    const database = new DatabaseSync(path, { enableForeignKeyConstraints: false });
    database.exec("PRAGMA cell_size_check = ON");
    return database;
  });
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

interface Made {
  readonly type: string;
  readonly name: string;
  readonly sql: string;
}

/** Tables and indexes; none where their list is what is damaged. */
function schemaOf(source: DatabaseSync): Made[] {
  const sql = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
  return (attempt(() => source.prepare(sql).all()) ?? []) as unknown as Made[];
}

/** Returns how many rows it has copied. */
function copyTable(source: DatabaseSync, target: DatabaseSync, table: string, lost: string[]): number {
  const rows = [...readRows(source, table).values()];
  const [first] = rows;
  if (first === undefined) return 0;
  const columns = Object.keys(first);
  const places = columns.map(() => "?").join(", ");
  const insert = target.prepare(
    `INSERT INTO "${table}" (${columns.map((name) => `"${name}"`).join(", ")}) VALUES (${places})`,
  );
  const json = columns.filter((name) => jsonColumns.has(name));
  let copied = 0;
  for (const row of rows) {
    const isSound = json.every((name) => row[name] === null || isJson(row[name]));
    if (isSound && attempt(() => insert.run(...columns.map((name) => row[name]!))) !== undefined) copied += 1;
    else lost.push(`${table} ${nameOf(row, json)}`);
  }
  return copied;
}

const isJson = (value: unknown): boolean => attempt(() => [JSON.parse(String(value))]) !== undefined;

/** What people know a row by: its name, else its first short text. */
function nameOf(row: Row, json: readonly string[]): string {
  const texts = Object.entries(row).filter(([column]) => !json.includes(column));
  const named = texts.find(([column]) => column === "name") ?? texts[0];
  return String(named?.[1] ?? "without a name").slice(0, 80);
}

/** Rows by their number: from the front to the first page that cannot be read, from the back, and what is between them. */
function readRows(source: DatabaseSync, table: string): Map<number, Row> {
  const rows = new Map<number, Row>();
  const read = (how: string): boolean =>
    attempt(() => {
      const query = source.prepare(`SELECT rowid AS salvaged_number, * FROM "${table}" ${how}`);
      for (const { salvaged_number: number, ...row } of query.iterate()) rows.set(Number(number), row);
      return true;
    }) === true;
  if (read("ORDER BY rowid")) return rows;
  const front = Math.max(0, ...rows.keys());
  read("ORDER BY rowid DESC");
  const back = Math.min(...[...rows.keys()].filter((number) => number > front), front + mostTried);
  const single = attempt(() => source.prepare(`SELECT * FROM "${table}" WHERE rowid = ?`));
  if (single === undefined) return rows;
  for (let number = front + 1; number < back; number += 1) {
    const row = attempt(() => single.get(number));
    if (row !== undefined) rows.set(number, row);
  }
  return rows;
}

/** Rows that refer to others that were lost. Returns how many. */
function dropStrays(target: DatabaseSync, lost: string[]): number {
  let dropped = 0;
  for (;;) {
    const strays = target.prepare("PRAGMA foreign_key_check").all();
    if (strays.length === 0) return dropped;
    for (const { table, rowid } of strays) {
      const { changes } = target.prepare(`DELETE FROM "${String(table)}" WHERE rowid = ?`).run(Number(rowid));
      if (Number(changes) === 0) continue;
      dropped += 1;
      lost.push(`${String(table)} ${Number(rowid)}`);
    }
  }
}
