import assert from "node:assert/strict";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { ContainerRecord } from "../../container/container.ts";
import { keepContainerFiles, type Salvage, salvageRecords } from "./salvage.ts";

const count = 400;
const pageBytes = 4096;

describe("what is saved of damaged records", () => {
  let root = "";
  let path = "";
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "gantry-salvage-"));
    path = join(root, "gantry.db");
    using database = new DatabaseSync(path);
    database.exec(`CREATE TABLE things (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL) STRICT;
      CREATE TABLE names (name TEXT PRIMARY KEY, thing TEXT NOT NULL REFERENCES things (id)) STRICT;
      CREATE INDEX names_by_thing ON names (thing)`);
    const thing = database.prepare("INSERT INTO things VALUES (?, ?, ?)");
    const name = database.prepare("INSERT INTO names VALUES (?, ?)");
    database.exec("BEGIN");
    for (let n = 0; n < count; n += 1) {
      thing.run(`id-${n}`, `thing-${n}`, JSON.stringify({ n, text: "x".repeat(200) }));
      name.run(`name-${n}`, `id-${n}`);
    }
    database.exec("COMMIT");
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const things = (): number[] => {
    using database = new DatabaseSync(path);
    assert.equal(database.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
    assert.deepEqual(database.prepare("PRAGMA foreign_key_check").all(), []);
    return database
      .prepare("SELECT id FROM things ORDER BY rowid")
      .all()
      .map(({ id }) => Number(String(id).slice(3)));
  };
  const replaced = (): Salvage => {
    using salvage = salvageRecords(path);
    salvage.replace();
    return salvage;
  };
  const overwrite = (page: number): void => {
    const file = openSync(path, "r+");
    writeSync(file, Buffer.alloc(pageBytes, 0xa5), 0, pageBytes, (page - 1) * pageBytes);
    closeSync(file);
  };

  test("sound ones are all there afterwards", () => {
    const { saved, lost } = replaced();
    assert.deepEqual([saved, lost], [2 * count, []]);
    assert.equal(things().length, count);
  });

  test("of a page that is spoilt its rows are lost, and what refers to them; those before and behind it are saved", () => {
    overwrite(Math.floor(readFileSync(path).indexOf('"n":200,') / pageBytes) + 1);
    const { directory, saved, lost } = replaced();
    const left = things();
    assert.ok(left.length > count - 40 && left.length < count, `${left.length} of ${count}`);
    assert.ok(left.includes(0) && left.includes(count - 1) && !left.includes(200));
    assert.equal(saved, 2 * left.length, "as many names as things");
    assert.equal(lost.length, count - left.length, "names of what is gone");
    assert.deepEqual(readdirSync(directory), ["gantry.db"]);
    assert.deepEqual(readdirSync(dirname(path)).toSorted(), ["damaged", "gantry.db"]);
  });

  test("whichever page is spoilt, the new file is sound", () => {
    const sound = join(root, "sound.db");
    copyFileSync(path, sound);
    const pages = statSync(path).size / pageBytes;
    for (let page = 1; page <= pages; page += 3) {
      copyFileSync(sound, path);
      overwrite(page);
      const { saved } = replaced();
      if (saved > 0) things();
      rmSync(join(root, "damaged"), { recursive: true });
    }
  });

  test("a record that is no JSON any more is lost, and told by its name", () => {
    const database = new DatabaseSync(path);
    database.exec("UPDATE things SET record = substr(record, 1, 90) WHERE id = 'id-7'");
    database.close();
    const { lost } = replaced();
    assert.deepEqual(lost, ["things thing-7", "names 8"]);
    assert.equal(things().length, count - 1);
  });

  test("until they take the place of the damaged ones, and when that fails, everything is as it was", () => {
    for (const place of ["containers/known", "containers/lost/logs", "snapshots/overlay2/active/lost/diff"])
      mkdirSync(join(root, place), { recursive: true });
    const all = (): string[] => readdirSync(root, { recursive: true, encoding: "utf8" }).toSorted();
    const [files, bytes] = [all(), readFileSync(path)];
    const containers = { byId: (id: string) => (id === "known" ? ({} as ContainerRecord) : undefined) };
    const keep = (salvage: Salvage): void =>
      assert.deepEqual(keepContainerFiles(root, containers, salvage), ["lost"]);
    {
      using salvage = salvageRecords(path);
      keep(salvage);
      assert.ok(readFileSync(path).equals(bytes), "those of before are in their place");
      assert.ok(!existsSync(join(root, "containers/lost")));
      assert.equal(statSync(salvage.path).mode & 0o777, 0o600);
    }
    assert.deepEqual(all(), ["damaged", ...files].toSorted());
    assert.ok(readFileSync(path).equals(bytes));
    // One that was killed has left its files.
    for (const name of ["new", "new-wal", "salvaged-from", "salvaged-from-wal"])
      writeFileSync(`${path}.${name}`, "half");
    {
      using salvage = salvageRecords(path);
      keep(salvage);
      salvage.replace();
    }
    assert.equal(things().length, count);
    assert.deepEqual(readdirSync(root).toSorted(), ["containers", "damaged", "gantry.db", "snapshots"]);
    assert.deepEqual(readdirSync(join(root, "containers")), ["known"]);
    const [set = ""] = readdirSync(join(root, "damaged"));
    for (const place of ["containers/lost/logs", "snapshots/overlay2/active/lost/diff"])
      assert.ok(existsSync(join(root, "damaged", set, place)), place);
  });

  test("what is on another disk is kept as a copy", { skip: !existsSync("/dev/shm") }, () => {
    const elsewhere = mkdtempSync("/dev/shm/gantry-salvage-");
    try {
      mkdirSync(join(elsewhere, "lost/logs"), { recursive: true });
      writeFileSync(join(elsewhere, "lost/logs/file"), "kept");
      symlinkSync(elsewhere, join(root, "containers"));
      const keep = (salvage: Salvage): string => {
        assert.deepEqual(keepContainerFiles(root, { byId: () => undefined }, salvage), ["lost"]);
        return readFileSync(join(salvage.directory, "containers/lost/logs/file"), "utf8");
      };
      {
        using salvage = salvageRecords(path);
        assert.equal(keep(salvage), "kept");
      }
      assert.deepEqual(readdirSync(join(root, "damaged")), []);
      assert.equal(readFileSync(join(elsewhere, "lost/logs/file"), "utf8"), "kept");
      using salvage = salvageRecords(path);
      assert.equal(keep(salvage), "kept");
      salvage.replace();
      assert.equal(readFileSync(join(salvage.directory, "containers/lost/logs/file"), "utf8"), "kept");
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  test("a salvage that fails leaves no copies", () => {
    mkdirSync(`${path}-wal`);
    assert.throws(() => salvageRecords(path));
    assert.deepEqual(readdirSync(root).toSorted(), ["damaged", "gantry.db", "gantry.db-wal"]);
    assert.deepEqual(readdirSync(join(root, "damaged")), []);
  });

  test("a name that looks like JSON does not cost the others their place", () => {
    const database = new DatabaseSync(path);
    database.exec(`UPDATE things SET name = '{"id":' WHERE id = 'id-7'`);
    database.close();
    assert.deepEqual(replaced().lost, []);
  });

  test("a file that was cut off has what was in its front", () => {
    truncateSync(path, Math.floor(statSync(path).size / 2 / pageBytes) * pageBytes);
    const { saved } = replaced();
    assert.ok(saved > count / 4, `${saved}`);
    assert.ok(things().length > 0);
  });

  test("of what is no database nothing is saved, and a new one begins", () => {
    for (const content of ["", "nonsense ".repeat(2_000)]) {
      writeFileSync(path, content);
      const { directory, saved } = replaced();
      assert.equal(saved, 0);
      assert.equal(statSync(join(directory, "gantry.db")).size, content.length);
      assert.ok(statSync(path).size > 0);
      rmSync(directory, { recursive: true });
    }
  });

  test("what is in the log alone is saved too", () => {
    const database = new DatabaseSync(path);
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("INSERT INTO things VALUES ('id-9999', 'late', '{}')");
    assert.ok(existsSync(`${path}-wal`));
    const { saved } = replaced();
    database.close();
    assert.equal(saved, 2 * count + 1);
    assert.equal(things().at(-1), 9999);
  });
});
