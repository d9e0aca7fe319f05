import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openDatabase, transaction } from "./database.ts";
import { isKind } from "./errors.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-database-"));
after(() => rmSync(directory, { recursive: true }));

test("a full database says so, names its file, and works again when there is room", () => {
  const path = join(directory, "full.db");
  const database = openDatabase(path);
  database.exec("CREATE TABLE t (v TEXT)");
  const insert = database.prepare("INSERT INTO t VALUES (?)");
  insert.run("before");
  database.exec("PRAGMA max_page_count = 3");
  const tooMuch = "x".repeat(100_000);
  const isFull = (error: unknown): boolean =>
    isKind(error, "resourceExhausted") && error.message.includes(path) && /no space left/.test(error.message);
  assert.throws(() => insert.run(tooMuch), isFull);
  assert.throws(() => transaction(database, () => insert.run(tooMuch)), isFull);
  database.exec("PRAGMA max_page_count = 100000");
  transaction(database, () => insert.run(tooMuch));
  assert.equal(database.prepare("SELECT count(*) AS n FROM t").get()?.["n"], 2);
  database.close();
});

test("nobody else reads the files, also when an earlier version made them so that others can", () => {
  const path = join(directory, "private.db");
  const files = [path, `${path}-wal`, `${path}-shm`];
  const modes = (): number[] => files.map((file) => statSync(file).mode & 0o777);
  const before = process.umask(0);
  try {
    using database = openDatabase(path);
    database.exec("CREATE TABLE t (v TEXT)");
    assert.deepEqual(modes(), [0o600, 0o600, 0o600]);
    for (const file of files) chmodSync(file, 0o644);
    using again = openDatabase(path);
    assert.deepEqual(modes(), [0o600, 0o600, 0o600]);
    assert.deepEqual(again.prepare("SELECT * FROM t").all(), []);
  } finally {
    process.umask(before);
  }
});

test("a transaction that throws leaves nothing", () => {
  const database = openDatabase(join(directory, "t.db"));
  database.exec("CREATE TABLE t (v TEXT)");
  assert.throws(
    () =>
      transaction(database, () => {
        database.prepare("INSERT INTO t VALUES (?)").run("x");
        throw new Error("on purpose");
      }),
    /on purpose/,
  );
  assert.equal(database.prepare("SELECT count(*) AS n FROM t").get()?.["n"], 0);
  database.close();
});

test("a database that cannot be opened is named", () => {
  assert.throws(() => openDatabase("/proc/version/x.db"), /proc\/version/);
  assert.throws(
    () => openDatabase(directory),
    (error) => isKind(error, "unavailable") && error.message.includes(directory),
  );
});

test("what was written is on the disk when that was waited for, also by several at once", async () => {
  const directory = mkdtempSync(join(tmpdir(), "gantry-database-"));
  try {
    const database = openDatabase(join(directory, "gantry.db"));
    await database.synced();
    database.exec("CREATE TABLE t (a INTEGER) STRICT");
    const waiting = [database.synced()];
    for (let a = 0; a < 100; a += 1) {
      database.prepare("INSERT INTO t VALUES (?)").run(a);
      waiting.push(database.synced());
    }
    await Promise.all(waiting);
    database.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
