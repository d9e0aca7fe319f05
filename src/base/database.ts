import { chmodSync, closeSync, fsync, mkdirSync, openSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { EngineError } from "./errors.ts";
import { machineFault } from "./machine-fault.ts";

/** Result codes of SQLite that say something about the machine rather than about us (sqlite.org/rescode.html). */
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/**
 * How long a write waits for another process's lock, ms. Nothing else goes on meanwhile, so it is short; and once it was
 * in vain, all writes that follow only look, until one of them gets through.
 */
const busyMs = 1_000;
const contendedBusyMs = 10;

/** The records' file is not what was written to it. */
export class DamagedRecords extends EngineError {
  readonly reason: string;

  constructor(path: string, reason: string, cause?: unknown) {
    super("unavailable", `the engine's records in ${path} are damaged: ${reason}`, {
      hint:
        "Nothing was changed or removed. Bring the file back from a backup, or, with the daemon stopped, have " +
        `'gantry system check --repair --data-root ${dirname(path)}' save what can be read; it keeps the damaged file.`,
      cause,
    });
    this.reason = reason;
  }
}

/** The value of a column that has JSON. Throws {@link DamagedRecords}. */
export function parseColumn(database: Database, value: unknown): unknown {
  try {
    return JSON.parse(String(value));
  } catch (error) {
    throw new DamagedRecords(database.path, `a record is no JSON (${String(value).slice(0, 80)}…)`, error);
  }
}

/** SQLite's errors in the engine's words; `path` names the place that is full, read-only or in use. */
function databaseError(error: unknown, path: string): unknown {
  const code = (error as { readonly errcode?: unknown } | null)?.errcode;
  if (typeof code !== "number") return error;
  const what = `cannot write the engine's records to ${path}`;
  const fault = (errnoName: string, words: string): EngineError => {
    const { kind, hint } = machineFault(errnoName)!;
    return new EngineError(kind, `${what}: ${words}`, { hint, cause: error });
  };
  switch (code & 0xff) {
    case SQLITE_FULL:
      return fault("ENOSPC", "no space left on device");
    case SQLITE_IOERR:
      // A write-ahead log that cannot grow is an input/output error to SQLite.
      return isFull(path) ? fault("ENOSPC", "no space left on device") : fault("EIO", "input/output error");
    case SQLITE_READONLY:
      return fault("EROFS", "read-only file system, or the file may not be written");
    case SQLITE_CANTOPEN:
      return new EngineError("unavailable", `${what}: the file cannot be opened for writing`, {
        hint: "Its directory must be there and writable, and the daemon must have descriptors left.",
        cause: error,
      });
    case SQLITE_BUSY:
      return new EngineError("unavailable", `${what}: another process holds a lock on the database`, {
        hint: `End that process ('fuser ${path}' names it), then try again.`,
        cause: error,
      });
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new DamagedRecords(path, (error as Error).message, error);
    default:
      return error;
  }
}

function isFull(path: string): boolean {
  try {
    return statfsSync(dirname(path)).bavail === 0;
  } catch {
    return false;
  }
}

const syncFile = promisify(fsync);

/** SQLite whose errors are the engine's. */
export class Database extends DatabaseSync {
  /** The file. */
  readonly path: string;
  /** Another process held a lock for longer than a write waits. */
  #isContended = false;
  /** How many writes there were, and how many of them are on the disk for certain. */
  #writes = 0;
  #syncedWrites = 0;
  #syncing: Promise<void> | undefined;
  #logFd: number | undefined;

  constructor(path: string) {
    super(path, { timeout: busyMs });
    this.path = path;
  }

  override exec(sql: string): void {
    this.#translated(() => super.exec(sql));
  }

  override prepare(sql: string): StatementSync {
    const statement = this.#reading(() => super.prepare(sql));
    const run = statement.run.bind(statement) as (...values: unknown[]) => ReturnType<StatementSync["run"]>;
    const all = statement.all.bind(statement) as (...values: unknown[]) => ReturnType<StatementSync["all"]>;
    const get = statement.get.bind(statement) as (...values: unknown[]) => ReturnType<StatementSync["get"]>;
    return Object.assign(statement, {
      run: (...values: unknown[]) => this.#translated(() => run(...values)),
      all: (...values: unknown[]) => this.#reading(() => all(...values)),
      get: (...values: unknown[]) => this.#reading(() => get(...values)),
    });
  }

  #reading<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw databaseError(error, this.path);
    }
  }

  #translated<T>(work: () => T): T {
    try {
      const result = work();
      this.#writes += 1;
      if (this.#isContended) this.#waitForLocks(true);
      return result;
    } catch (error) {
      const { errcode } = error as { readonly errcode?: unknown };
      if (typeof errcode === "number" && (errcode & 0xff) === SQLITE_BUSY) this.#waitForLocks(false);
      throw databaseError(error, this.path);
    }
  }

  /**
   * Resolves when everything that was written so far is on the disk. A transaction is whole after a loss of power in any
   * case; without this the last of them may be missing. Those who wait at the same time wait for one write.
   */
  async synced(): Promise<void> {
    const wanted = this.#writes;
    while (this.#syncedWrites < wanted)
      await (this.#syncing ??= this.#syncLog().finally(() => (this.#syncing = undefined)));
  }

  async #syncLog(): Promise<void> {
    const writes = this.#writes;
    const fd = this.#openLog();
    // Not fdatasync: what was made and renamed before the record is to be on the disk with it (ext4's and xfs's journals).
    if (fd !== undefined) await syncFile(fd);
    this.#syncedWrites = writes;
  }

  /** The write-ahead log; undefined where it cannot be had, and then the kernel writes it in its own time. */
  #openLog(): number | undefined {
    try {
      return (this.#logFd ??= openSync(`${this.path}-wal`, "r"));
    } catch {
      return undefined;
    }
  }

  override close(): void {
    if (this.#logFd !== undefined) closeSync(this.#logFd);
    this.#logFd = undefined;
    super.close();
  }

  #waitForLocks(isPatient: boolean): void {
    if (this.#isContended === !isPatient) return;
    this.#isContended = !isPatient;
    super.exec(`PRAGMA busy_timeout = ${isPatient ? busyMs : contendedBusyMs}`);
  }
}

/**
 * Nobody but its owner reads the file: records have what containers were given in secret, and the directory may be one that
 * others pass through. SQLite gives the log the mode that the file has. By name, since closing a descriptor of the file
 * gives up the locks that this process has on it.
 */
function keepPrivate(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch {
    // It is there; or it cannot be made, and SQLite says why.
  }
  for (const each of [path, `${path}-wal`, `${path}-shm`]) {
    const found = statSync(each, { throwIfNoEntry: false });
    if (found?.isFile() !== true || (found.mode & 0o077) === 0) continue;
    try {
      chmodSync(each, 0o600);
    } catch (error) {
      // A disk that can only be read is told by the first write.
      if ((error as { readonly code?: unknown }).code !== "EROFS") throw error;
    }
  }
}

/**
 * Opens the engine's database, made when missing, readable to its owner alone. Write-ahead log: a transaction is there whole or not at all whenever
 * the process ends. Each room opens the tables it owns (`schema.ts`). Throws an EngineError that names the file.
 */
export function openDatabase(path: string): Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o710 });
  keepPrivate(path);
  let database: Database;
  try {
    database = new Database(path);
  } catch (error) {
    throw databaseError(error, path);
  }
  try {
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = NORMAL");
    database.exec("PRAGMA foreign_keys = ON");
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** Runs `work` in one transaction: all of its writes, or, when it throws, none. Must not be nested. */
export function transaction<T>(database: Database, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    // A full disk may have ended the transaction already.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
