/** Which form a room's tables have, and bringing those of an earlier version into today's. */
import { type Database, transaction } from "./database.ts";
import { EngineError } from "./errors.ts";

export interface RoomSchema {
  /** Whose tables they are. */
  readonly room: string;
  /** The tables as they are now, each `CREATE … IF NOT EXISTS`. */
  readonly tables: string;
  /** What brings version 1 to version 2, 2 to 3 and so on. Today's version is one more than there are of them. */
  readonly migrations?: readonly ((database: Database) => void)[];
  /** The version of tables that were made before versions were noted; without it, and for no tables at all, today's. */
  readonly unnoted?: (database: Database) => number;
}

const versions = `CREATE TABLE IF NOT EXISTS schema_versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT`;

/**
 * Makes a room's tables, or brings those of an earlier version into today's form: all of it, or nothing. Throws
 * `unavailable` for tables of a later version.
 */
export function openTables(database: Database, schema: RoomSchema): void {
  const { room, tables, migrations = [] } = schema;
  const current = migrations.length + 1;
  database.exec(versions);
  const row = database.prepare("SELECT version FROM schema_versions WHERE room = ?").get(room);
  const found = row === undefined ? (schema.unnoted?.(database) ?? current) : Number(row["version"]);
  if (found > current)
    throw new EngineError(
      "unavailable",
      `${database.path} was written by a later version of gantry: its ${room} records have form ${found}, this version reads forms up to ${current}`,
      { hint: "Start that version again, or give this one another data root." },
    );
  transaction(database, () => {
    for (const migrate of migrations.slice(found - 1)) migrate(database);
    database.exec(tables);
    if (row === undefined || found !== current)
      database
        .prepare(
          "INSERT INTO schema_versions VALUES (?, ?) ON CONFLICT (room) DO UPDATE SET version = excluded.version",
        )
        .run(room, current);
  });
}

/** Whether a table is there and has that column. */
export function hasColumn(database: Database, table: string, column: string): boolean {
  return (
    database.prepare("SELECT 1 FROM pragma_table_info(?) WHERE name = ?").get(table, column) !== undefined
  );
}
