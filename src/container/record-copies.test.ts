import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { openDatabase } from "../base/database.ts";
import { type ContainerRecord, newContainerState } from "./container.ts";
import { createContainerStore } from "./container-store.ts";
import { RecordCopies } from "./record-copies.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-copies-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const idOf = (digit: string): string => digit.repeat(64);
function record(digit: string, name: string, more: Partial<ContainerRecord> = {}): ContainerRecord {
  mkdirSync(join(root, "containers", idOf(digit)), { recursive: true });
  const base = { imageId: "sha256:1", config: {}, hostConfig: {}, mounts: [], state: newContainerState };
  return { id: idOf(digit), name, ...base, ...more } as unknown as ContainerRecord;
}
const path = (digit: string): string => join(root, "containers", idOf(digit), "record.json");
const read = (digit: string): ContainerRecord =>
  JSON.parse(readFileSync(path(digit), "utf8")) as ContainerRecord;
const open = (name: string) => {
  const database = openDatabase(join(root, name));
  const store = createContainerStore(database, { copies: new RecordCopies(join(root, "containers")) });
  return { database, store };
};

test("a copy is as the record is, for root alone, and goes before it", () => {
  const { database, store } = open("one.db");
  const made = record("a", "one");
  store.insert(made);
  assert.deepEqual(read("a"), made);
  assert.equal(statSync(path("a")).mode & 0o777, 0o600);
  store.update(made.id, { name: "other" });
  store.updateState(made.id, { status: "running", pid: 7 });
  assert.deepEqual(read("a"), store.byId(made.id));
  assert.equal(existsSync(`${path("a")}.new`), false);
  const written = statSync(path("a")).ino;
  store.updateState(made.id, { health: { status: "healthy", failingStreak: 0, log: [] } });
  store.update(made.id, { restartCount: 3 });
  store.update(made.id, { config: { ...made.config }, hostConfig: { ...made.hostConfig } });
  assert.equal(statSync(path("a")).ino, written, "probes, counts and what says the same are not worth one");
  store.update(made.id, { hostConfig: { ...made.hostConfig, CpuShares: 7 } });
  assert.deepEqual(read("a"), store.byId(made.id));
  store.updateState(made.id, { exitCode: 3 });
  assert.deepEqual(read("a"), store.byId(made.id));
  writeFileSync(path("a"), "spoilt");
  store.refreshCopies();
  assert.deepEqual(read("a"), store.byId(made.id));
  database.exec("CREATE TRIGGER stays BEFORE DELETE ON containers BEGIN SELECT RAISE(ABORT, 'stays'); END");
  assert.throws(() => store.remove(made.id), /stays/);
  assert.ok(existsSync(path("a")), "a container that stays keeps it");
  database.exec("DROP TRIGGER stays");
  store.remove(made.id);
  assert.ok(!existsSync(path("a")));
  database.close();
});

test("what another database does not know is put on record; what cannot be read is told apart from what never was", () => {
  const first = open("first.db");
  first.store.insert(record("a", "one"));
  first.store.insert(record("b", "two"));
  first.store.insert(record("c", "three"));
  first.store.insert(record("d", "gone", { hostConfig: { AutoRemove: true } }));
  first.database.close();
  const second = open("second.db");
  second.store.insert(record("e", "one"));
  mkdirSync(join(root, "containers", idOf("f")));
  mkdirSync(join(root, "containers/notes"));
  writeFileSync(path("c"), '{"id":');
  assert.deepEqual(second.store.unrecorded(idOf("a")), { name: "one" });
  const restored = second.store.restoreLost().map(({ name }) => name);
  assert.deepEqual(restored, ["one-aaaaaaaaaaaa", "two"]);
  assert.equal(second.store.byName("two")?.id, idOf("b"));
  assert.equal(second.store.unrecorded(idOf("a")), undefined);
  assert.deepEqual(second.store.unrecorded(idOf("c")), { name: undefined });
  for (const digit of ["d", "e", "f"]) assert.equal(second.store.unrecorded(idOf(digit)), undefined);
  second.database.close();
  const again = open("second.db");
  assert.equal(again.store.list().length, 3);
  again.database.close();
});

test("one of `--rm` has a copy from its start on, written once", () => {
  const { database, store } = open("rm.db");
  const { id } = record("a", "one");
  store.insert(record("a", "one", { hostConfig: { AutoRemove: true } }));
  store.refreshCopies();
  assert.ok(!existsSync(path("a")));
  assert.equal(store.unrecorded(id), undefined);
  store.updateState(id, { status: "running", pid: 7 });
  assert.deepEqual(read("a"), store.byId(id));
  store.updateState(id, { status: "exited", pid: 0 });
  store.refreshCopies();
  assert.equal(read("a").state.status, "running");
  database.exec("CREATE TRIGGER stays BEFORE DELETE ON containers BEGIN SELECT RAISE(ABORT, 'stays'); END");
  assert.throws(() => store.remove(id), /stays/);
  database.exec("DROP TRIGGER stays");
  store.remove(id);
  assert.ok(!existsSync(path("a")));
  database.close();
});

test("a daemon that is killed while it writes a copy leaves one that can be read, and the next start makes it one", () => {
  const first = open("first.db");
  const made = record("a", "one");
  first.store.insert(made);
  first.database.close();
  renameSync(path("a"), `${path("a")}.new`);
  const second = open("second.db");
  assert.deepEqual(second.store.unrecorded(made.id), { name: "one" });
  assert.deepEqual(
    second.store.restoreLost().map(({ name }) => name),
    ["one"],
  );
  second.store.refreshCopies();
  assert.deepEqual(readdirSync(join(root, "containers", made.id)), ["record.json"]);
  assert.deepEqual(read("a"), made);
  writeFileSync(`${path("a")}.new`, '{"id":');
  second.store.refreshCopies();
  second.store.remove(made.id);
  assert.deepEqual(readdirSync(join(root, "containers", made.id)), []);
  second.database.close();
});

test("a disk that takes no copy is no reason to fail", () => {
  const { database, store } = open("none.db");
  const made = record("a", "one");
  rmSync(join(root, "containers"), { recursive: true });
  writeFileSync(join(root, "containers"), "no directory");
  store.insert(made);
  assert.equal(store.byName("one")?.id, made.id);
  database.close();
});
