import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Database, openDatabase } from "./database.ts";
import { isKind } from "./errors.ts";
import { hasColumn, openTables, type RoomSchema } from "./schema.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-schema-"));
after(() => rmSync(directory, { recursive: true }));

let count = 0;
const fresh = (): Database => openDatabase(join(directory, `${(count += 1)}.db`));

const version = (database: Database): unknown =>
  database.prepare("SELECT version FROM schema_versions WHERE room = 'shelf'").get()?.["version"];

const first: RoomSchema = { room: "shelf", tables: "CREATE TABLE IF NOT EXISTS shelf (a TEXT) STRICT" };
const third: RoomSchema = {
  room: "shelf",
  tables: "CREATE TABLE IF NOT EXISTS shelf (a TEXT, b TEXT, c TEXT) STRICT",
  migrations: [
    (database) => database.exec("ALTER TABLE shelf ADD COLUMN b TEXT; UPDATE shelf SET b = a || '2'"),
    (database) => database.exec("ALTER TABLE shelf ADD COLUMN c TEXT; UPDATE shelf SET c = b || '3'"),
  ],
};

test("new tables have today's form, and are opened again as they are", () => {
  using database = fresh();
  openTables(database, third);
  openTables(database, third);
  assert.equal(version(database), 3);
  assert.ok(hasColumn(database, "shelf", "c"));
});

test("earlier tables go through each migration once", () => {
  using database = fresh();
  openTables(database, first);
  database.exec("INSERT INTO shelf VALUES ('x')");
  openTables(database, third);
  openTables(database, third);
  assert.deepEqual({ ...database.prepare("SELECT * FROM shelf").get() }, { a: "x", b: "x2", c: "x23" });
  assert.equal(version(database), 3);
});

test("tables of before versions were noted have the version that they are found to have", () => {
  using database = fresh();
  database.exec("CREATE TABLE shelf (a TEXT, b TEXT) STRICT; INSERT INTO shelf VALUES ('x', 'y')");
  openTables(database, {
    ...third,
    unnoted: (found) => (hasColumn(found, "shelf", "c") ? 3 : hasColumn(found, "shelf", "b") ? 2 : 1),
  });
  assert.deepEqual({ ...database.prepare("SELECT * FROM shelf").get() }, { a: "x", b: "y", c: "y3" });
});

test("a migration that fails leaves the tables and their version as they were", () => {
  using database = fresh();
  openTables(database, first);
  const [migrate] = third.migrations!;
  const broken = (): never => {
    throw new Error("on purpose");
  };
  assert.throws(() => openTables(database, { ...third, migrations: [migrate!, broken] }), /on purpose/);
  assert.equal(version(database), 1);
  assert.equal(hasColumn(database, "shelf", "b"), false);
});

test("tables of a later version are refused, and named", () => {
  using database = fresh();
  openTables(database, third);
  assert.throws(
    () => openTables(database, first),
    (error) =>
      isKind(error, "unavailable") &&
      error.message.includes(database.path) &&
      /written by a later version of gantry: its shelf records have form 3, this version reads forms up to 1/.test(
        error.message,
      ),
  );
  assert.equal(version(database), 3);
});
