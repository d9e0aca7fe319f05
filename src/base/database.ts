import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { EngineError } from "./errors.ts";

/** Result codes of SQLite that say something about the machine rather than about us (sqlite.org/rescode.html). */
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;

/** SQLite's errors in the engine's words; `path` names the place that is full, read-only or in use. */
export function databaseError(error: unknown, path: string): unknown {
  const code = (error as { readonly errcode?: unknown } | null)?.errcode;
  if (typeof code !== "number") return error;
  const what = `cannot write the engine's records to ${path}`;
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
      return new EngineError("resourceExhausted", `${what}: no space left on device, or the disk fails`, {
        hint: "Make room on that file system, then try again.",
        cause: error,
      });
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return new EngineError("unavailable", `${what}: the file cannot be opened for writing`, {
        cause: error,
      });
    case SQLITE_BUSY:
      return new EngineError("unavailable", `${what}: another process holds the database`, { cause: error });
    default:
      return error;
  }
}

/** SQLite whose errors are the engine's. */
export class Database extends DatabaseSync {
  /** The file. */
  readonly path: string;

  constructor(path: string) {
    super(path);
    this.path = path;
  }

  override exec(sql: string): void {
    try {
      super.exec(sql);
    } catch (error) {
      throw databaseError(error, this.path);
    }
  }

  override prepare(sql: string): StatementSync {
    const statement = super.prepare(sql);
    const run = statement.run.bind(statement) as (...values: unknown[]) => ReturnType<StatementSync["run"]>;
    const path = this.path;
    return Object.assign(statement, {
      run(...values: unknown[]) {
        try {
          return run(...values);
        } catch (error) {
          throw databaseError(error, path);
        }
      },
    });
  }
}

/**
 * Opens the engine's database, made when missing. Write-ahead log: a transaction is there whole or not at all whenever
 * the process ends. Each room opens the tables it owns (`schema.ts`). Throws an EngineError that names the file.
 */
export function openDatabase(path: string): Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o710 });
  let database: Database;
  try {
    database = new Database(path);
  } catch (error) {
    throw databaseError(error, path);
  }
  database.exec("PRAGMA journal_mode = WAL");
  database.exec("PRAGMA synchronous = NORMAL");
  database.exec("PRAGMA busy_timeout = 5000");
  database.exec("PRAGMA foreign_keys = ON");
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
